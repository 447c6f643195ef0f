//! What the handler of a request may return: the reply that its contract names.

use tidings_core::{HandlerError, error::Result};

/// The reply itself, or a `Result` of it with any error.
///
/// You never implement this trait. It exists so that the compiler says which type the contract promises.
#[diagnostic::on_unimplemented(
    message = "the handler of this request must return `{Reply}`, not `{Self}`",
    label = "this function returns `{Self}`",
    note = "return `{Reply}` or `Result<{Reply}, E>`, or say another `response` or `reply` in the request's derive"
)]
pub trait AnswerOf<Reply>: Sized {
    /// The reply, or the handler's error with the outcome that it asks for.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_answer(self) -> Result<Reply>;
}

impl<Reply> AnswerOf<Reply> for Reply {
    fn into_answer(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<Reply, E: Into<HandlerError>> AnswerOf<Reply> for std::result::Result<Reply, E> {
    fn into_answer(self) -> Result<Reply> {
        self.map_err(|error| error.into().into())
    }
}
