//! Who asks is answered, whatever becomes of the request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use tidings_core::{
    AnyMessage, Call, Completion, Error, ErrorKind, Kind, contract::Response, error::Result,
    transport::Publisher,
};
use tidings_router::{Router, States, Subscriber};

use crate::rig::{QUEUE, Rig, subscriber};

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_through_the_exchange_of_its_request() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.go(2);
    rig.work("a", 7).await;
    let (id, body) = rig.answer().await;
    assert_eq!(id, "7");
    assert_eq!(
        body,
        json!({"success": true, "message": "Worked", "data": 7})
    );
    rig.ask("count", json!({"number": 8})).await;
    let (id, message) = rig.told().await;
    assert_eq!((&*id, &*message), ("8", "Counted"));
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_answered_and_acked() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.go(2);
    let unexpected = "An unexpected error occurred";
    let cases = [
        (json!({"key": "fail", "number": 1}), unexpected),
        (json!({"key": "panic", "number": 2}), unexpected),
        (json!({"number": 3}), "Request validation failed"),
        (json!({"key": 4, "number": 4}), "Request validation failed"),
    ];
    for (body, expected) in cases {
        rig.ask("work", body.clone()).await;
        let (id, answer) = rig.answer().await;
        assert_eq!(id, body["number"].to_string());
        assert_eq!(
            (&answer["success"], &answer["message"]),
            (&json!(false), &json!(expected))
        );
        assert!(!answer.to_string().contains("secret"), "{answer}");
    }
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn what_nothing_handles_is_answered_so() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.ask("other", json!({"number": 1})).await;
    let (_, message) = rig.told().await;
    assert_eq!(message, "nothing here handles `other`");
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_the_whole_queue_gets_what_no_other_handles() {
    async fn rest(message: AnyMessage) -> Response<()> {
        Response::failure(format!("no handler for `{}`", message.metadata.name))
    }
    let mut rig = Rig::new().await;
    let subscriber = subscriber().on_queue(QUEUE, Some(Kind::Call), rest);
    let router = Router::new()
        .subscriber(subscriber)
        .with_state(rig.stage.clone());
    let _running = rig.server().start(router).await.unwrap();
    rig.ask("other", json!({"number": 1})).await;
    assert_eq!(rig.told().await.1, "no handler for `other`");
    rig.go(1);
    rig.work("a", 2).await;
    assert_eq!(rig.told().await.1, "Worked");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_is_handled_and_forgotten() {
    let mut rig = Rig::new().await;
    let _running = rig.server().start(rig.router()).await.unwrap();
    rig.go(2);
    for key in ["a", "fail"] {
        let body = json!({"key": key, "number": 1}).to_string();
        let envelope = tidings_core::Envelope::new(body);
        let call = Call::new(tidings_core::Address::new("work", QUEUE), envelope);
        let publisher = rig.transport.publisher().await.unwrap();
        publisher.publish(call).await.unwrap();
        assert_eq!(rig.begun().await, format!("work {key}1"));
        rig.depth(0).await;
    }
}

/// Fails the first publish of an answer, as a broker does that is full for a moment.
#[derive(Debug)]
struct Clumsy {
    inner: Arc<dyn Publisher>,
    has_failed: AtomicBool,
}

impl Publisher for Clumsy {
    fn publish(&self, call: Call) -> Completion {
        if self.has_failed.swap(true, Ordering::SeqCst) {
            return self.inner.publish(call);
        }
        let full = Error::new(ErrorKind::Full, "no room");
        Completion::ready(Err(full))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_could_not_be_sent_is_sent_after_another_delivery() {
    let mut rig = Rig::new().await;
    let clumsy = |inner| Clumsy {
        inner,
        has_failed: AtomicBool::new(false),
    };
    let server = rig.server().publish_through(clumsy);
    let _running = server.start(rig.router()).await.unwrap();
    rig.go(2);
    rig.work("a", 1).await;
    assert_eq!(rig.told().await, ("1".to_owned(), "Worked".to_owned()));
    assert_eq!(rig.begun().await, "work a1");
    assert_eq!(
        rig.begun_already().as_deref(),
        Some("work a1"),
        "handled twice"
    );
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn handlers_that_contradict_one_another_are_refused() {
    async fn again(_: crate::rig::Count) -> Response<u32> {
        Response::failure("never")
    }
    let rig = Rig::new().await;
    let start = async |subscribers: [Subscriber<_>; 2]| -> Result<()> {
        let [one, other] = subscribers;
        let router = Router::new().subscriber(one).subscriber(other);
        let router = router.with_state(rig.stage.clone());
        rig.server().start(router).await.map(drop)
    };
    let twice = [subscriber(), Subscriber::new(QUEUE).on_request(again)];
    let error = start(twice).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error.to_string().contains("two handlers of `count`"),
        "{error}"
    );
    let elsewhere = [subscriber(), Subscriber::new("web2").on_request(again)];
    let error = start(elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("`web1` and `web2`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_missing_keeps_the_server_from_starting() {
    async fn count(_: tidings_router::State<u64>, _: crate::rig::Count) -> Response<u32> {
        Response::failure("never")
    }
    let rig = Rig::new().await;
    let router = Router::new()
        .subscriber(Subscriber::new(QUEUE).on_request(count))
        .with_state(States::new());
    let error = rig.server().start(router).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("State<u64>"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shortcoming_is_a_reason_not_to_be_ready() {
    let rig = Rig::new().await;
    let server = rig.server().shortcoming("exchange `other` has no handler");
    let running = server.start(rig.router()).await.unwrap();
    let health = running.health();
    assert!(health.live && !health.ready);
    assert_eq!(health.reasons, ["exchange `other` has no handler"]);
}
