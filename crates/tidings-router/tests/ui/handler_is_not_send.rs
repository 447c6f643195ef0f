//! A registered handler runs on any thread: what it holds across an `await` must be `Send`, and its state shareable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{Request, contract::Response};
use tidings_router::registry::handler;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = SiteCreated)]
struct CreateSite {
    domain: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct SiteCreated {
    id: u64,
}

#[handler(crate = tidings_router)]
async fn create_site(request: CreateSite) -> Response<SiteCreated> {
    let shared = std::rc::Rc::new(request.domain);
    std::future::ready(()).await;
    Response::failure(&**shared)
}

#[handler(crate = tidings_router)]
async fn counts(
    count: tidings_router::State<std::rc::Rc<u8>>,
    request: CreateSite,
) -> Response<SiteCreated> {
    drop(count);
    Response::failure(request.domain)
}

fn main() {}
