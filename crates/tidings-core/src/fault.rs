//! A failure that crosses the wire, as opposed to an [`Error`](crate::Error), which never does.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::Outcome;

/// What the other shore must know of a failure: a code, a sentence and optional details.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The class of the failure.
    pub code: FaultCode,
    /// One sentence for a person.
    pub message: String,
    /// Anything more, for a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl Fault {
    /// A fault of this class.
    #[must_use]
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// Adds details for a program.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

/// The sixteen failure codes of gRPC, which other protocols map onto their own.
/// Source: <https://grpc.io/docs/guides/status-codes/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultCode {
    /// The caller gave up.
    Cancelled,
    /// Something without a better code.
    Unknown,
    /// The request is wrong, whatever the state of the system.
    InvalidArgument,
    /// It was not done in time.
    DeadlineExceeded,
    /// What was asked for is not there.
    NotFound,
    /// What was to be made is there already.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// Something ran out.
    ResourceExhausted,
    /// The system is not in the state that the request needs.
    FailedPrecondition,
    /// A conflict with another request; trying again may help.
    Aborted,
    /// Past the valid range.
    OutOfRange,
    /// Nobody implements this.
    Unimplemented,
    /// An invariant is broken.
    Internal,
    /// Not reachable at the moment; trying again will help.
    Unavailable,
    /// Data is lost or corrupt.
    DataLoss,
    /// The caller did not prove who it is.
    Unauthenticated,
}

impl FaultCode {
    /// What a handling that ends with this code asks for: what may pass by itself is worth another attempt.
    #[must_use]
    pub fn default_outcome(self) -> Outcome {
        match self {
            Self::DeadlineExceeded
            | Self::ResourceExhausted
            | Self::Aborted
            | Self::Unavailable
            | Self::Unknown => Outcome::Retry,
            _ => Outcome::Fatal,
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid argument",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::PermissionDenied => "permission denied",
            Self::ResourceExhausted => "resource exhausted",
            Self::FailedPrecondition => "failed precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out of range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data loss",
            Self::Unauthenticated => "unauthenticated",
        })
    }
}
