//! What a handler is, and how its arguments are made from a call.
//!
//! Three traits instead of one, because of the compiler's messages: it names a wrong argument, result or future
//! only if choosing the implementation does not depend on them. [`Function`] therefore looks at the number of
//! arguments alone, [`Arguments`] at their types, and [`Handler`], which is what users meet, has one
//! implementation that asks for both. `tests/ui` holds the messages that come of it.

mod answer;
mod arguments;
mod erased;
mod function;

use std::future::Future;

use tidings_core::{
    codec::Format, convention::Interest, error::Result, extract::Scope, reply::Reply,
    respond::Respond, transport::BoxFuture,
};

pub(crate) use self::erased::{Erased, ErasedHandler, Write, answer, check, write};
pub use self::{answer::AnswerOf, arguments::Arguments, erased::AnyHandler, function::Function};

/// A handler at work. This box is the one allocation that a message costs beyond its decoding.
pub type Handling = BoxFuture<'static, Result<Reply>>;

/// An async function that takes up to eight extractors and then the message.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tidings_core::{Event, HandlerError, Metadata};
/// # use tidings_router::{Subscriber, State};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// # #[event(crate = tidings_core)]
/// # struct UserCreated { email: String }
/// async fn greet(State(greeting): State<String>, metadata: Metadata, event: UserCreated) -> Result<(), HandlerError> {
///     assert_eq!(metadata.name, "user.created");
///     Ok(())
/// }
/// let subscriber = Subscriber::new("greet").on(greet);
/// # let _: Subscriber<String> = subscriber;
/// ```
///
/// You never implement this trait: every fitting function has it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "this cannot handle a message",
    note = "a handler is an `async fn` with up to eight extractors and, as its last argument, a message",
    note = "a closure can be one too, if the types of its arguments are written down"
)]
pub trait Handler<Args, S>: Clone + Send + Sync + 'static {
    /// What a subscriber with this handler wants to receive.
    fn interest() -> Interest;

    /// Asks every extractor whether the state has what it needs, before anything is received.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    fn check(state: &S) -> Result<()>;

    /// Makes the arguments and calls the function.
    ///
    /// # Errors
    /// What kept an argument from being made.
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling>;
}

impl<F, Args, S> Handler<Args, S> for F
where
    F: Function<Args> + Clone + Send + Sync + 'static,
    Args: Arguments<S>,
    F::Returned: Future<Output: Respond> + Send + 'static,
{
    fn interest() -> Interest {
        Args::interest()
    }

    fn check(state: &S) -> Result<()> {
        Args::check(state)
    }

    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling> {
        let handling = self.apply(Args::make(scope, format)?);
        Ok(Box::pin(async move { handling.await.respond() }))
    }
}
