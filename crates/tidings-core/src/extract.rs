//! What a handler may ask for, beside its message.
//!
//! The trait lives here, not in the router, so that any crate can offer an extractor: `tidings-client`
//! offers its `Client` in this way.

use crate::{
    Call, Deadline, Headers, Metadata,
    convention::{Attachment, Opened},
    error::Result,
    extensions::Extensions,
};

/// Everything that is known while a handler's arguments are made.
#[derive(Debug)]
pub struct Scope<'a, S> {
    /// What is being handled.
    pub call: &'a Call,
    /// What its convention read out of the envelope.
    pub opened: &'a Opened<'a>,
    /// Whose queue it came out of.
    pub attachment: &'a Attachment,
    /// The application's state.
    pub state: &'a S,
    /// What the runtime offers to handlers, by type.
    pub services: &'a Extensions,
}

/// An argument of a handler, made from the call before the message is decoded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "a handler cannot ask for this",
    note = "ask for `State<T>`, `Metadata`, `Headers`, `Deadline`, `Origin`, `Client`, or implement `FromCall`",
    note = "the message itself must be the last argument"
)]
pub trait FromCall<S>: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    /// Whatever keeps the handler from running: it counts as a failed handling with the error's outcome.
    fn from_call(scope: &Scope<'_, S>) -> Result<Self>;

    /// Asked once, before anything is received: whether the state has what this argument needs.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    fn check(state: &S) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

impl<S> FromCall<S> for Metadata {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        Ok(scope.opened.to_metadata())
    }
}

impl<S> FromCall<S> for Headers {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        Ok(scope.call.envelope.headers.clone())
    }
}

impl<S> FromCall<S> for Deadline {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        Ok(scope.call.deadline)
    }
}

impl<S> FromCall<S> for crate::call::Origin {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        let queue = std::sync::Arc::clone(&scope.attachment.queue);
        Ok(scope.call.origin.clone().unwrap_or(Self {
            queue,
            redelivered: false,
        }))
    }
}

impl<S, T: FromCall<S>> FromCall<S> for Option<T> {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        Ok(T::from_call(scope).ok())
    }
}
