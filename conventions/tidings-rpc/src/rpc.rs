//! The convention itself: calls in the words of `tidings-core`.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tidings_core::{
    Address, Call, Deadline, Envelope, Error, ErrorKind, Fault, Kind, Outcome, Payload, Reply,
    Settlement,
    call::Message,
    clock::Clock,
    codec::Format,
    contract::Request,
    convention::{Attachment, Convention, Failed, Fate, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    topology::{Exchange, Queue, Topology},
};

use crate::{Keys, answer, fault, redact, secrecy, secrets::Secrets};

/// How the names of exchanges and queues are bounded: a short string of AMQP 0.9.1.
const LONGEST: usize = 255;

/// How much room a request's body gets at first.
const BODY: usize = 256;

/// The calls that one queue serves: the queue names a host or a group, each action is an exchange bound to it.
///
/// The same value serves and calls: [`Server`] and client read the queue out of it.
///
/// [`Server`]: https://docs.rs/tidings/latest/tidings/struct.Server.html
///
/// ```
/// use tidings_core::{Kind, convention::{Convention, Interest}};
/// use tidings_rpc::Rpc;
///
/// let rpc = Rpc::new("web1")?;
/// let interest = Interest::Named { name: "create_site".into(), version: 1, kind: Kind::Call };
/// let attachment = rpc.attach("web1", &interest, &rpc.retry_policy())?;
/// assert_eq!(&*attachment.queue, "web1");
/// # Ok::<_, tidings_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Rpc {
    queue: Arc<str>,
    exchanges: Vec<Arc<str>>,
    keys: Option<Keys>,
    /// By exchange.
    secrets: Arc<HashMap<Arc<str>, Secrets>>,
    clock: Clock,
}

impl Rpc {
    /// The calls that this queue serves.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if the name is empty or longer than 255 bytes.
    pub fn new(queue: impl Into<Arc<str>>) -> Result<Self> {
        let queue = queue.into();
        check_name("queue", &queue)?;
        Ok(Self {
            queue,
            exchanges: Vec::new(),
            keys: None,
            secrets: Arc::default(),
            clock: Clock::SYSTEM,
        })
    }

