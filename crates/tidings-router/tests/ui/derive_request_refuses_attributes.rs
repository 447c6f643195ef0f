//! What the attribute of a request says must make sense.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::Request;

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core)]
struct SaysNothing {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, topic = "sites")]
struct Unknown {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, name = "create_site", response = ())]
struct NamedAsAnEvent {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "amq.direct", response = ())]
struct OfTheBroker {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create site", response = ())]
struct BadName {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), reply = u8)]
struct TwoAnswers {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = none)]
struct LockOfNone {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lock = domain)]
struct LockWithoutQuotes {
    domain: String,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), lax = true)]
struct LaxWithValue {}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), secrets = "password")]
struct SecretsWithoutList {
    password: String,
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "create_site", response = (), remembered = "for a while")]
struct RememberedSomehow {}

fn main() {}
