//! How the bytes of a request become its fields, and the complete list of what is wrong with them if they do not.
//!
//! serde and the type's own rules decide what a request is; they stop at the first member that does not fit and
//! know no lax numbers. So bytes go straight to serde, and only those that it refuses are read again, slowly and by
//! the JSON Schema of the type, to forgive what the contract forgives and to name everything else. This module
//! deliberately validates nothing that serde and the type accept.

use schemars::Schema;

use super::{Contract, Invalid};
use crate::{
    codec::Format,
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
#[derive(Debug)]
pub struct Shape {
    schema: fn() -> Schema,
    rules: Rules,
}

impl Shape {
    /// A shape by this schema, which has to be the one of the type in [`decode`](Self::decode).
    ///
    /// The schema is made when a message first fails to fit.
    #[must_use]
    pub const fn new(schema: fn() -> Schema, rules: Rules) -> Self {
        Self { schema, rules }
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
    /// # Errors
    /// [`ErrorKind::Decode`] with the place if the bytes are not JSON, [`ErrorKind::Invalid`] with an [`Invalid`] as
    /// its source if they do not fit. No text quotes a value.
    pub fn decode<T: Contract>(&self, format: Format, body: &[u8]) -> Result<T> {
        let message: T = format
            .decode(body)
            .map_err(|error| error.within(T::info()))?;
        match message.validate() {
            Ok(()) => Ok(message),
            Err(invalid) => Err(refused::<T>(invalid)),
        }
    }
}

fn refused<T: Contract>(invalid: Invalid) -> Error {
    let context = format!("{} breaks its rules: {invalid}", T::info());
    Error::new(ErrorKind::Invalid, context).with_source(invalid)
}
