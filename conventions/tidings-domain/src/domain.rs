//! The convention itself: domain messages in the words of `tidings-core`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tidings_core::{
    Address, Call, Envelope, Kind,
    clock::Clock,
    codec::Format,
    convention::{Attachment, Convention, Failed, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    topology::Topology,
};

use crate::{
    DomainBuilder, QueueConfig, message,
    names::{self, Names},
    recover,
};

/// How many names have their routing keys remembered, and how many versions of each. A service publishes few
/// kinds of messages; one that republishes what strangers name must not grow without bound.
const REMEMBERED: (usize, usize) = (1_024, 16);

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
    keys: Arc<Mutex<HashMap<String, Vec<(Kind, i64, Arc<str>)>>>>,
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
            keys: Arc::default(),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.settings.host
    }

    /// The routing key, made once for each kind of message.
    fn routing_key(&self, kind: Kind, version: i64, name: &str) -> Result<Arc<str>> {
        // A panic while the lock is held can only lose a remembered key.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get(name).and_then(|of_name| {
            of_name
                .iter()
                .find(|known| known.0 == kind && known.1 == version)
        });
        if let Some((_, _, key)) = known {
            return Ok(Arc::clone(key));
        }
        let key: Arc<str> = self.names().routing_key(kind, version, name)?.into();
        let (names, versions) = REMEMBERED;
        if keys.len() < names || keys.contains_key(name) {
            let of_name = keys.entry(name.to_owned()).or_default();
            if of_name.len() < versions {
                of_name.push((kind, version, Arc::clone(&key)));
            }
        }
        Ok(key)
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
        let key = self.routing_key(message.kind, message.version, message.name)?;
        let bytes = message::encode(message, || self.settings.clock.now())?;
        let address = Address::new(Arc::clone(&self.names().exchange), key);
        Ok(Call::new(address, Envelope::new(bytes)))
    }

    fn open<'a>(&self, envelope: &'a Envelope, attachment: &Attachment) -> Result<Opened<'a>> {
        let expected = attachment.interest.kind();
        message::decode(&envelope.payload.bytes, expected, || {
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
