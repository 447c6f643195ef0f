//! A contract has one name and one schema, and can be serialized.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{Command, Event};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct Changed<T> {
    to: T,
}

#[derive(Command)]
#[command(crate = tidings_core)]
union Bits {
    float: f32,
    int: u32,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct Nothing;

fn main() {}
