//! A message has a schema.

use serde::{Deserialize, Serialize};
use tidings_core::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

fn main() {}
