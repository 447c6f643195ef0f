//! What an attribute says must make sense.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{Command, Event};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, topic = "users")]
struct Unknown {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, name = "user created")]
struct BadName {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, name = "")]
struct NoName {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, name = UserCreated)]
struct NameWithoutQuotes {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, version = 5_000_000_000)]
struct VersionTooLarge {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, version = "2")]
struct VersionText {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core, version = 2)]
#[event(version = 3)]
struct Twice {}

#[derive(Command, Serialize, Deserialize, JsonSchema)]
#[command(crate = tidings_core)]
#[event(name = "user.create")]
struct ForeignAttribute {}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event]
struct Empty {}

fn main() {}
