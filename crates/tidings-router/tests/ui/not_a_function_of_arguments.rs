//! Nine extractors are one too many, and arguments are taken by value.

use tidings_core::Deadline as D;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

#[expect(clippy::too_many_arguments, reason = "that is the point")]
async fn send_mail(_: D, _: D, _: D, _: D, _: D, _: D, _: D, _: D, _: D, event: UserCreated) {
    drop(event.email);
}

async fn by_reference(event: &UserCreated) {
    drop(&event.email);
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
    let _: Router = Router::new().on("by_reference", by_reference);
}
