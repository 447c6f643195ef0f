//! The JSON Schema of a contract, for documentation, catalogues and compatibility checks.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

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

/// The JSON Schema (draft 2020-12) of what `T` may be deserialized from: members with a default may be absent.
#[must_use]
pub fn of_input<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
}
