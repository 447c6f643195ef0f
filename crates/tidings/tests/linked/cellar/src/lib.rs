//! Handlers that the linker leaves out of a program that never names this crate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Request, contract::Response, handler};

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(exchange = "linked_fetch_wine", response = ())]
struct FetchWine {}

#[handler]
async fn fetch_wine(FetchWine {}: FetchWine) -> Response<()> {
    Response::done("Fetched")
}
