//! A handler is async.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

fn send_mail(event: UserCreated) {
    drop(event.email);
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
}
