//! What a handler holds across an await must be Send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

async fn send_mail(event: UserCreated) {
    let shared = std::rc::Rc::new(event.email);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
}
