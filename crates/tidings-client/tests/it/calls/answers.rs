//! What becomes of an answer: the reply, or an error that says what came instead.

use serde_json::json;
use tidings_core::{ErrorKind, Fault, contract::Response};

use super::bed::{Greeting, embedded, greet};

async fn ask(answer: &str) -> Result<Response<Greeting>, tidings_core::Error> {
    let (caller, responder) = embedded().await;
    responder.says(answer);
    caller.call(&greet("Ada")).await
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_decoded() {
    let reply = ask(r#"{"success": true, "message": "Hi", "data": {"text": "x", "more": 1}}"#);
    let text = "x".to_owned();
    assert_eq!(
        reply.await.unwrap(),
        Response::success("Hi", Greeting { text })
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_fits_the_reply_is_a_reply() {
    let reply = ask(r#"{"success":false,"message":"Quota exceeded","data":null}"#).await;
    assert_eq!(reply.unwrap(), Response::failure("Quota exceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_says_what_is_wrong_with_it() {
    let errors = json!([{"location": ["name"], "message": "Field required", "type": "missing"}]);
    let refused = json!({"success": false, "message": "Request validation failed", "data": {"errors": errors}});
    let error = ask(&refused.to_string()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let fault: &Fault = error.source_ref().unwrap();
    assert_eq!(fault.details, Some(json!({"errors": errors})));

    // As the deployed consumer writes it.
    let error = ask(r#"{"success":false,"message":"Request validation failed","data":{}}"#).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn another_failure_that_does_not_fit_the_reply_is_an_error_with_its_words() {
    let error = ask(r#"{"success":false,"message":"No room","data":{"free":0}}"#).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handler);
    assert!(error.to_string().contains("No room"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_reply_is_an_error_and_never_shown() {
    for answer in [
        "",
        "hunter2",
        "[1]",
        r#"{"success":true,"message":"hunter2","data":{"text":1}}"#,
    ] {
        let error = ask(answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{answer}");
        let text = error.chain();
        assert!(
            text.contains("greet") && !text.contains("hunter2"),
            "{text}"
        );
    }
    let broken = ask(r#"{"success":true,"message":"","data":{"text":""}}"#).await;
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_raw_answer_is_handed_out_as_it_is() {
    let (caller, responder) = embedded().await;
    for answer in ["", "no json", "\u{e9}", "{\"success\": false}"] {
        responder.says(answer);
        let got = caller.call_raw("greet", "{}").await.unwrap();
        assert_eq!(got.bytes, answer.as_bytes());
        assert_eq!(got.content_type.as_deref(), Some("application/json"));
    }
}
