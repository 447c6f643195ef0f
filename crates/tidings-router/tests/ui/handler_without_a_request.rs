//! The last argument of a registered handler is a request, and an event is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{Event, HandlerError, Metadata};
use tidings_router::registry::handler;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

struct NoMessage;

#[handler(crate = tidings_router)]
async fn send_mail(event: UserCreated) -> Result<(), HandlerError> {
    drop(event.email);
    Ok(())
}

#[handler(crate = tidings_router)]
async fn without_contract(metadata: Metadata, message: NoMessage) {
    drop((metadata, message));
}

fn main() {}
