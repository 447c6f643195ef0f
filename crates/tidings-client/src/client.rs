//! The client: from a typed message to a call that has been handed over.

use std::{fmt, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value};
use tidings_core::{
    Call, Contract, Error, ErrorKind, Metadata,
    codec::Format,
    contract::{Command, Event},
    convention::{Convention, Outgoing},
    error::Result,
    extract::{FromCall, Scope},
    tasks::Tasks,
    transport::Publisher,
};

use crate::{
    context,
    fallback::{FallbackPublisher, Replayer, Spool},
    observed::{Observed, Publishing},
};

/// Publishes events and sends commands. Cloning is cheap.
///
/// Every message is handed over when the function is called, in that order; awaiting the returned
/// [`Publishing`] tells whether the broker has taken responsibility. Nobody has to await one before the next:
///
/// ```
/// use tidings_client::Client;
/// use tidings_core::{contract::Event, error::Result};
///
/// async fn both<A: Event, B: Event>(client: &Client, placed: &A, paid: &B) -> Result<()> {
///     let (first, second) = (client.publish(placed), client.publish(paid));
///     first.await?;
///     second.await
/// }
/// ```
#[derive(Clone)]
pub struct Client {
    convention: Arc<dyn Convention>,
    publisher: Arc<dyn Publisher>,
    observed: Arc<Observed>,
    meta: Arc<Map<String, Value>>,
    mandatory: bool,
}

impl Client {
    /// A client that writes as this convention says and sends through this publisher.
    #[must_use]
    pub fn new(convention: Arc<dyn Convention>, publisher: Arc<dyn Publisher>) -> Self {
        let observed = Arc::new(Observed::new());
        Self {
            convention,
            publisher,
            observed,
            meta: Arc::default(),
            mandatory: true,
        }
    }

    /// Publishes an event.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the event breaks its own rules or cannot be written, else what
    /// [`Publisher::publish`] says: above all [`ErrorKind::Unroutable`] if nobody would receive it.
    ///
    /// # Guarantees
    /// Once it resolves to `Ok`, the event survives a crash of this process, and of the broker if that is durable.
    pub fn publish<E: Event>(&self, event: &E) -> Publishing {
        self.hand_over(event)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Guarantees
    /// As [`publish`](Self::publish).
    pub fn send<C: Command>(&self, command: &C) -> Publishing {
        self.hand_over(command)
    }

    /// Publishes a message that is known by name only: for tools, bridges and tests.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_raw(&self, message: &Outgoing<'_>) -> Publishing {
        self.publish_sealed(self.convention.seal(message))
    }

    /// Publishes a call that a convention has sealed already, for example a redriven dead letter.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_call(&self, call: Call) -> Publishing {
        self.publish_sealed(Ok(call))
    }

    /// A client whose messages carry these members in their `meta`, instead of those of this client.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if `meta` is no JSON object.
    pub fn with_meta(&self, meta: impl Serialize) -> Result<Self> {
        let problem = |detail: String| {
            Error::new(
                ErrorKind::Misuse,
                format!("meta must be a JSON object, {detail}"),
            )
        };
        match serde_json::to_value(meta) {
            Ok(Value::Object(meta)) => Ok(Self {
                meta: Arc::new(meta),
                ..self.clone()
            }),
            Ok(other) => Err(problem(format!("not {other}"))),
            Err(error) => Err(problem(format!(
                "and this cannot be written as JSON: {error}"
            ))),
        }
    }

    /// A client whose messages say that they were caused by this one: they carry its correlation id (its own
    /// id if it has none), its id as their causation id, and its trace context.
    #[must_use]
    pub fn caused_by(&self, metadata: &Metadata) -> Self {
        let mut meta = Map::clone(&self.meta);
        context::carry_on(&mut meta, metadata);
        Self {
            meta: Arc::new(meta),
            ..self.clone()
        }
    }

    /// A client that accepts that nobody may receive what it publishes.
    #[must_use]
    pub fn unroutable_is_fine(&self) -> Self {
        Self {
            mandatory: false,
            ..self.clone()
        }
    }

    /// A client whose messages go to this spool while the broker is away, and from there to the broker once it is back.
    ///
    /// Call it once, while starting up, and clone what it returns: each call starts a replayer of its own in `tasks`.
    /// It must be called within the runtime.
    ///
    /// # Guarantees
    /// Those of [`FallbackPublisher`]: at least once, and order is not kept across an outage.
    #[must_use]
    pub fn with_fallback(&self, spool: Arc<dyn Spool>, tasks: &Tasks) -> Self {
        let fallback = FallbackPublisher::new(Arc::clone(&self.publisher), spool, tasks);
        Replayer::new(&fallback).spawn(tasks);
        Self {
            publisher: Arc::new(fallback),
            ..self.clone()
        }
    }

    /// What this client puts into `meta`.
    #[must_use]
    pub fn meta(&self) -> &Map<String, Value> {
        &self.meta
    }

    fn hand_over<T: Contract>(&self, message: &T) -> Publishing {
        self.publish_sealed(self.seal(message))
    }

    fn seal<T: Contract>(&self, message: &T) -> Result<Call> {
        message.validate().map_err(|invalid| {
            let context = format!(
                "{} breaks its rules and was not published: {invalid}",
                T::info()
            );
            Error::new(ErrorKind::Invalid, context).with_source(invalid)
        })?;
        self.convention.seal(&Outgoing {
            name: T::NAME,
            version: i64::from(T::VERSION),
            kind: T::KIND,
            id: None,
            occurred_at: None,
            meta: &self.meta,
            secrets: &[],
            body: &|format: Format, out: &mut Vec<u8>| format.encode(message, out),
        })
    }

    fn publish_sealed(&self, sealed: Result<Call>) -> Publishing {
        match sealed {
            Ok(mut call) => {
                call.mandatory &= self.mandatory;
                self.observed.publish(call, &*self.publisher)
            }
            Err(error) => self.observed.refuse(error),
        }
    }
}

/// In a handler: a client that carries the handled message's correlation and causation on.
impl<S> FromCall<S> for Client {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        let client = scope.services.get::<Self>().ok_or_else(|| {
            let context =
                "this server offers no `Client` to its handlers: build it with a publisher";
            Error::new(ErrorKind::Misuse, context)
        })?;
        Ok(client.caused_by(&scope.opened.to_metadata()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("convention", &self.convention)
            .field("publisher", &self.publisher)
            .finish_non_exhaustive()
    }
}
