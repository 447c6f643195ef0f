//! What a handler returns, and what keeps a handler from being called, as the caller of the route sees it.

use std::{fmt, num::ParseIntError, time::Duration};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{
    Call, Command, Error, ErrorKind, Fault, FaultCode, HandlerError, Outcome, Payload, Reply,
    error::Result, handler_error::ResultExt,
};
use tidings_router::{Respond, State};
use tower_service::Service;

use crate::bench::{Notes, UserCreated, call, handle, route, service};

/// Runs a handler that fails with `error`.
async fn fail<E>(error: fn() -> E) -> Error
where
    E: Into<HandlerError> + Send + 'static,
    Result<(), E>: Respond,
{
    let handler = move |_: UserCreated| async move { Err::<(), E>(error()) };
    handle(handler, &Notes::default(), UserCreated::BODY)
        .await
        .unwrap_err()
}

fn check(error: &Error, kind: ErrorKind, outcome: Outcome, chain: &str) {
    assert_eq!(error.chain(), chain);
    assert_eq!(error.kind(), kind, "{chain}");
    assert_eq!(error.outcome(), outcome, "{chain}");
    assert_eq!(error.settlement(), None, "settling is not the router's");
}

#[derive(Debug)]
struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("busy")
    }
}

impl std::error::Error for Busy {}

#[tokio::test]
async fn any_error_asks_for_another_attempt() {
    let error = fail(|| Busy).await;
    check(
        &error,
        ErrorKind::Handler,
        Outcome::Retry,
        "the handler failed: busy",
    );
    assert!(error.source_ref::<Busy>().is_some());

    let error = fail(|| "x".parse::<u8>().unwrap_err()).await;
    assert!(error.source_ref::<ParseIntError>().is_some());
    assert_eq!(error.outcome(), Outcome::Retry);
}

#[tokio::test]
async fn a_handler_error_says_what_it_asks_for() {
    let later = Duration::from_secs(60);
    let busy = "the handler failed: busy";
    let cases: [(fn() -> HandlerError, Outcome); 6] = [
        (|| HandlerError::retry(Busy), Outcome::Retry),
        (|| HandlerError::retry("busy"), Outcome::Retry),
        (|| HandlerError::fatal("busy"), Outcome::Fatal),
        (
            || HandlerError::defer(Duration::from_secs(60), "busy"),
            Outcome::Defer(later),
        ),
        (
            || Err::<(), _>(Busy).or_fatal().unwrap_err(),
            Outcome::Fatal,
        ),
        (
            || {
                let deferred = Err::<(), _>(Busy).or_defer(Duration::from_secs(60));
                deferred.unwrap_err()
            },
            Outcome::Defer(later),
        ),
    ];
    for (failure, outcome) in cases {
        check(&fail(failure).await, ErrorKind::Handler, outcome, busy);
    }
}

#[tokio::test]
async fn a_fault_is_kept_and_its_code_decides() {
    let error = fail(|| Fault::new(FaultCode::NotFound, "no such user")).await;
    check(
        &error,
        ErrorKind::Handler,
        Outcome::Fatal,
        "the handler failed: not found: no such user",
    );
    let fault = error.source_ref::<Fault>().unwrap();
    assert_eq!(fault.code, FaultCode::NotFound);

    let error = fail(|| Fault::new(FaultCode::Unavailable, "gone fishing")).await;
    assert_eq!(error.outcome(), Outcome::Retry);

    let kept = || HandlerError::retry(Fault::new(FaultCode::NotFound, "not yet"));
    let error = fail(kept).await;
    assert_eq!(error.outcome(), Outcome::Retry, "said explicitly");
    assert!(error.source_ref::<Fault>().is_some());
}

#[tokio::test]
async fn an_error_of_tidings_passes_through_unwrapped() {
    let error = fail(|| Error::new(ErrorKind::Conflict, "two of them").with_source(Busy)).await;
    check(
        &error,
        ErrorKind::Conflict,
        Outcome::Retry,
        "two of them: busy",
    );
    let error = fail(|| Error::new(ErrorKind::Misuse, "wrong")).await;
    check(&error, ErrorKind::Misuse, Outcome::Fatal, "wrong");
    let error = fail(|| HandlerError::fatal(Error::new(ErrorKind::Full, "full"))).await;
    check(&error, ErrorKind::Full, Outcome::Fatal, "full");
    let error = fail(|| Error::new(ErrorKind::Full, "full").with_outcome(Outcome::Requeue)).await;
    check(&error, ErrorKind::Full, Outcome::Requeue, "full");
}

