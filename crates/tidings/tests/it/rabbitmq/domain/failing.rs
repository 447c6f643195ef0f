//! Messages that fail, and come again with what was known of them.

use super::*;

/// T1: what others publish with headers is claimed at its first failure.
#[tokio::test]
async fn a_message_with_foreign_headers_survives_its_failures() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let subscriber = Subscriber::new("mail").on(bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    let foreign = Headers::new().with("traceparent", "00-ab-cd-01");
    bed.publish(X, RK, foreign).await;
    bed.call().await;
    let again = bed.call().await;
    assert_eq!(again.count(), Some(1));
    assert_eq!(again.headers.text("traceparent"), Some("00-ab-cd-01"));
    assert_eq!(again.headers.text(headers::QUEUE), Some(Q));
}

/// T2: a subscriber of the store without retries.
#[tokio::test]
async fn a_failure_in_the_store_without_retries_is_kept() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let fail = bed.failing(1);
    let all = move |headers: Headers, _message: tidings::AnyMessage| {
        fail(headers, UserCreated { user_id: 0 })
    };
    let subscriber = Subscriber::new("audit")
        .on_interest(Interest::All, all)
        .retry(RetryPolicy::new(0));
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    bed.call().await;
    bed.holds("dead_letter.store", 1).await;
    assert_eq!(bed.depth("store").await, 0);
}

/// T5: a queue by name, and a message without any header.
#[tokio::test]
async fn a_message_of_any_queue_is_retried_there() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let queue = Topology::new().queue(Queue::new("legacy"));
    bed.transport.declare(&queue).await.unwrap();
    let subscriber = Subscriber::new("helper").on_queue("legacy", None, bed.failing(1));
    let _server = bed.start(domain(), subscriber).await;
    bed.publish("", "legacy", Headers::new()).await;
    assert_eq!(bed.call().await.count(), None);
    let again = bed.call().await;
    assert_eq!(again.count(), Some(1));
    assert_eq!(again.headers.text(headers::QUEUE), Some("legacy"));
}

#[tokio::test]
async fn a_deferred_message_makes_detours_until_it_is_time() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let wait = Duration::from_secs(1);
    let later = RetryPolicy::new(0).classify_with(move |_| Some(Outcome::Defer(wait)));
    let subscriber = Subscriber::new("mail").on(bed.failing(1)).retry(later);
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let first = bed.call().await;
    let second = bed.call().await;
    assert!(second.at - first.at >= wait, "{:?}", second.at - first.at);
    assert_eq!(second.count(), None, "nothing is counted");
}

#[tokio::test]
async fn steps_of_a_policy_are_waited_for() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let steps = [50, 400].map(Duration::from_millis);
    let policy = RetryPolicy::new(2).with_steps(steps);
    let subscriber = Subscriber::new("mail").on(bed.failing(2)).retry(policy);
    let server = bed.start(domain(), subscriber).await;
    let event = UserCreated { user_id: 1 };
    server.client().publish(&event).await.unwrap();
    let calls = [bed.call().await, bed.call().await, bed.call().await];
    assert!(calls[1].at - calls[0].at >= steps[0]);
    assert!(calls[2].at - calls[1].at >= steps[1]);
}
