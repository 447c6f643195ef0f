//! What a handler is, and how its arguments are made from a call.

mod erased;

use std::future::Future;

use tidings_core::{
    codec::Format,
    convention::Interest,
    error::Result,
    extract::{FromCall, Scope},
    message::FromMessage,
    reply::Reply,
    transport::BoxFuture,
};

pub(crate) use self::erased::{ErasedHandler, erase};
use crate::respond::Respond;

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
    label = "this function cannot handle a message",
    note = "a handler is an `async fn` with up to eight extractors and, as its last argument, a message",
    note = "it returns nothing, `Result<(), HandlerError>`, or `Result<(), E>` with any error type",
    note = "its future must be `Send`: hold no `Rc`, `RefCell` guard or `MutexGuard` across an `.await`"
)]
pub trait Handler<Args, S>: Clone + Send + Sync + 'static {
    /// What a subscriber with this handler wants to receive.
    fn interest() -> Interest;

    /// Makes the arguments and calls the function.
    ///
    /// # Errors
    /// What kept an argument from being made.
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling>;
}

macro_rules! handlers {
    ($($($extractor:ident)*;)*) => {$(
        impl<F, Fut, S, M, $($extractor,)*> Handler<($($extractor,)* M,), S> for F
        where
            F: Fn($($extractor,)* M) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Respond,
            M: FromMessage,
            $($extractor: FromCall<S> + Send,)*
        {
            fn interest() -> Interest {
                M::interest()
            }
            fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling> {
                let handling = self($($extractor::from_call(scope)?,)* M::from_message(scope.opened, format)?);
                Ok(Box::pin(async move { handling.await.respond() }))
            }
        }
    )*};
}

handlers! {
    ;
    T1;
    T1 T2;
    T1 T2 T3;
    T1 T2 T3 T4;
    T1 T2 T3 T4 T5;
    T1 T2 T3 T4 T5 T6;
    T1 T2 T3 T4 T5 T6 T7;
    T1 T2 T3 T4 T5 T6 T7 T8;
}
