//! A request is an object with one name and one schema, and so is what it is answered with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Request;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = ())]
struct Unit;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = ())]
struct List(String, u8);

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = ())]
struct Generic<T> {
    of: T,
}

#[derive(Request)]
#[request(crate = tidings_core, exchange = "create_site", response = ())]
union Bits {
    bits: u8,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), example = "example.com")]
struct WrongExample {
    domain: String,
}

#[derive(Serialize, Deserialize)]
struct WithoutSchema;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", reply = WithoutSchema)]
struct AnswerWithoutSchema {}

fn main() {}