#[tokio::test]
async fn a_reply_reaches_the_caller() {
    async fn answer(_: UserCreated) -> Reply {
        Reply::payload(Payload::json("1"))
    }
    async fn answer_or_fail(_: UserCreated) -> Result<Reply, HandlerError> {
        Ok(Reply::payload(Payload::json("1")))
    }
    async fn nested(_: UserCreated) -> Result<Result<(), Busy>, HandlerError> {
        Ok(Err(Busy))
    }
    let notes = Notes::default();
    let expected = Reply::payload(Payload::json("1"));
    let reply = handle(answer, &notes, UserCreated::BODY).await.unwrap();
    assert_eq!(reply, expected);
    let reply = handle(answer_or_fail, &notes, UserCreated::BODY).await;
    assert_eq!(reply.unwrap(), expected);
    let failed = handle(nested, &notes, UserCreated::BODY).await.unwrap_err();
    assert!(failed.source_ref::<Busy>().is_some());
}

async fn note(State(notes): State<Notes>, event: UserCreated) {
    notes.add(event.email);
}

async fn refused(body: &str) -> Error {
    let notes = Notes::default();
    let error = handle(note, &notes, body).await.unwrap_err();
    assert!(notes.take().is_empty(), "the handler must not see {body}");
    error
}

#[tokio::test]
async fn an_undecodable_message_names_its_contract_and_the_place() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        (
            "[]",
            "invalid length 0, expected struct UserCreated with 1 element at line 1 column 2",
        ),
        ("{}", "missing field `email` at line 1 column 2"),
        (
            r#"{"email": 7}"#,
            "invalid type: integer, expected a string at line 1 column 11",
        ),
        (
            r#"{"email": "a"} x"#,
            "trailing characters at line 1 column 16",
        ),
        (
            "{\"email\": \"\u{1}\"}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 12",
        ),
    ];
    for (body, reason) in cases {
        let error = refused(body).await;
        let text = format!("event user.created v1: cannot decode the message: {reason}");
        check(&error, ErrorKind::Decode, Outcome::Fatal, &text);
    }
}

#[tokio::test]
async fn an_envelope_that_cannot_be_opened_never_reaches_the_handler() {
    let error = refused("?").await;
    let closed = "the envelope is closed";
    check(&error, ErrorKind::Decode, Outcome::Fatal, closed);
}

#[derive(Debug, Command, Serialize, Deserialize, JsonSchema, Validate)]
#[command(crate = tidings_core, name = "order.place", version = 2)]
struct PlaceOrder {
    #[garde(length(min = 1))]
    number: String,
    #[garde(dive)]
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
struct Line {
    #[garde(range(min = 1))]
    amount: u32,
}

#[tokio::test]
async fn a_message_that_breaks_its_rules_names_every_member() {
    async fn place(State(notes): State<Notes>, order: PlaceOrder) {
        notes.add(order.number);
    }
    let notes = Notes::default();
    let good = r#"{"number": "n-1", "lines": [{"amount": 1}]}"#;
    handle(place, &notes, good).await.unwrap();
    assert_eq!(notes.take(), ["n-1"]);

    let bad = r#"{"number": "", "lines": [{"amount": 1}, {"amount": 0}]}"#;
    let error = handle(place, &notes, bad).await.unwrap_err();
    assert!(notes.take().is_empty());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.outcome(), Outcome::Fatal);
    let text = error.to_string();
    for part in [
        "command order.place v2 breaks its rules",
        "`number`: ",
        "`lines[1].amount`: ",
    ] {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
    assert!(!text.contains("lines[0]"), "{text}");
    let invalid = error.source_ref::<tidings_core::contract::Invalid>();
    assert_eq!(invalid.unwrap().violations().len(), 2);
}

#[tokio::test]
async fn a_refusal_polled_again_is_an_error_and_no_panic() {
    let route = route(note, &Notes::default());
    let refused: Call = call("?");
    let mut routing =
        service(&route, tidings_core::extensions::Extensions::default()).call(refused);
    assert_eq!((&mut routing).await.unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!((&mut routing).await.unwrap_err().kind(), ErrorKind::Closed);
}
