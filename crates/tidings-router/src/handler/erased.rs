//! The one seam where a handler's type is forgotten, so that a router can hold many.

use std::{any, fmt, future::Future, marker::PhantomData, sync::Arc};

use tidings_core::{
    Contract, ContractInfo, Error, ErrorKind, Payload, Reply, codec::Format, contract::Request,
    convention::Interest, error::Result, extract::Scope, message::FromMessage as _,
};

use crate::{
    handler::{AnswerOf, Arguments, Function, Handler, Handling},
    ordering::OrderKey,
    registry::RequestInfo,
};

/// How much room an encoded answer gets at first.
const ANSWER: usize = 512;

/// A handler whose argument types are forgotten.
pub(crate) type ErasedHandler<S> = Arc<dyn Erased<S>>;

/// What remains of a handler.
pub(crate) trait Erased<S>: Send + Sync {
    /// As [`Handler::call`].
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling>;

    /// As [`Handler::check`].
    fn check(&self, state: &S) -> Result<()>;

    /// The function, for people.
    fn name(&self) -> &'static str;
}

/// A handler that has forgotten the types of its arguments, with what it wants to receive.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tidings_core::Event;
/// # use tidings_router::{AnyHandler, Subscriber};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// # #[event(crate = tidings_core)]
/// # struct UserCreated { email: String }
/// async fn greet(event: UserCreated) {}
///
/// let any: AnyHandler<()> = AnyHandler::new(greet);
/// assert_eq!(any.contract().map(|contract| contract.name), Some("user.created"));
/// let subscriber = Subscriber::new("greet").on_any(any);
/// ```
pub struct AnyHandler<S> {
    pub(crate) interest: Interest,
    pub(crate) handler: ErasedHandler<S>,
    pub(crate) ordered_by: Option<OrderKey>,
}

impl<S: 'static> AnyHandler<S> {
    /// Any handler.
    #[must_use]
    pub fn new<H, Args: 'static>(handler: H) -> Self
    where
        H: Handler<Args, S>,
    {
        Self {
            interest: H::interest(),
            handler: erase(handler),
            ordered_by: None,
        }
    }

    /// The handler of a request: its answer is the reply that the contract promises, and is checked against the
    /// rules of that type before it is sent. Requests exclude one another as their contract says, unless the
    /// subscriber has an order of its own.
    #[must_use]
    pub fn of_request<F, Args>(function: F) -> Self
    where
        F: Function<Args> + Clone + Send + Sync + 'static,
        Args: Arguments<S, Message: Request> + 'static,
        F::Returned: Future<Output: AnswerOf<<Args::Message as Contract>::Reply>> + Send + 'static,
    {
        Self::answering::<Args::Message>(Arc::new(Answering {
            function,
            args: PhantomData,
        }))
    }

    /// What answers this request.
    pub(crate) fn answering<R: Request>(handler: ErasedHandler<S>) -> Self {
        Self {
            interest: R::interest(),
            handler,
            ordered_by: OrderKey::lock_of(&RequestInfo::of::<R>()),
        }
    }

    /// What it wants to receive.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The contract that it handles; `None` if it handles messages of any.
    #[must_use]
    pub fn contract(&self) -> Option<&ContractInfo> {
        match &self.interest {
            Interest::Contract(contract) => Some(contract),
            _ => None,
        }
    }

    /// Handles whatever this interest stands for instead.
    #[must_use]
    pub fn with_interest(mut self, interest: Interest) -> Self {
        self.interest = interest;
        self
    }

    /// Asks every extractor whether the state has what it needs.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] or what an extractor says; the text names the handler.
    pub fn check(&self, state: &S) -> Result<()> {
        check(&*self.handler, state)
    }
}

/// As [`AnyHandler::check`].
pub(crate) fn check<S>(handler: &dyn Erased<S>, state: &S) -> Result<()> {
    let checked = handler.check(state);
    checked.map_err(|error| error.within(format_args!("handler `{}`", handler.name())))
}

impl<S> Clone for AnyHandler<S> {
    fn clone(&self) -> Self {
        Self {
            interest: self.interest.clone(),
            handler: Arc::clone(&self.handler),
            ordered_by: self.ordered_by.clone(),
        }
    }
}

impl<S> fmt::Debug for AnyHandler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHandler")
            .field("name", &self.handler.name())
            .field("interest", &self.interest)
            .finish()
    }
}

struct Typed<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<H: Handler<Args, S>, Args, S> Erased<S> for Typed<H, Args> {
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling> {
        self.handler.call(scope, format)
    }

    fn check(&self, state: &S) -> Result<()> {
        H::check(state)
    }

    fn name(&self) -> &'static str {
        any::type_name::<H>()
    }
}

/// Forgets the types of a handler's arguments.
pub(crate) fn erase<H, Args, S>(handler: H) -> ErasedHandler<S>
where
    H: Handler<Args, S>,
    Args: 'static,
{
    Arc::new(Typed {
        handler,
        args: PhantomData,
    })
}

/// The handler of a request, which knows what type its answer has.
struct Answering<F, Args> {
    function: F,
    args: PhantomData<fn(Args)>,
}

impl<F, Args, S> Erased<S> for Answering<F, Args>
where
    F: Function<Args> + Send + Sync,
    Args: Arguments<S, Message: Request>,
    F::Returned: Future<Output: AnswerOf<<Args::Message as Contract>::Reply>> + Send + 'static,
{
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling> {
        let handling = self.function.apply(Args::make(scope, format)?);
        Ok(answer(write::<Args::Message>, handling, format))
    }

    fn check(&self, state: &S) -> Result<()> {
        Args::check(state)
    }

    fn name(&self) -> &'static str {
        any::type_name::<F>()
    }
}

/// Waits for what a request's handler returns, and writes it.
pub(crate) fn answer<P, F>(write: Write<P>, handling: F, format: Format) -> Handling
where
    P: 'static,
    F: Future<Output: AnswerOf<P>> + Send + 'static,
{
    Box::pin(async move { write(&handling.await.into_answer()?, format) })
}

/// Encodes a reply of this type.
pub(crate) type Write<P> = fn(&P, Format) -> Result<Reply>;

/// Encodes the reply to this request, if it keeps its own rules.
pub(crate) fn write<R: Request>(reply: &R::Reply, format: Format) -> Result<Reply> {
    R::validate_reply(reply).map_err(|invalid| {
        // Not as the source: whoever asked would read it as a fault of the request.
        let context = format!(
            "the answer to {} breaks its rules: {invalid}; correct the handler, or the rules of the reply's type",
            R::info()
        );
        Error::new(ErrorKind::Misuse, context)
    })?;
    let mut bytes = Vec::with_capacity(ANSWER);
    format.encode(reply, &mut bytes)?;
    Ok(Reply::payload(Payload::json(bytes)))
}

impl<S> fmt::Debug for dyn Erased<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
