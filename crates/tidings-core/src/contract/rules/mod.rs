//! How the bytes of a request become its fields, and the complete list of what is wrong with them if they do not.
//!
//! serde and the type's own rules decide what a request is; they stop at the first member that does not fit and
//! know no lax numbers. So bytes go straight to serde, and only those that it refuses are read again, slowly and by
//! the JSON Schema of the type, to forgive what the contract forgives and to name everything else. This module
//! deliberately validates nothing that serde and the type accept.

mod json;
mod number;
mod plan;
mod quotes;
mod scalar;
mod tree;
mod walk;

use std::{fmt, sync::OnceLock};

use schemars::Schema;

use self::{json::Json, plan::Plan, quotes::unquoted, walk::Walked};
use super::{Contract, Invalid, Place, Violation};
use crate::{
    codec::{Format, without_values},
    error::{Error, ErrorKind, Result},
};

/// What a contract forgives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rules {
    /// Nothing: a number is a number and a string is a string.
    #[default]
    Strict,
    /// What the lax mode of pydantic 2 forgives, so that every request that a Python handler accepts is accepted:
    /// `"3"`, `3.0` and `true` for 3, `"yes"` for true, the last of two members with one name.
    Lax,
}

/// The schema of a contract together with what it forgives: one `static` per contract, made by its derive.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use tidings_core::{Command, codec::Format, contract::{Rules, Shape}, schema};
///
/// #[derive(Command, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
/// #[command(crate = tidings_core)]
/// struct Resize {
///     width: u32,
/// }
/// static SHAPE: Shape = Shape::new(schema::of_input::<Resize>, Rules::Strict);
///
/// assert_eq!(SHAPE.decode::<Resize>(Format::Json, br#"{"width": 3}"#)?, Resize { width: 3 });
/// # Ok::<(), tidings_core::Error>(())
/// ```
pub struct Shape {
    schema: fn() -> Schema,
    rules: Rules,
    plan: OnceLock<Plan>,
}

impl Shape {
    /// A shape by this schema, which has to be the one of the type in [`decode`](Self::decode).
    ///
    /// The schema is made when a message first fails to fit.
    #[must_use]
    pub const fn new(schema: fn() -> Schema, rules: Rules) -> Self {
        Self {
            schema,
            rules,
            plan: OnceLock::new(),
        }
    }

    /// What it forgives.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Decodes a message and checks its rules, so that one list says everything that is wrong with it.
    ///
    /// The list names a thousand violations at most. What only the type itself can refuse (a constructor that
    /// returns an error) is named once: serde stops there.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] with the place if the bytes are not JSON, [`ErrorKind::Invalid`] if they do not fit, both with
    /// an [`Invalid`] as their source. No text quotes a value.
    pub fn decode<T: Contract>(&self, format: Format, body: &[u8]) -> Result<T> {
        match format {
            Format::Json | Format::PythonJson => {}
        }
        // serde makes a struct of a list, too; a message is an object.
        if body.trim_ascii_start().starts_with(b"[") && self.plan().is_record() {
            return self.explain(body, Refusal::Positions);
        }
        let refusal = match serde_json::from_slice::<T>(body) {
            Ok(message) => match message.validate() {
                Ok(()) => return Ok(message),
                Err(broken) => Refusal::Type(broken),
            },
            Err(error) => Refusal::Serde(error),
        };
        self.explain(body, refusal)
    }

    fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| Plan::new(&self.schema()))
    }

    /// The second, slow reading of a message that serde or the type has refused.
    #[cold]
    fn explain<T: Contract>(&self, body: &[u8], refusal: Refusal) -> Result<T> {
        let document = json::read(body, self.rules).map_err(|error| {
            let json::Unreadable {
                reason,
                line,
                column,
            } = error;
            let reason = format!("{reason} at line {line} column {column}");
            let context = format!("{}: cannot decode the message: {reason}", T::info());
            let unreadable = Violation::new(Vec::new(), reason, "json_invalid");
            Error::new(ErrorKind::Decode, context).with_source(Invalid::new(vec![unreadable]))
        })?;
        let walked = walk::walk(self.plan(), self.rules, document);
        let broken = match refusal {
            Refusal::Positions => Invalid::new(Vec::new()),
            Refusal::Type(broken) => broken,
            Refusal::Serde(error) => match (made::<T>(walked.document.clone()), self.rules) {
                (Ok(_), _) if walked.refused => Invalid::new(Vec::new()),
                (Ok(message), Rules::Lax) => return Ok(message),
                (Ok(_), Rules::Strict) => as_serde_says(&error),
                (Err(broken), _) => broken,
            },
        };
        let invalid = complete(walked, broken);
        let context = format!("{} breaks its rules: {invalid}", T::info());
        Err(Error::new(ErrorKind::Invalid, context).with_source(invalid))
    }
}

/// Who refused the bytes at first.
enum Refusal {
    Positions,
    Serde(serde_json::Error),
    Type(Invalid),
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The message that the type makes of a document, or why it does not.
fn made<T: Contract>(document: Json) -> Result<T, Invalid> {
    let message = T::deserialize(document).map_err(|mismatch| {
        let (location, reason) = mismatch.into_parts();
        let message = format!("Value error, {reason}");
        Invalid::new(vec![Violation::new(location, message, "value_error")])
    })?;
    message.validate()?;
    Ok(message)
}

/// What the walk has named, and what the type refuses beyond that.
fn complete(walked: Walked, broken: Invalid) -> Invalid {
    let (named, document) = (&walked.violations, &walked.document);
    let unnamed = |violation: &Violation| {
        let mut named = named.iter();
        !named.any(|known| one_way(&known.location, &violation.location))
    };
    let broken = broken.into_violations().into_iter();
    let broken = broken
        .filter(unnamed)
        .map(|violation| unquoted(violation, document));
    let broken: Vec<_> = broken.collect();
    let mut violations = walked.violations;
    violations.extend(broken);
    Invalid::new(violations)
}

/// Whether one of the two leads on from the other: a missing member is missed by the record it is missing in.
fn one_way(a: &[Place], b: &[Place]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// What is left when a strict contract refuses a document in which every value fits: a member is there twice.
fn as_serde_says(error: &serde_json::Error) -> Invalid {
    let message = format!("Value error, {}", without_values(&error.to_string()));
    Invalid::new(vec![Violation::new(Vec::new(), message, "value_error")])
}
