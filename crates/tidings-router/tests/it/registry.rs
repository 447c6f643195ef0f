//! Handlers that register themselves: found by exchange, refused twice, answered with the reply of their contract.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{
    ErrorKind, HandlerError, Kind,
    codec::Format,
    contract::{Contract, Invalid, Lock, Request, Violation},
};
use tidings_router::{
    AnyHandler, Router, State, States, Subscriber,
    registry::{Package, Registered, Registration, RequestInfo, register_handler},
};

use crate::bench::{call, send};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct OpenShop {
    name: String,
    #[serde(default = "one")]
    doors: u8,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Opened {
    greeting: String,
}

fn one() -> u8 {
    1
}

impl Contract for OpenShop {
    const NAME: &'static str = "open_shop";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Call;
    type Reply = Opened;

    fn validate(&self) -> Result<(), Invalid> {
        match self.doors {
            0 => Err(rule("a shop has a door")),
            _ => Ok(()),
        }
    }
}

impl Request for OpenShop {
    const LOCK: Lock = Lock::Member("name");
    const SECRETS: &'static [&'static str] = &[];
    const REMEMBERED: Option<Duration> = None;

    fn lock_value(&self) -> Option<String> {
        Some(json!(self.name).to_string())
    }

    fn validate_reply(reply: &Opened) -> Result<(), Invalid> {
        match &*reply.greeting {
            "" => Err(rule("say something")),
            _ => Ok(()),
        }
    }
}

fn rule(text: &str) -> Invalid {
    Invalid::new(vec![Violation::new(Vec::new(), text, "value_error")])
}

#[derive(Clone)]
struct Greeting(&'static str);

async fn open_shop(greeting: State<Greeting>, request: OpenShop) -> Result<Opened, HandlerError> {
    let Greeting(greeting) = greeting.0;
    let greeting = if greeting.is_empty() {
        String::new()
    } else {
        format!("{greeting}, {} with {} doors", request.name, request.doors)
    };
    Ok(Opened { greeting })
}

register_handler!(OpenShop, open_shop);

fn found() -> Registration {
    *Registered::all().unwrap().get(OpenShop::NAME).unwrap()
}

fn router(states: States) -> Router {
    let subscriber = Subscriber::new("shop").on_any((found().handler)());
    Router::new().subscriber(subscriber).with_state(states)
}

#[tokio::test]
async fn a_registered_handler_answers_with_the_reply_of_its_contract() {
    let states = States::new().with(Greeting("welcome"));
    let route = router(states).into_routes().remove(0);
    route.check().unwrap();
    let reply = send(&route, call(r#"{"name": "Ada's"}"#)).await.unwrap();
    let payload = reply.into_result().unwrap().unwrap();
    let answer: Value = serde_json::from_slice(&payload.bytes).unwrap();
    assert_eq!(answer, json!({"greeting": "welcome, Ada's with 1 doors"}));
}

#[tokio::test]
async fn an_answer_that_breaks_its_rules_is_the_handlers_fault() {
    let states = States::new().with(Greeting(""));
    let route = router(states).into_routes().remove(0);
    let error = send(&route, call(r#"{"name": "a"}"#)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("say something"), "{error}");
    let invalid = error.source_ref::<Invalid>();
    assert!(invalid.is_none(), "the caller would take it for its own");
}

#[test]
fn a_state_that_is_missing_is_found_before_the_first_message() {
    let route = router(States::new().with(7_u8)).into_routes().remove(0);
    let error = route.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    let text = error.to_string();
    for part in ["`shop`", "open_shop", "Greeting>", "`u8`", ".state("] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn registrations_say_where_they_are() {
    let found = found();
    assert_eq!((found.exchange(), found.package), ("open_shop", "it"));
    assert_eq!(found.function, "it::registry::open_shop");
    assert!(found.at.contains("registry.rs:"), "{}", found.at);
}

#[test]
fn two_handlers_of_one_exchange_are_refused_with_both_places() {
    let other = Registration::new(
        RequestInfo::of::<OpenShop>(),
        || AnyHandler::of_request(open_shop),
        "other::open_shop",
        "other.rs:1",
    );
    for pair in [[found(), other], [other, found()]] {
        let error = Registered::of(pair, []).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        let text = error.to_string();
        let first = text.find("`it::registry::open_shop` at ").unwrap();
        let second = text.find("`other::open_shop` at other.rs:1").unwrap();
        assert!(first < second, "{text}");
    }
}

#[test]
fn a_package_without_handlers_is_told() {
    let expected = [Package::new("it", "a"), Package::new("empty", "b")];
    let registered = Registered::of([found()], expected).unwrap();
    let idle: Vec<_> = registered.idle_packages().map(|it| it.name).collect();
    assert_eq!(idle, ["empty"]);
    assert_eq!(registered.packages().get("it"), Some(&1));
    assert_eq!(registered.exchanges().collect::<Vec<_>>(), ["open_shop"]);
}

#[test]
fn a_request_is_known_without_its_type() {
    let info = RequestInfo::of::<OpenShop>();
    let normal = (info.normalise)(Format::Json, br#"{"doors": 2, "name": "a"}"#).unwrap();
    assert_eq!(normal.to_string(), r#"{"name":"a","doors":2}"#);
    let default = (info.normalise)(Format::Json, br#"{"name": "a"}"#).unwrap();
    assert_eq!(default["doors"], 1);
    let broken = (info.normalise)(Format::Json, br#"{"name": "a", "doors": 0}"#).unwrap_err();
    assert!(broken.source_ref::<Invalid>().is_some());
    let lock = |body: &str| (info.lock_value)(Format::Json, body.as_bytes());
    assert_eq!(lock(r#"{"name": "a"}"#).as_deref(), Some(r#""a""#));
    assert_eq!(lock(r#"{"name": "a", "doors": 0}"#), None);
    assert_eq!(lock("?"), None);
    assert_eq!((info.request_schema)()["required"], json!(["name"]));
    assert_eq!((info.reply_schema)()["required"], json!(["greeting"]));
}
