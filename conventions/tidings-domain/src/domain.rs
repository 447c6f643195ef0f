//! The convention itself: domain messages in the words of `tidings-core`.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tidings_core::{
    Address, Call, Envelope,
    call::Message,
    clock::Clock,
    codec::Format,
    convention::{Attachment, Convention, Failed, Interest, Opened, Outgoing, Plan},
    error::{Error, Result},
    retry_policy::RetryPolicy,
    topology::{Difference, Topology},
};

use crate::{
    DomainBuilder, QueueConfig,
    desk::Desk,
    message,
    names::{self, Names},
    recover,
};

/// Events and commands of one service of one organization.
///
/// ```
/// use tidings_core::convention::{Convention, Interest};
/// use tidings_core::Kind;
/// use tidings_domain::Domain;
///
/// let domain = Domain::new("acme", "registration")?;
/// let interest = Interest::Named { name: "user.created".into(), version: 1, kind: Kind::Event };
/// let attachment = domain.attach("send_mail", &interest, &domain.retry_policy())?;
/// assert_eq!(&*attachment.queue, "acme.registration.1.event.user_created.send_mail");
/// # Ok::<_, tidings_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Domain {
    settings: Settings,
    desk: Arc<Desk>,
}

/// What a builder has checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) names: Names,
    pub(crate) retry: RetryPolicy,
    pub(crate) queues: QueueConfig,
    pub(crate) store: bool,
    pub(crate) clock: Clock,
    pub(crate) host: String,
}

impl Domain {
    /// The domain of a service with the default settings.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](tidings_core::ErrorKind::Misuse) if one of the names is not a single word.
    pub fn new(organization: &str, service: &str) -> Result<Self> {
        Self::builder(organization, service).build()
    }

    /// The domain of a service with other settings.
    pub fn builder(organization: &str, service: &str) -> DomainBuilder {
        DomainBuilder::new(organization, service)
    }

    /// The names of its exchanges, queues and routing keys.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.settings.names
    }

    /// The TTLs of its queues.
    #[must_use]
    pub fn queues(&self) -> &QueueConfig {
        &self.settings.queues
    }

    /// Whether it keeps a copy of every message.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.settings.store
    }

    pub(crate) fn from_settings(settings: Settings) -> Self {
        Self {
            settings,
            desk: Arc::default(),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.settings.host
    }
}

impl Convention for Domain {
    fn format(&self) -> Format {
        Format::PythonJson
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.settings.retry.clone()
    }

    fn topology(&self) -> Topology {
        self.base_topology()
    }

    /// A fresh message carries no headers and no properties: existing systems lose a message with any foreign
    /// header at its first failure. Context belongs into `meta`.
    fn seal(&self, message: &Outgoing<'_>) -> Result<Call> {
        let (head, mut paper) = self.desk.prepare(self.names(), message)?;
        message::encode(message, &head, || self.settings.clock.now(), &mut paper)?;
        // Exactly as long as it is: what waits in a queue has no room to spare.
        let bytes = Bytes::copy_from_slice(&paper);
        self.desk.put_back(paper);
        let address = Address::new(Arc::clone(&self.names().exchange), Arc::clone(&head.key));
        Ok(Call::new(address, Envelope::new(bytes)))
    }

    fn open<'a>(&self, received: &'a Message, attachment: &Attachment) -> Result<Opened<'a>> {
        let expected = attachment.interest.kind();
        message::decode(&received.envelope.payload.bytes, expected, || {
            self.settings.clock.now()
        })
    }

    fn attach(
        &self,
        subscriber: &str,
        interest: &Interest,
        retry: &RetryPolicy,
    ) -> Result<Attachment> {
        names::check_subscriber(subscriber)?;
        let (queue, topology) = self
            .place(subscriber, interest, retry)
            .and_then(|(queue, topology)| topology.validate().map(|()| (queue, topology)))
            .map_err(|error| error.within(format_args!("subscriber `{subscriber}`")))?;
        Ok(Attachment {
            subscriber: subscriber.into(),
            interest: interest.clone(),
            queue: queue.into(),
            topology,
            retry: retry.clone(),
        })
    }

    fn additions(&self, attachment: &Attachment) -> Topology {
        self.waiting_places(&attachment.queue, &attachment.retry)
    }

    fn explain(&self, refused: Error, differences: &[Difference]) -> Error {
        self.advise(refused, differences)
    }

    fn held_back(&self, call: &Call, now: Timestamp) -> Option<Duration> {
        recover::held_back(call, now)
    }

    fn recover(&self, failed: &Failed<'_>) -> Plan {
        self.plan(failed)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
