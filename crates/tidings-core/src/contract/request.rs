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

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::{Kind, codec::Format};

    #[derive(Debug, Serialize, Deserialize, JsonSchema, tidings_macros::Request)]
    #[request(exchange = "rent_room", response = Rented, lock = "roomNumber", lax, crate = crate)]
    #[request(secrets("guest.pin"), remembered = "1 h 30 min")]
    #[request(example = Self::of(Some(7)), example = Self::of(None))]
    #[serde(rename_all = "camelCase")]
    struct RentRoom {
        #[serde(default = "any_room")]
        room_number: Option<u32>,
        guest: Guest,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Guest {
        pin: String,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema, garde::Validate)]
    struct Rented {
        #[garde(range(min = 1))]
        price: u32,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema, tidings_macros::Request)]
    #[request(exchange = "price", reply = Rented, lock = off, crate = crate)]
    struct Price {
        nights: u32,
    }

    fn any_room() -> Option<u32> {
        Some(1)
    }

    impl RentRoom {
        fn of(room_number: Option<u32>) -> Self {
            let guest = Guest { pin: "1234".into() };
            Self { room_number, guest }
        }
    }

    #[test]
    fn a_derived_request_has_what_its_attribute_says() {
        assert_eq!((RentRoom::NAME, RentRoom::KIND), ("rent_room", Kind::Call));
        assert_eq!(RentRoom::LOCK, Lock::Member("roomNumber"));
        assert_eq!(RentRoom::SECRETS, ["guest.pin"]);
        assert_eq!(RentRoom::REMEMBERED, Some(Duration::from_secs(5_400)));
        let example = |room| json!({"roomNumber": room, "guest": {"pin": "1234"}});
        assert_eq!(RentRoom::examples(), [example(Some(7)), example(None)]);
        assert_eq!((Price::LOCK, Price::REMEMBERED), (Lock::Off, None));
        assert!(Price::SECRETS.is_empty() && Price::examples().is_empty());
    }

    #[test]
    fn the_value_of_a_lock_is_that_of_the_decoded_member() {
        let lock = |body: &str| {
            let request = RentRoom::decode(Format::Json, body.as_bytes()).unwrap();
            request.lock_value()
        };
        let check = |body, value: &str| assert_eq!(lock(body).as_deref(), Some(value), "{body}");
        check(r#"{"roomNumber": 3, "guest": {"pin": ""}}"#, "3");
        check(r#"{"roomNumber": "3.0", "guest": {"pin": ""}}"#, "3");
        check(r#"{"guest": {"pin": ""}}"#, "1");
        check(r#"{"roomNumber": null, "guest": {"pin": ""}}"#, "null");
        assert_eq!(Price { nights: 2 }.lock_value(), None);
    }

    #[test]
    fn the_rules_of_an_answer_are_checked_where_they_are() {
        let response = |price| super::super::Response::success("Rented", Rented { price });
        assert_eq!(RentRoom::validate_reply(&response(1)), Ok(()));
        let invalid = RentRoom::validate_reply(&response(0)).unwrap_err();
        assert_eq!(invalid.violations()[0].path, "data.price");
        assert_eq!(Price::validate_reply(&Rented { price: 1 }), Ok(()));
        let invalid = Price::validate_reply(&Rented { price: 0 }).unwrap_err();
        assert_eq!(invalid.violations()[0].path, "price");
    }

    #[test]
    fn only_a_lax_request_forgives_a_spelling() {
        let strict = Price::decode(Format::Json, br#"{"nights": "3"}"#).unwrap_err();
        let invalid = strict.source_ref::<Invalid>().unwrap();
        assert_eq!(invalid.violations()[0].path, "nights");
        assert!(Price::decode(Format::Json, br#"{"nights": 3}"#).is_ok());
    }
}
