//! `acc_boom` and `acc_badreturn`: fail for reasons that are no business of their callers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{HandlerError, Request, handler, rpc::Response};

#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_boom", response = (), lock = "name", lax)]
struct AccBoom {
    #[serde(default = "x")]
    name: String,
}

#[handler]
#[expect(clippy::panic, reason = "this is what the handler is for")]
async fn acc_boom(request: AccBoom) -> Response<()> {
    panic!("boom for {} bytes", request.name.len())
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_badreturn", response = (), lock = "name", lax)]
struct AccBadreturn {
    #[serde(default = "x")]
    name: String,
}

#[handler]
async fn acc_badreturn(request: AccBadreturn) -> Result<Response<()>, HandlerError> {
    let reason = format!("nothing to return for {} bytes", request.name.len());
    Err(HandlerError::fatal(reason))
}

fn x() -> String {
    "x".to_owned()
}
