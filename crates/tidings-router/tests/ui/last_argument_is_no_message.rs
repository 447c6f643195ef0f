//! The last argument must be a message.

use tidings_router::Router;

struct UserCreated {
    email: String,
}

async fn send_mail(event: UserCreated) {
    drop(event.email);
}

fn main() {
    let _: Router = Router::new().on("send_mail", send_mail);
}
