//! A handler may ask for the router's state or for a part that knows how to be taken out of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

#[derive(Clone)]
struct Mailer;

async fn send_mail(_: tidings_router::State<Mailer>, event: UserCreated) {
    drop(event.email);
}

fn main() {
    let _ = Router::<String>::new().on("send_mail", send_mail);
}