    /// The calls that another queue serves, with everything else as here.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_queue(&self, queue: impl Into<Arc<str>>) -> Result<Self> {
        let queue = queue.into();
        check_name("queue", &queue)?;
        Ok(Self {
            queue,
            ..self.clone()
        })
    }

    /// Declares and binds this exchange whether or not anybody handles its requests.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if the name is empty or longer than 255 bytes.
    pub fn exchange(mut self, name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        check_name("exchange", &name)?;
        if !self.exchanges.contains(&name) {
            self.exchanges.push(name);
        }
        Ok(self)
    }

    /// Encrypts the secrets of requests that leave, and decrypts those of requests that arrive: every text that is a
    /// member of the request itself, and whatever its contract calls a secret.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Says which members of requests to this exchange are secret: what lies deeper than the request's own members is
    /// decrypted only if it is said, strict keys refuse what is not encrypted, and [`redact`](Self::redact) hides it.
    #[must_use]
    pub fn with_secrets(mut self, exchange: impl Into<Arc<str>>, paths: &[&str]) -> Self {
        let secrets = Arc::make_mut(&mut self.secrets);
        secrets.insert(exchange.into(), Secrets::new(paths));
        self
    }

    /// As [`with_secrets`](Self::with_secrets), as the contract says.
    #[must_use]
    pub fn with_secrets_of<R: Request>(self) -> Self {
        self.with_secrets(R::NAME, R::SECRETS)
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Arc<str> {
        &self.queue
    }

    /// The members of a received request as its handler decodes them: with secrets decrypted.
    ///
    /// # Errors
    /// As [`open`](Convention::open): strict keys refuse what is not encrypted.
    pub fn body<'a>(&self, message: &'a Message) -> Result<Cow<'a, [u8]>> {
        let body = &message.envelope.payload.bytes;
        match &self.keys {
            Some(keys) => secrecy::decrypt(keys, self.secrets(message), body),
            None => Ok(Cow::Borrowed(body)),
        }
    }

    /// The bytes of the [`answer`](Convention::answer) to this outcome, also if nobody waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the reply cannot be written.
    pub fn answer_payload(&self, outcome: Result<&Reply, &Error>) -> Result<Payload> {
        answer::payload(outcome)
    }

    /// The members of a received request as others than its handler may see them: `members` is what became of them,
    /// for example with defaults filled in.
    ///
    /// Hidden are members that came encrypted, the contract's secrets, and members with one of the names that are secret
    /// on this wire. Nothing is decrypted for it.
    #[must_use]
    pub fn redact(&self, message: &Message, members: Value) -> Value {
        let body = &message.envelope.payload.bytes;
        redact::members(members, body, self.secrets(message), self.keys.as_ref())
    }

    /// As [`redact`](Self::redact), for a request that could not be decoded: always an object, and never a text that
    /// could not be looked into.
    #[must_use]
    pub fn redact_body(&self, message: &Message) -> Value {
        let body = &message.envelope.payload.bytes;
        redact::raw(body, self.secrets(message), self.keys.as_ref())
    }

    /// The answer to a request to this exchange as others than its caller may see it: members are hidden that have the name of one of
    /// the request's secrets.
    #[must_use]
    pub fn redact_answer(&self, exchange: &str, answer: Value) -> Value {
        redact::answer(answer, self.secrets_of(exchange))
    }

    fn secrets(&self, message: &Message) -> &Secrets {
        self.secrets_of(&message.address.exchange)
    }

    fn secrets_of(&self, exchange: &str) -> &Secrets {
        const NONE: &Secrets = &Secrets::NONE;
        self.secrets.get(exchange).unwrap_or(NONE)
    }

    /// What must exist so that requests to these exchanges reach the queue. Exchanges are not durable: deployed
    /// clients declare them so, and are refused by an exchange that is.
    fn paths<'a>(&self, exchanges: impl IntoIterator<Item = &'a Arc<str>>) -> Topology {
        let mut topology = Topology::new().queue(Queue::new(Arc::clone(&self.queue)));
        for name in exchanges {
            topology = topology.exchange(action(Arc::clone(name))).bind(
                Arc::clone(name),
                Arc::clone(&self.queue),
                Arc::clone(&self.queue),
            );
        }
        topology
    }
}

