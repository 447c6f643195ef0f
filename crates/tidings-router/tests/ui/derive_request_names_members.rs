//! A lock and a secret name a member as callers write it, or they would protect nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Request;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = ())]
#[request(lock = "domian", secrets("pasword", "database.password"))]
struct Misspelt {
    domain: String,
    password: String,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = "server_name")]
#[serde(rename_all = "camelCase")]
struct Renamed {
    server_name: String,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = "cache")]
struct Skipped {
    domain: String,
    #[serde(skip)]
    cache: u8,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Owner {
    owner: String,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = "owner")]
struct Flattened {
    #[serde(flatten)]
    owner: Owner,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = "domain")]
enum Either {
    Site { domain: String },
    Nothing {},
}

fn main() {}
