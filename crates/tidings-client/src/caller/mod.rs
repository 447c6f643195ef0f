//! Calls: requests go out, and each answer finds the one who waits for it.
//!
//! Any number of calls share one address for answers, which is opened by the first call and again by the first after it
//! was lost. It deliberately never sends a request twice: whoever calls knows whether that does harm.

mod asking;
mod failure;
mod line;
mod observed;
mod pending;
mod switchboard;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Map;
use tidings_core::{
    Call, Deadline, Error, ErrorKind, Kind, Payload,
    codec::Format,
    contract::Request,
    convention::{Convention, Outgoing},
    error::Result,
    transport::{BoxFuture, Transport},
};

use self::{asking::Asking, switchboard::Switchboard};

/// How long an answer is waited for unless said otherwise: as long as deployed clients do.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Sends requests and waits for their answers. Cloning is cheap, and clones share one address for answers.
///
/// ```
/// use tidings_client::Caller;
/// use tidings_core::{contract::Request, error::Result};
///
/// async fn both<A: Request, B: Request>(caller: &Caller, one: &A, other: &B) -> Result<(A::Reply, B::Reply)> {
///     futures_util::future::try_join(caller.call(one), caller.call(other)).await
/// }
/// ```
///
/// # Guarantees
/// A request is sent once at most. A call ends by its deadline: with the answer, or with an error whose kind tells
/// what is known of the request:
///
/// | kind | the request |
/// |---|---|
/// | [`Invalid`](ErrorKind::Invalid) | breaks its own rules and was not sent, or was refused by whoever got it |
/// | [`Unroutable`](ErrorKind::Unroutable) | was not received by any queue |
/// | [`Unavailable`](ErrorKind::Unavailable) | was not sent in time, or the way back was lost and it may have been handled: the text says which |
/// | [`Timeout`](ErrorKind::Timeout) | was sent, and may still be handled |
/// | [`Decode`](ErrorKind::Decode) | was answered with something that is not its reply |
/// | [`Handler`](ErrorKind::Handler), [`NoRoute`](ErrorKind::NoRoute) | was answered with a failure that is not its reply; the [`Fault`](tidings_core::Fault) is the source |
#[derive(Clone)]
pub struct Caller {
    switchboard: Arc<Switchboard>,
    convention: Arc<dyn Convention>,
    timeout: Duration,
    deadline: Deadline,
    mandatory: bool,
}

impl Caller {
    /// Calls as this convention says, over this transport. Nothing is opened before the first call.
    #[must_use]
    pub fn new(convention: Arc<dyn Convention>, transport: Arc<dyn Transport>) -> Self {
        Self {
            switchboard: Switchboard::new(transport),
            convention,
            timeout: TIMEOUT,
            deadline: Deadline::NEVER,
            mandatory: true,
        }
    }

    /// A caller of somebody else, who shares the address for answers with this one.
    #[must_use]
    pub fn with_convention(&self, convention: Arc<dyn Convention>) -> Self {
        Self {
            convention,
            ..self.clone()
        }
    }

    /// A caller that waits so long for each answer instead of 300 seconds, the wait for a connection included.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// A caller that waits no longer than this, however long its timeout is: for calls from a handler that has a
    /// deadline itself.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// A caller that sends requests also where no queue would receive them, and then waits in vain: for brokers that
    /// cannot tell.
    #[must_use]
    pub fn unroutable_is_fine(&self) -> Self {
        Self {
            mandatory: false,
            ..self.clone()
        }
    }

    /// Asks, and decodes the answer. Nothing is sent before the call is awaited; its time runs from now.
    ///
    /// # Errors
    /// See [`Caller`].
    pub fn call<R: Request>(&self, request: &R) -> Calling<R::Reply> {
        let convention = Arc::clone(&self.convention);
        let asking = self.asking(R::NAME, self.seal(request));
        Calling::new(async move {
            let answer = asking.await?;
            read::<R>(&*convention, &answer)
        })
    }

    /// Sends a body that is encoded already to an exchange, and hands the answer out as it is.
    ///
    /// # Errors
    /// See [`Caller`]; whatever the answer says is no error here.
    pub fn call_raw(&self, exchange: &str, body: impl Into<Bytes>) -> Calling<Payload> {
        self.call_raw_with_secrets(exchange, body, &[])
    }

    /// As [`call_raw`](Self::call_raw), with paths of members that nobody on the way may see in clear, for example
    /// `password` or `database.password`.
    ///
    /// # Errors
    /// As [`call_raw`](Self::call_raw).
    pub fn call_raw_with_secrets(
        &self,
        exchange: &str,
        body: impl Into<Bytes>,
        secrets: &[&str],
    ) -> Calling<Payload> {
        let body = body.into();
        let sealed = self.convention.seal(&Outgoing {
            name: exchange,
            version: 1,
            kind: Kind::Call,
            id: None,
            occurred_at: None,
            meta: &Map::new(),
            secrets,
            body: &|_, out: &mut Vec<u8>| {
                out.extend_from_slice(&body);
                Ok(())
            },
        });
        Calling::new(self.asking(exchange, sealed))
    }

    /// How many calls wait for their answers.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.switchboard.pending()
    }

    fn seal<R: Request>(&self, request: &R) -> Result<Call> {
        request.validate().map_err(|invalid| {
            let context = format!("{} breaks its rules and was not sent: {invalid}", R::info());
            Error::new(ErrorKind::Invalid, context).with_source(invalid)
        })?;
        self.convention.seal(&Outgoing {
            name: R::NAME,
            version: i64::from(R::VERSION),
            kind: R::KIND,
            id: None,
            occurred_at: None,
            meta: &Map::new(),
            secrets: R::SECRETS,
            body: &|format: Format, out: &mut Vec<u8>| format.encode(request, out),
        })
    }

    fn asking(
        &self,
        name: &str,
        sealed: Result<Call>,
    ) -> impl Future<Output = Result<Payload>> + Send + use<> {
        let back = match &sealed {
            Ok(call) => self.convention.returns_through(call),
            Err(_) => None,
        };
        let call = sealed.map(|mut call| {
            call.mandatory &= self.mandatory;
            call
        });
        let switchboard = Arc::clone(&self.switchboard);
        Asking::new(switchboard, name, back, self.timeout, self.deadline).run(call)
    }
}

/// Decodes an answer, or the failure that came instead of it.
fn read<R: Request>(convention: &dyn Convention, answer: &Payload) -> Result<R::Reply> {
    let reply = convention.format().decode::<R::Reply>(&answer.bytes);
    let reply = reply.map_err(|error| match convention.fault(&answer.bytes) {
        Some(fault) => failure::answered(R::NAME, fault),
        None => error.within(format!("the answer of `{}`", R::NAME)),
    })?;
    R::validate_reply(&reply).map_err(|invalid| {
        let context = format!("the answer of `{}` breaks its rules: {invalid}", R::NAME);
        Error::new(ErrorKind::Invalid, context).with_source(invalid)
    })?;
    Ok(reply)
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("convention", &self.convention)
            .field("timeout", &self.timeout)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// A call under way; resolves to its answer.
///
/// # Cancel safety
/// Dropping it gives up the answer and leaves nothing behind here. A request that was sent may still be handled.
#[must_use = "nothing is sent before it is awaited"]
pub struct Calling<T>(BoxFuture<'static, Result<T>>);

impl<T> Calling<T> {
    fn new(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<T> Future for Calling<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Calling<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calling")
    }
}
