//! A subscriber: a name, the handlers it consists of, and how its messages are treated.

use std::{fmt, sync::Arc, time::Duration};

use tidings_core::{
    Contract, Kind, contract::Request, convention::Interest, retry_policy::RetryPolicy,
};

use crate::{
    handler::{AnswerOf, AnyHandler, Arguments, Function, Handler},
    ordering::OrderKey,
};

/// One receiver of messages, with a stable name that becomes part of its queues' names.
///
/// ```
/// # use std::time::Duration;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tidings_core::{Event, HandlerError, retry_policy::RetryPolicy};
/// # use tidings_router::{OrderKey, Router, Subscriber};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// # #[event(crate = tidings_core)]
/// # struct UserCreated { user_id: String }
/// # async fn send_mail(event: UserCreated) -> Result<(), HandlerError> { Ok(()) }
/// let subscriber = Subscriber::new("send_mail")
///     .on(send_mail)
///     .concurrency(4)
///     .ordered_by(OrderKey::field("user_id"))
///     .timeout(Duration::from_secs(10))
///     .retry(RetryPolicy::new(3).with_steps([Duration::from_secs(1), Duration::from_secs(30)]));
/// # let _: Subscriber<()> = subscriber;
/// ```
pub struct Subscriber<S = ()> {
    pub(crate) name: Arc<str>,
    pub(crate) options: Options,
    pub(crate) handlers: Vec<AnyHandler<S>>,
}

/// How the messages of a subscriber are treated. `None` leaves it to the server's default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How many messages of one queue are handled at a time.
    pub concurrency: Option<u16>,
    /// How many messages of one queue may be delivered and unsettled at a time.
    pub prefetch: Option<u16>,
    /// By what messages are kept in order.
    pub ordered_by: Option<OrderKey>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How failures are treated.
    pub retry: Option<RetryPolicy>,
}

impl<S: 'static> Subscriber<S> {
    /// A subscriber without handlers. The name must stay the same for as long as its queues hold messages.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            options: Options::default(),
            handlers: Vec::new(),
        }
    }

    /// Handles the messages that the handler's last argument stands for: one contract, or every message with
    /// `AnyMessage` (the store).
    #[must_use]
    pub fn on<H, Args: 'static>(self, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.on_interest(H::interest(), handler)
    }

    /// Handles the requests of the handler's last argument, and answers each with the reply that its contract promises.
    /// Requests exclude one another as their contract says, unless [`ordered_by`](Self::ordered_by) says otherwise.
    #[must_use]
    pub fn on_request<F, Args>(self, function: F) -> Self
    where
        F: Function<Args> + Clone + Send + Sync + 'static,
        Args: Arguments<S, Message: Request> + 'static,
        F::Returned: Future<Output: AnswerOf<<Args::Message as Contract>::Reply>> + Send + 'static,
    {
        self.on_any(AnyHandler::of_request(function))
    }

    /// Handles the dead letters that messages of the handler's type have become at this subscriber.
    #[must_use]
    pub fn on_dead_letters<H, Args: 'static>(self, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.on_interest(Interest::DeadLetters(Box::new(H::interest())), handler)
    }

    /// Handles the messages of any queue; `kind` is what they are unless they say so themselves.
    #[must_use]
    pub fn on_queue<H, Args: 'static>(
        self,
        queue: impl Into<Arc<str>>,
        kind: Option<Kind>,
        handler: H,
    ) -> Self
    where
        H: Handler<Args, S>,
    {
        self.on_interest(
            Interest::Queue {
                name: queue.into(),
                kind,
            },
            handler,
        )
    }

    /// Handles whatever this interest stands for, for messages that are known by name only.
    #[must_use]
    pub fn on_interest<H, Args: 'static>(self, interest: Interest, handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        self.on_any(AnyHandler::new(handler).with_interest(interest))
    }

    /// Handles what a handler wants whose argument types are forgotten.
    #[must_use]
    pub fn on_any(mut self, handler: AnyHandler<S>) -> Self {
        self.handlers.push(handler);
        self
    }

    /// Handles at most this many messages of each of its queues at a time; 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.options.concurrency = Some(concurrency.max(1));
        self
    }

    /// Holds at most this many delivered and unsettled messages of each of its queues; 0 counts as 1.
    #[must_use]
    pub fn prefetch(mut self, prefetch: u16) -> Self {
        self.options.prefetch = Some(prefetch.max(1));
        self
    }

    /// Keeps messages with equal keys in order while others run side by side.
    ///
    /// Each queue has an order of its own in each process that consumes it: not even equal keys are kept in order between two
    /// handlers of this subscriber, or between two processes.
    #[must_use]
    pub fn ordered_by(mut self, key: OrderKey) -> Self {
        self.options.ordered_by = Some(key);
        self
    }

    /// Ends an attempt that takes longer than this; it counts as failed.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Treats failures in this way.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = Some(policy);
        self
    }
}

impl<S: 'static> fmt::Debug for Subscriber<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interests: Vec<_> = self.handlers.iter().map(AnyHandler::interest).collect();
        f.debug_struct("Subscriber")
            .field("name", &self.name)
            .field("interests", &interests)
            .field("options", &self.options)
            .finish()
    }
}
