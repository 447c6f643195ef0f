//! The message comes last.

use tidings_core::Metadata;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

async fn send_mail(event: UserCreated, metadata: Metadata) {
    drop((event.email, metadata));
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
}
