//! The usual model of an answer: whether it went well, a sentence, and data.

use std::{fmt, iter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Invalid, Place, Violation};
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

    /// Checks the data, if there is any; what is wrong is then in `data`.
    ///
    /// # Errors
    /// What the check says.
    pub fn check_data(&self, check: impl FnOnce(&T) -> Result<(), Invalid>) -> Result<(), Invalid> {
        let checked = self.data.as_ref().map_or(Ok(()), check);
        checked.map_err(|invalid| {
            let inside = |violation: &Violation| {
                let data = iter::once(Place::Member("data".into()));
                let location = data.chain(violation.location.iter().cloned()).collect();
                Violation::new(location, violation.message.clone(), violation.code.clone())
            };
            Invalid::new(invalid.violations().iter().map(inside).collect())
        })
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

/// How much room an answer gets at first.
const ANSWER: usize = 512;

impl<T: Serialize> Respond for Response<T> {
    fn respond(self) -> Result<Reply> {
        let mut bytes = Vec::with_capacity(ANSWER);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_data_is_said_to_be_in_data() {
        let refuse = |_: &u8| {
            let location = vec![Place::Member("sites".into()), Place::Element(2)];
            Err(Invalid::new(vec![Violation::new(
                location,
                "too small",
                "value_error",
            )]))
        };
        let invalid = Response::success("done", 1).check_data(refuse).unwrap_err();
        assert_eq!(invalid.to_string(), "`data.sites[2]`: too small");
        assert_eq!(invalid.violations()[0].location.len(), 3);
        assert_eq!(Response::failure("no").check_data(refuse), Ok(()));
    }
}
