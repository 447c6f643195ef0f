//! What a handler may return.
//!
//! The trait lives here, not in the router, so that a reply model can be returned as it is.

use crate::{HandlerError, Reply, error::Result};

/// Becomes a reply or an error.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not something a handler can return",
    note = "return nothing, `Result<(), HandlerError>`, or `Result<(), E>` where `E` implements `std::error::Error`"
)]
pub trait Respond {
    /// Becomes a reply or an error.
    ///
    /// # Errors
    /// The handler's own error, with the outcome it asks for.
    fn respond(self) -> Result<Reply>;
}

impl Respond for () {
    fn respond(self) -> Result<Reply> {
        Ok(Reply::empty())
    }
}

impl Respond for Reply {
    fn respond(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<T: Respond, E: Into<HandlerError>> Respond for std::result::Result<T, E> {
    fn respond(self) -> Result<Reply> {
        match self {
            Ok(value) => value.respond(),
            Err(error) => Err(error.into().into()),
        }
    }
}
