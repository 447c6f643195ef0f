//! What a request looks like on the wire, and how many may be under way.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use tidings_core::{Deadline, ErrorKind};
use tokio::time::Instant;
use uuid::Uuid;

use super::bed::{Greet, QUEUE, SECOND, embedded, greet};

#[tokio::test(start_paused = true)]
async fn a_request_looks_as_deployed_clients_send_it() {
    let (caller, responder) = embedded().await;
    caller.call(&greet("Ada")).await.unwrap();
    let seen = responder.seen(1).await;
    let (address, envelope) = (&seen[0].address, &seen[0].envelope);
    assert_eq!(address.to_string(), format!("greet/{QUEUE}"));
    assert_eq!(&*envelope.payload.bytes, br#"{"name":"Ada"}"#);
    assert_eq!(
        envelope.payload.content_type.as_deref(),
        Some("application/json")
    );
    assert!(envelope.headers.is_empty() && !envelope.persistent);
    let fields = envelope.properties.fields().unwrap();
    assert_eq!(fields.expiration, Some(Duration::from_secs(300)));
    let id = fields.correlation_id.as_deref().unwrap();
    let uuid = Uuid::parse_str(id).unwrap();
    assert_eq!(uuid.get_version_num(), 4);
    assert_eq!(uuid.hyphenated().to_string(), id);
    let mut rest = fields.clone();
    (rest.expiration, rest.correlation_id, rest.reply_to) = (None, None, None);
    assert_eq!(rest, tidings_core::properties::Fields::default());
}

#[tokio::test(start_paused = true)]
async fn the_expiration_is_what_is_left_in_whole_milliseconds() {
    let (caller, responder) = embedded().await;
    let expiration = async |number: usize| {
        responder.seen(number).await[number - 1]
            .envelope
            .properties
            .expiration()
    };
    let odd = caller.with_timeout(Duration::from_micros(2_500_100));
    odd.call(&greet("Ada")).await.unwrap();
    assert_eq!(expiration(1).await, Some(Duration::from_millis(2_501)));
    let inherited = caller.with_deadline(Deadline::after(7 * SECOND));
    inherited.call(&greet("Ada")).await.unwrap();
    assert_eq!(expiration(2).await, Some(7 * SECOND));
    let late = inherited.call(&greet("Ada"));
    tokio::time::advance(3 * SECOND).await;
    late.await.unwrap();
    assert_eq!(expiration(3).await, Some(4 * SECOND), "its time runs");
    let never = caller.with_timeout(Duration::MAX);
    never.call(&greet("Ada")).await.unwrap();
    assert_eq!(expiration(4).await, None);
}

#[tokio::test(start_paused = true)]
async fn all_calls_share_one_address_and_each_has_its_own_id() {
    let (caller, responder) = embedded().await;
    let bodies: Vec<String> = (0..64).map(|n| format!("{{\"n\":{n}}}")).collect();
    let calls = bodies
        .iter()
        .map(|body| caller.call_raw("echo", body.clone()));
    let answers = try_join_all(calls).await.unwrap();
    caller.call(&greet("Ada")).await.unwrap();
    for (answer, body) in answers.iter().zip(&bodies) {
        assert_eq!(answer.bytes, body.as_bytes());
    }
    let seen = responder.seen(65).await;
    let of = |field: fn(&tidings_core::Properties) -> Option<&std::sync::Arc<str>>| {
        let values = seen
            .iter()
            .filter_map(|call| field(&call.envelope.properties));
        values.collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!(of(tidings_core::Properties::reply_to), 1);
    assert_eq!(of(tidings_core::Properties::correlation_id), 65);
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_callers_in_any_order() {
    let (caller, responder) = embedded().await;
    let calls = (0..100).map(|n| caller.call_raw("echo", json!({"hold": n}).to_string()));
    let (answers, ()) = tokio::join!(try_join_all(calls), async {
        responder.seen(100).await;
        assert_eq!(caller.pending(), 100);
        responder.release().await;
    });
    for (n, answer) in answers.unwrap().iter().enumerate() {
        assert_eq!(answer.bytes, json!({"hold": n}).to_string().as_bytes());
    }
    assert_eq!(caller.pending(), 0);
}

#[tokio::test]
async fn ten_thousand_calls_at_a_time_are_all_answered() {
    let (caller, _responder) = embedded().await;
    let calls = (0..10_000).map(|n| caller.call_raw("echo", n.to_string()));
    let answers = try_join_all(calls).await.unwrap();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.bytes, n.to_string().as_bytes());
    }
    assert_eq!(caller.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_it_is_awaited_or_when_it_breaks_its_rules() {
    let (caller, responder) = embedded().await;
    drop(caller.call(&greet("Ada")));
    let error = caller.call(&greet("")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("greet"), "{error}");
    caller.call(&greet("Bob")).await.unwrap();
    let seen = responder.seen(1).await;
    let first: Greet = serde_json::from_slice(&seen[0].envelope.payload.bytes).unwrap();
    assert_eq!(first.name, "Bob");
}

#[tokio::test(start_paused = true)]
async fn a_call_never_outlives_its_deadline_and_leaves_nothing_behind() {
    let (caller, responder) = embedded().await;
    let impatient = caller.with_timeout(2 * SECOND);
    let started = Instant::now();
    let calls = (0..1_000).map(|_| impatient.call_raw("echo", "silent"));
    for ended in join_all(calls).await {
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(started.elapsed(), 2 * SECOND);
    assert_eq!(caller.pending(), 0);

    let already_past = impatient.with_deadline(Deadline::after(Duration::ZERO));
    let error = already_past.call(&greet("late")).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable),
        "{error}"
    );
    assert_eq!(started.elapsed(), 2 * SECOND);
    drop(responder);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_nothing_behind_and_its_answer_harms_nobody() {
    let (caller, responder) = embedded().await;
    for _ in 0..10 {
        let calls = join_all((0..100).map(|_| caller.call_raw("echo", "hold")));
        let given_up = tokio::time::timeout(SECOND, calls).await;
        assert!(given_up.is_err());
        assert_eq!(caller.pending(), 0);
    }
    responder.seen(1_000).await;
    responder.release().await;
    let answer = caller.call_raw("echo", "twice").await.unwrap();
    assert_eq!(answer.bytes, "twice");
    caller.call(&greet("Ada")).await.unwrap();
}
