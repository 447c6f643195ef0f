//! The arguments of a handler: any number of extractors, then the message.

use tidings_core::{
    codec::Format,
    convention::Interest,
    error::Result,
    extract::{FromCall, Scope},
    message::FromMessage,
};

/// A tuple of up to eight extractors and, last, a message.
///
/// You never implement this trait: implement [`FromCall`] for an extractor, derive `Event` or `Command` for a message.
pub trait Arguments<S>: Sized {
    /// The last of them.
    type Message: FromMessage;

    /// What a subscriber with such a handler wants to receive.
    fn interest() -> Interest;

    /// Asks every extractor whether the state has what it needs.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    fn check(state: &S) -> Result<()>;

    /// Makes the arguments from left to right, so that the message is decoded last.
    ///
    /// # Errors
    /// What kept an argument from being made.
    fn make(scope: &Scope<'_, S>, format: Format) -> Result<Self>;
}

macro_rules! arguments {
    ($($($extractor:ident)*;)*) => {$(
        impl<S, M, $($extractor,)*> Arguments<S> for ($($extractor,)* M,)
        where
            M: FromMessage,
            $($extractor: FromCall<S>,)*
        {
            type Message = M;

            fn interest() -> Interest {
                M::interest()
            }

            fn check(state: &S) -> Result<()> {
                let _ = state;
                $($extractor::check(state)?;)*
                Ok(())
            }

            fn make(scope: &Scope<'_, S>, format: Format) -> Result<Self> {
                Ok(($($extractor::from_call(scope)?,)* M::from_message(scope.opened, format)?,))
            }
        }
    )*};
}

arguments! {
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
