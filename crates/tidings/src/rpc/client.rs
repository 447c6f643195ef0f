//! The client: a URL, the queue of whoever serves, and the calls.
//!
//! It joins the three things that a caller is made of, so that users need not know them: the transport behind a URL, the
//! convention of this wire, and the caller that keeps one address for all answers.

use std::{sync::Arc, time::Duration};

use tidings_client::{Caller, Calling};
use tidings_core::{
    Deadline, Payload, contract::Request, convention::Convention, error::Result,
    transport::Transport,
};
use tidings_rpc::{Keys, Rpc};

/// Calls what the consumer of a queue serves. Cloning is cheap; clones, and clients of [other
/// queues](Self::for_queue), share one connection and one address for answers.
///
/// ```no_run
/// use tidings::rpc::Client;
///
/// # async fn example() -> tidings::Result<()> {
/// let client = Client::connect("amqp://guest:guest@localhost:5672", "web1").await?;
/// let answer = client.call_raw("create_site", r#"{"domain": "example.com"}"#).await?;
/// assert!(answer.bytes.starts_with(b"{\"success\":true"));
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
/// A request is sent once at most; a call ends by its deadline, and dropping it leaves nothing behind. What each kind of
/// error says about the request:
///
/// | kind | the request |
/// |---|---|
/// | `Invalid` | breaks its own rules and was not sent, or was refused by whoever got it |
/// | `Unroutable` | was not received by any queue |
/// | `Unavailable` | was not sent in time, or the way back was lost and it may have been handled: the text says which |
/// | `Timeout` | was sent, and may still be handled |
/// | `Decode` | was answered with something that is not its reply |
/// | `Handler` | was answered with a failure that is not its reply |
#[derive(Clone, Debug)]
pub struct Client {
    rpc: Rpc,
    caller: Caller,
    transport: Arc<dyn Transport>,
}

impl Client {
    /// Connects to the broker that a URL names, to call what the consumer of this queue serves.
    ///
    /// # Errors
    /// As [`open`](crate::open), and [`Misuse`](crate::ErrorKind::Misuse) for an impossible name of a queue.
    pub async fn connect(url: &str, queue: &str) -> Result<Self> {
        let rpc = Rpc::new(queue)?;
        Ok(Self::over(crate::open(url).await?, rpc))
    }

    /// Calls over a transport that is open already.
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>, rpc: Rpc) -> Self {
        let caller = Caller::new(convention(&rpc), Arc::clone(&transport));
        Self {
            rpc,
            caller,
            transport,
        }
    }

    /// A client of the consumer of another queue.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for an impossible name.
    pub fn for_queue(&self, queue: &str) -> Result<Self> {
        Ok(self.with_rpc(self.rpc.for_queue(queue)?))
    }

    /// A client that encrypts what contracts call secret.
    #[must_use]
    pub fn with_keys(&self, keys: Keys) -> Self {
        self.with_rpc(self.rpc.clone().with_keys(keys))
    }

    /// A client that waits so long for each answer instead of 300 seconds, the wait for a connection included.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.with_caller(self.caller.with_timeout(timeout))
    }

    /// A client that waits no longer than this, however long its timeout is: for calls from a handler, which may ask
    /// for its own [`Deadline`] as an argument.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        self.with_caller(self.caller.with_deadline(deadline))
    }

    /// A client that sends requests also where no queue receives them, and then waits in vain, as deployed clients do
    /// unless they are told otherwise.
    #[must_use]
    pub fn unroutable_is_fine(&self) -> Self {
        self.with_caller(self.caller.unroutable_is_fine())
    }

    /// Asks, and decodes the answer. Nothing is sent before the call is awaited; its time runs from now.
    ///
    /// # Errors
    /// See [`Client`].
    ///
    /// # Cancel safety
    /// Dropping it gives up the answer and leaves nothing behind here. A request that was sent may still be handled.
    pub fn call<R: Request>(&self, request: &R) -> Calling<R::Reply> {
        self.caller.call(request)
    }

    /// Sends a body that is JSON already to an exchange, and hands the answer out as it is.
    ///
    /// # Errors
    /// See [`Client`]; whatever the answer says is no error here.
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    pub fn call_raw(&self, exchange: &str, body: impl Into<Vec<u8>>) -> Calling<Payload> {
        self.caller.call_raw(exchange, body.into())
    }

    /// As [`call_raw`](Self::call_raw), with paths of members that are encrypted on the way if the client [has
    /// keys](Self::with_keys), for example `password` or `database.password`.
    ///
    /// # Errors
    /// As [`call_raw`](Self::call_raw).
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    pub fn call_raw_with_secrets(
        &self,
        exchange: &str,
        body: impl Into<Vec<u8>>,
        secrets: &[&str],
    ) -> Calling<Payload> {
        self.caller
            .call_raw_with_secrets(exchange, body.into(), secrets)
    }

    /// How many calls wait for their answers.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.caller.pending()
    }

    /// Ends the connection, also for clones; calls under way fail.
    ///
    /// # Errors
    /// As [`Transport::close`].
    pub async fn close(&self, deadline: Deadline) -> Result<()> {
        self.transport.close(deadline).await
    }

    fn with_rpc(&self, rpc: Rpc) -> Self {
        let caller = self.caller.with_convention(convention(&rpc));
        Self {
            rpc,
            ..self.with_caller(caller)
        }
    }

    fn with_caller(&self, caller: Caller) -> Self {
        Self {
            caller,
            ..self.clone()
        }
    }
}

fn convention(rpc: &Rpc) -> Arc<dyn Convention> {
    Arc::new(rpc.clone())
}
