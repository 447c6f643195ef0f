//! `acc_secret`: shows what it was told after decryption.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidings::{Request, handler, rpc::Response};

#[derive(Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_secret", response = AccSecret, lock = "login", lax, secrets("password"))]
struct AccSecret {
    #[serde(default = "root")]
    login: String,
    password: String,
    #[serde(default)]
    nested: Map<String, Value>,
}

#[handler]
async fn acc_secret(request: AccSecret) -> Response<AccSecret> {
    Response::success("saw it", request)
}

fn root() -> String {
    "root".to_owned()
}
