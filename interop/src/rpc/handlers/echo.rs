//! `acc_echo`: says again what it was told, with letters beyond ASCII in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Request, handler, rpc::Response};

#[derive(Debug, Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "acc_echo", response = Echoed, lock = "name", lax)]
struct AccEcho {
    name: String,
    #[serde(default = "one")]
    amount: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Echoed {
    name: String,
    amount: u64,
    note: String,
}

#[handler]
async fn acc_echo(AccEcho { name, amount }: AccEcho) -> Response<Echoed> {
    let note = "café".to_owned();
    Response::success("Echoed é", Echoed { name, amount, note })
}

fn one() -> u64 {
    1
}
