//! A request: a contract that asks one receiver for an answer, and what that takes beside a name and a type.

use std::time::Duration;

use serde_json::Value;

use super::{Contract, Invalid};

/// A contract that asks one receiver and gets one answer, [`Reply`](Contract::Reply).
///
/// Users derive it.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use tidings_core::{Contract, Request, contract::{Lock, Request as _}};
///
/// #[derive(Request, Serialize, Deserialize, JsonSchema)]
/// #[request(exchange = "create_site", response = SiteCreated, lock = "domain", secrets("password"))]
/// # #[request(crate = tidings_core)]
/// struct CreateSite {
///     domain: String,
///     password: String,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct SiteCreated {
///     id: u64,
/// }
///
/// assert_eq!(CreateSite::NAME, "create_site");
/// assert_eq!(CreateSite::LOCK, Lock::Member("domain"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request",
    label = "nobody waits for an answer to this",
    note = "derive it: `#[derive(Request, Serialize, Deserialize, JsonSchema)]`, with `#[request(exchange = \"…\", response = T)]`",
    note = "the last argument of a request's handler is the request"
)]
pub trait Request: Contract {
    /// By what requests of this contract exclude one another.
    const LOCK: Lock;

    /// Members that no log, journal or broker may see in clear: paths such as `password` or `database.password`.
    const SECRETS: &'static [&'static str];

    /// How long the answer is remembered for a request that is delivered again; `None` means that it is handled again.
    const REMEMBERED: Option<Duration>;

    /// The value of the member that [`LOCK`](Self::LOCK) names, as JSON; `None` unless it names one.
    ///
    /// It is taken from the decoded request, so that a default counts as the value and `"3"` as 3 where the contract
    /// accepts it.
    fn lock_value(&self) -> Option<String>;

    /// Checks the rules that the type of the answer declares.
    ///
    /// # Errors
    /// Every violated rule, with the path of the member that violates it.
    fn validate_reply(reply: &Self::Reply) -> Result<(), Invalid>;

    /// Requests as they may be sent, for documentation and for trying it out.
    #[must_use]
    fn examples() -> Vec<Value> {
        Vec::new()
    }
}

/// By what the requests of one contract exclude one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lock {
    /// One request at a time, whatever it says. This is what a contract that says nothing means on the wire.
    Whole,
    /// One request at a time for each value of this member.
    Member(&'static str),
    /// Not at all.
    Off,
}
