//! A registered handler returns the reply that the derive of its request names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{HandlerError, Request, contract::Response};
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
async fn data_only(request: CreateSite) -> Result<SiteCreated, HandlerError> {
    drop(request.domain);
    Ok(SiteCreated { id: 1 })
}

#[handler(crate = tidings_router)]
async fn nothing(request: CreateSite) {
    drop(request.domain);
}

#[handler(crate = tidings_router)]
async fn error_that_is_no_error(request: CreateSite) -> Result<Response<SiteCreated>, u8> {
    drop(request.domain);
    Err(1)
}

fn main() {}
