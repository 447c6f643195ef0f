//! A contract: the name, version, kind and reply type of a message, tied to a Rust type.
//!
//! Users derive it (`#[derive(Event)]`, `#[derive(Command)]`, `#[derive(Request)]`); everything else in Tidings reads it.
//! What a contract looks like on a wire is decided by a [`Convention`](crate::convention::Convention).

#[doc(hidden)]
pub mod derived;
mod request;
mod response;
mod rules;
mod validation;

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    request::{Lock, Request},
    response::Response,
    rules::{Rules, Shape},
    validation::{Invalid, Place, Violation, probe},
};
use crate::{codec::Format, error::Result};

/// What a message means, for both sides and for the documentation.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use tidings_core::{Contract, Event};
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(version = 2, crate = tidings_core)]
/// struct InvoiceIssued {
///     number: String,
/// }
/// assert_eq!(InvoiceIssued::NAME, "invoice.issued");
/// assert_eq!(InvoiceIssued::VERSION, 2);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "this type has no contract",
    note = "derive one: `#[derive(Event, Serialize, Deserialize, JsonSchema)]` (or `Command`, or `Request`)",
    note = "the last argument of a handler is its message; `AnyMessage` stands for any"
)]
pub trait Contract: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The dotted name, for example `user.created`.
    const NAME: &'static str;
    /// The version, 1 unless the derive says otherwise.
    const VERSION: u32;
    /// Event, command or call.
    const KIND: Kind;
    /// What a caller gets back: `()` unless the kind is [`Kind::Call`].
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// Checks the rules that the type declares, for example with `#[derive(garde::Validate)]`.
    ///
    /// # Errors
    /// Every violated rule, with the path of the member that violates it.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Decodes the fields; the rules are checked afterwards, by [`validate`](Self::validate).
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) if the bytes are not in this format,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with an [`Invalid`] as its source if they are and the members
    /// do not fit. Only requests tell the two apart, and name every member that does not fit.
    fn decode(format: Format, body: &[u8]) -> Result<Self> {
        format
            .decode(body)
            .map_err(|error| error.within(Self::info()))
    }

    /// Name, version and kind as a value.
    #[must_use]
    fn info() -> ContractInfo {
        ContractInfo {
            name: Self::NAME,
            version: Self::VERSION,
            kind: Self::KIND,
        }
    }
}

/// A contract that states a fact: any number of receivers, no answer.
pub trait Event: Contract {}

/// A contract that asks one receiver to act: no answer.
pub trait Command: Contract {}

/// Name, version and kind of a contract, without its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContractInfo {
    /// The dotted name, for example `user.created`.
    pub name: &'static str,
    /// The version.
    pub version: u32,
    /// Event, command or call.
    pub kind: Kind,
}

impl fmt::Display for ContractInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} v{}", self.kind, self.name, self.version)
    }
}

/// How many receivers a message has, and whether one of them answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Any number of receivers, no answer.
    Event,
    /// One receiver, no answer.
    Command,
    /// One receiver, one answer.
    Call,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Call => "call",
        })
    }
}
