//! The JSON Schema of a contract, for documentation, catalogues and compatibility checks.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};

use crate::contract::Contract;

/// The JSON Schema (draft 2020-12) of what `T` looks like when serialized.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use tidings_core::Event;
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// # #[event(crate = tidings_core)]
/// struct UserCreated {
///     /// Who signed up.
///     email: String,
/// }
/// let schema = tidings_core::schema::of::<UserCreated>();
/// assert_eq!(schema.as_value()["properties"]["email"]["description"], "Who signed up.");
/// ```
#[must_use]
pub fn of<T: Contract>() -> Schema {
    generator().into_root_schema_for::<T>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
}