impl Convention for Rpc {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        self.paths(&self.exchanges)
    }

    /// As a deployed client sends it: transient, with a content type, and nothing that names a version. Reply address,
    /// correlation id and expiration are the caller's.
    fn seal(&self, message: &Outgoing<'_>) -> Result<Call> {
        if message.kind != Kind::Call {
            let (kind, name) = (message.kind, message.name);
            let context = format!(
                "{kind} `{name}` is no request: publish it through a convention for events"
            );
            return Err(Error::new(ErrorKind::Misuse, context));
        }
        check_name("exchange", message.name)?;
        let mut body = Vec::with_capacity(BODY);
        (message.body)(self.format(), &mut body)?;
        if let Some(keys) = &self.keys {
            let name = message.name;
            body = secrecy::encrypt(keys, message.secrets, body)
                .map_err(|error| error.within(format_args!("request `{name}`")))?;
        }
        let mut envelope = Envelope::default().transient();
        envelope.payload = Payload::json(body);
        Ok(Call::new(
            Address::new(message.name, Arc::clone(&self.queue)),
            envelope,
        ))
    }

    fn name<'a>(&self, message: &'a Message) -> Option<&'a str> {
        Some(&message.address.exchange)
    }

    fn open<'a>(&self, message: &'a Message, _: &Attachment) -> Result<Opened<'a>> {
        let properties = &message.envelope.properties;
        let body = self.body(message)?;
        Ok(Opened {
            id: properties
                .correlation_id()
                .map_or(Cow::Borrowed(""), |id| Cow::Borrowed(&**id)),
            name: Cow::Borrowed(&message.address.exchange),
            version: 1,
            kind: Cow::Borrowed("request"),
            occurred_at: self.sent_at(message),
            meta: Cow::Borrowed("{}"),
            body,
        })
    }

    fn attach(
        &self,
        subscriber: &str,
        interest: &Interest,
        retry: &RetryPolicy,
    ) -> Result<Attachment> {
        let topology = match interest {
            Interest::Contract(contract) if contract.kind == Kind::Call => {
                self.check_secrets(contract.name)?;
                self.paths([&contract.name.into()])
            }
            Interest::Named {
                name,
                kind: Kind::Call,
                ..
            } => self.paths([&name.as_str().into()]),
            Interest::Queue { name, .. } if *name == self.queue => self.topology(),
            other => return Err(no_call(subscriber, other)),
        };
        Ok(Attachment {
            subscriber: subscriber.into(),
            interest: interest.clone(),
            queue: Arc::clone(&self.queue),
            topology,
            retry: retry.clone(),
        })
    }

    fn shares_queues(&self) -> bool {
        true
    }

    /// A request says how long its caller waits; the time it has spent in the queue is not known.
    fn deadline(&self, call: &Call) -> Deadline {
        let waits = call.envelope.properties.expiration();
        waits.map_or(Deadline::NEVER, Deadline::after)
    }

    fn answers(&self) -> bool {
        true
    }

    fn answer(&self, call: &Call, outcome: Result<&Reply, &Error>) -> Result<Option<Call>> {
        answer::to(call, outcome)
    }

    fn returns_through(&self, call: &Call) -> Option<Exchange> {
        Some(action(Arc::clone(&call.address.exchange)))
    }

    fn fault(&self, answer: &[u8]) -> Option<Fault> {
        fault::of(answer)
    }

    /// Who waits is answered, well or not, and then the request is done with. What comes here is either a request that
    /// nobody waits for, or one whose answer could not be sent. The former comes again if what its handling needs is
    /// away or there was no room for it, until its time is over: nobody else would ask once more.
    fn recover(&self, failed: &Failed<'_>) -> Plan {
        let is_over = failed.call.deadline.is_past();
        let kind = failed.error.kind();
        let is_outage = matches!(kind, ErrorKind::Unavailable | ErrorKind::Full);
        let (settlement, fate) = match failed.error.outcome() {
            Outcome::Requeue | Outcome::Defer(_) => {
                (Settlement::Nack { delay: None }, Fate::Requeued)
            }
            Outcome::Retry if is_outage && !is_over => {
                (Settlement::Nack { delay: None }, Fate::Requeued)
            }
            _ => (Settlement::Ack, Fate::Dropped),
        };
        Plan::Settle { settlement, fate }
    }
}

impl Rpc {
    /// Strict keys that do not know what is secret would refuse nothing.
    fn check_secrets(&self, exchange: &str) -> Result<()> {
        let is_strict = self.keys.as_ref().is_some_and(Keys::is_strict);
        if !is_strict || self.secrets.contains_key(exchange) {
            return Ok(());
        }
        let context = format!(
            "the keys are strict, and nobody has said what is secret in requests to `{exchange}`: add `.with_secrets_of::<…>()` to the `Rpc`"
        );
        Err(Error::new(ErrorKind::Misuse, context))
    }

    fn sent_at(&self, message: &Message) -> Timestamp {
        let fields = message.envelope.properties.fields();
        let said = fields.and_then(|fields| fields.timestamp);
        let said = said.and_then(|seconds| Timestamp::from_second(seconds).ok());
        said.unwrap_or_else(|| self.clock.now())
    }
}

/// The exchange of an action.
fn action(name: Arc<str>) -> Exchange {
    Exchange::direct(name).transient()
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let problem = match name.len() {
        0 => "is empty",
        1..=LONGEST => return Ok(()),
        _ => "is longer than 255 bytes",
    };
    Err(Error::new(
        ErrorKind::Misuse,
        format!("the name of the {what} {problem}: `{name}`"),
    ))
}

fn no_call(subscriber: &str, interest: &Interest) -> Error {
    let context = format!(
        "subscriber `{subscriber}` handles {interest:?}, which is no request: derive `Request` for its message"
    );
    Error::new(ErrorKind::Misuse, context)
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc")
            .field("queue", &self.queue)
            .field("exchanges", &self.exchanges)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
