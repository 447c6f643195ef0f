//! Every argument but the last must be an extractor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Event;
use tidings_router::Router;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
struct UserCreated {
    email: String,
}

struct Mailer;

async fn send_mail(mailer: Mailer, event: UserCreated) {
    drop((mailer, event.email));
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
}
