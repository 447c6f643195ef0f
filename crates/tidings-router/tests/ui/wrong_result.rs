//! A handler returns nothing, a reply, or a result of these.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

async fn count(event: UserCreated) -> usize {
    event.email.len()
}

async fn fail(event: UserCreated) -> Result<(), String> {
    Err(event.email)
}

fn main() {
    let _: Router = Router::new().on("count", count);
    let _: Router = Router::new().on("fail", fail);
}
