//! Every argument of a registered handler but the last is an extractor.

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

struct Mailer;

#[handler(crate = tidings_router)]
async fn create_site(mailer: Mailer, request: CreateSite) -> Response<SiteCreated> {
    drop((mailer, request.domain));
    Response::failure("no")
}

#[handler(crate = tidings_router)]
async fn request_first(request: CreateSite, mailer: Mailer) -> Response<SiteCreated> {
    drop((mailer, request.domain));
    Response::failure("no")
}

fn main() {}
