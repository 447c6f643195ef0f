//! The usual model of an answer: whether it went well, a sentence, and data.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Payload, Reply, codec::Format, error::Result, respond::Respond};

/// An answer with a sentence for people and data for programs.
///
/// ```
/// use tidings_core::contract::Response;
///
/// let response = Response::success("Created", 7);
/// assert_eq!(serde_json::to_string(&response)?, r#"{"success":true,"message":"Created","data":7}"#);
/// assert_eq!(Response::<u8>::failure("Quota exceeded").into_result(), Err("Quota exceeded".to_owned()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Response<T> {
    /// Whether what was asked for was done.
    pub success: bool,
    /// One sentence for a person.
    pub message: String,
    /// What a program needs; always written, `null` if there is nothing.
    pub data: Option<T>,
}

impl<T> Response<T> {
    /// It was done, and this is what came of it.
    #[must_use]
    pub fn success(message: impl Into<String>, data: T) -> Self {
        Self {
            success: true,
            message: message.into(),
            data: Some(data),
        }
    }

    /// It was not done.
    #[must_use]
    pub fn failure(message: impl Into<String>) -> Self {
        Self {
            success: false,
            message: message.into(),
            data: None,
        }
    }

    /// The data of a success, the sentence of a failure. A success without data is `None`.
    ///
    /// # Errors
    /// The message, if it was not done.
    pub fn into_result(self) -> Result<Option<T>, String> {
        if self.success {
            Ok(self.data)
        } else {
            Err(self.message)
        }
    }
}

impl Response<()> {
    /// It was done; there is nothing more to say.
    #[must_use]
    pub fn done(message: impl Into<String>) -> Self {
        Self {
            success: true,
            message: message.into(),
            data: None,
        }
    }
}

impl<T: Serialize> Respond for Response<T> {
    fn respond(self) -> Result<Reply> {
        let mut bytes = Vec::with_capacity(128);
        Format::Json.encode(&self, &mut bytes)?;
        Ok(Reply::payload(Payload::json(bytes)))
    }
}

impl<T> fmt::Display for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.success { "success" } else { "failure" };
        write!(f, "{how}: {}", self.message)
    }
}
