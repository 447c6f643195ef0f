//! `#[handler]` and `#[derive(Request)]` together, as a user writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{
    ErrorKind, HandlerError, Headers, Request,
    codec::Format,
    contract::{Invalid, Lock, Response},
};
use tidings_router::{
    Route, Router, State, States, Subscriber,
    registry::{Registered, Registration, handler},
};

use crate::bench::{call, send};

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "rent_room", response = Rented, lock = "room", lax)]
#[request(secrets("pin"), example = RentRoom { room: 7, pin: None })]
struct RentRoom {
    room: u32,
    pin: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, garde::Validate)]
struct Rented {
    #[garde(range(max = 400))]
    price: u32,
}

#[derive(Clone)]
struct Prices {
    night: u32,
}

#[handler(crate = tidings_router)]
async fn rent_room(
    State(prices): State<Prices>,
    _: Headers,
    request: RentRoom,
) -> Result<Response<Rented>, HandlerError> {
    if request.room == 13 {
        return Err(HandlerError::fatal("there is no room 13"));
    }
    let price = prices.night * request.room;
    Ok(Response::success("Rented", Rented { price }))
}

/// Its names are those that the generated code could have.
#[handler(crate = tidings_router)]
async fn scope(states: State<Prices>, format: CleanRoom) -> Cleaned {
    let after = u32::from(format.r#async);
    Cleaned(states.night + after)
}

#[derive(Request, Serialize, Deserialize, JsonSchema)]
#[request(crate = tidings_core, exchange = "clean_room", reply = Cleaned, lock = "async")]
struct CleanRoom {
    r#async: bool,
}

/// An answer of its own needs nothing but what every reply needs.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Cleaned(u32);

#[handler(crate = tidings_router)]
#[cfg(any())]
async fn never(request: NoSuchType) {}

fn registered(exchange: &str) -> Registration {
    *Registered::all().unwrap().get(exchange).unwrap()
}

fn route(exchange: &str, states: States) -> Route {
    let handler = (registered(exchange).handler)();
    let subscriber = Subscriber::new("hotel").on_any(handler);
    let router = Router::new().subscriber(subscriber).with_state(states);
    router.into_routes().remove(0)
}

async fn answer(exchange: &str, body: &str) -> tidings_core::Result<Value> {
    let route = route(exchange, States::new().with(Prices { night: 50 }));
    let reply = send(&route, call(body)).await?;
    let payload = reply.into_result().unwrap().unwrap();
    Format::Json.decode(&payload.bytes)
}

#[tokio::test]
async fn a_handler_answers_with_the_reply_of_its_request() {
    let answered = answer("rent_room", r#"{"room": "3"}"#).await.unwrap();
    let expected = json!({"success": true, "message": "Rented", "data": {"price": 150}});
    assert_eq!(answered, expected);
    let cleaned = answer("clean_room", r#"{"async": true}"#).await.unwrap();
    assert_eq!(cleaned, json!(51));
}

#[tokio::test]
async fn what_the_handler_fails_with_is_the_error() {
    let error = answer("rent_room", r#"{"room": 13}"#).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handler);
    assert!(error.chain().contains("there is no room 13"), "{error:?}");
}

#[tokio::test]
async fn data_that_breaks_its_rules_is_never_sent() {
    let error = answer("rent_room", r#"{"room": 9}"#).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("`data.price`"), "{error}");
}

#[tokio::test]
async fn every_member_that_does_not_fit_is_named() {
    let error = answer("rent_room", r#"{"room": "x", "pin": 4}"#)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let invalid = error.source_ref::<Invalid>().unwrap();
    let paths: Vec<_> = invalid.violations().iter().map(|it| &*it.path).collect();
    assert_eq!(paths, ["room", "pin"]);
}

#[test]
fn a_state_that_is_missing_is_found_before_the_first_request() {
    let error = route("rent_room", States::new()).check().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("rent_room") && text.contains("Prices>"),
        "{text}"
    );
    route("rent_room", States::new().with(Prices { night: 1 }))
        .check()
        .unwrap();
}

#[test]
fn a_registration_knows_the_contract_and_its_place() {
    let found = registered("rent_room");
    assert_eq!(found.function, "it::handlers::rent_room");
    assert_eq!(found.package, "it");
    assert!(found.at.contains("handlers.rs:"), "{}", found.at);
    let request = found.request;
    assert_eq!(request.lock, Lock::Member("room"));
    assert_eq!(request.secrets, ["pin"]);
    assert_eq!((request.examples)(), [json!({"room": 7, "pin": null})]);
    let lock = |body: &str| (request.lock_value)(Format::Json, body.as_bytes());
    assert_eq!(lock(r#"{"room": 3}"#).as_deref(), Some("3"));
    assert_eq!(lock(r#"{"room": "3.0"}"#).as_deref(), Some("3"));
    let clean = registered("clean_room");
    assert_eq!(clean.function, "it::handlers::scope");
    assert_eq!(clean.request.lock, Lock::Member("async"));
}
