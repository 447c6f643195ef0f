//! The queue spool on a second transport.

use std::{sync::Arc, time::Duration};

use tidings_client::fallback::{QueueSpool, Spool};
use tidings_core::{
    Address, Call, Envelope, ErrorKind, Headers,
    headers::{SPOOLED_EXCHANGE, SPOOLED_KEY},
    properties::Fields,
    transport::Publisher,
};

use crate::{
    fixture::{call, keys},
    primary::{Answer, Primary},
    second::Second,
};

async fn open(second: &Second) -> QueueSpool {
    QueueSpool::open(Arc::new(second.clone()), "spool")
        .await
        .unwrap()
}

async fn store(spool: &QueueSpool, keys: &[String]) {
    for key in keys {
        spool.store(call(key.as_str())).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn kept_calls_come_out_in_order_and_are_forgotten() {
    let spool = open(&Second::default()).await;
    store(&spool, &keys(0..600)).await;
    assert_eq!(spool.kept().await.unwrap(), 600);
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(spool.replay(&primary).await.unwrap(), 600);
    assert_eq!(primary.confirmed_keys(), keys(0..600));
    assert_eq!(spool.kept().await.unwrap(), 0);
    assert_eq!(spool.replay(&primary).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_published_as_it_was_and_its_address_travels_in_headers() {
    let second = Second::default();
    let spool = open(&second).await;
    let fields = Fields {
        message_id: Some("m-1".into()),
        expiration: Some(Duration::from_secs(5)),
        ..Fields::default()
    };
    let envelope = Envelope::new("payload")
        .with_headers(Headers::new().with("queue", "q"))
        .with_properties(fields)
        .transient();
    let original = Call::new(Address::new("acme", "a.b"), envelope).unroutable_is_fine();
    spool.store(original.clone()).await.unwrap();

    let kept = second.ready("spool");
    assert_eq!(
        kept[0].envelope.headers.text(SPOOLED_EXCHANGE),
        Some("acme")
    );
    assert_eq!(kept[0].envelope.headers.text(SPOOLED_KEY), Some("a.b"));
    assert!(kept[0].envelope.persistent);
    assert!(
        kept[0].mandatory,
        "a spool that is not there must be noticed"
    );

    let primary = Primary::new(Answer::Confirm);
    spool.replay(&primary).await.unwrap();
    let replayed = &primary.confirmed()[0];
    assert_eq!(replayed.address, original.address);
    assert_eq!(replayed.envelope, original.envelope);
    assert!(!replayed.mandatory);
    assert_eq!(replayed.origin, None);
}

#[tokio::test(start_paused = true)]
async fn while_the_primary_is_away_everything_stays_kept() {
    let spool = open(&Second::default()).await;
    store(&spool, &keys(0..5)).await;
    let primary = Primary::new(Answer::Confirm).answer_after(2, Answer::Fail(ErrorKind::Closed));
    let error = spool.replay(&primary).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(spool.kept().await.unwrap(), 3);
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(spool.replay(&primary).await.unwrap(), 3);
    assert_eq!(primary.confirmed_keys(), keys(2..5));
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_stays_and_does_not_hold_up_the_others() {
    let spool = open(&Second::default()).await;
    store(&spool, &keys(0..400)).await;
    let primary = Primary::new(Answer::Confirm).refuse("m0", ErrorKind::Unroutable);
    let error = spool.replay(&primary).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
    assert!(error.to_string().contains("`spool`"), "{error}");
    assert_eq!(primary.confirmed_keys(), keys(1..400));
    assert_eq!(spool.kept().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_message_is_reported_and_stays() {
    let second = Second::default();
    let spool = open(&second).await;
    let foreign = Call::new(Address::queue("spool"), Envelope::new("?"));
    second.publish(foreign).await.unwrap();
    store(&spool, &keys(0..2)).await;
    let primary = Primary::new(Answer::Confirm);
    let error = spool.replay(&primary).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(primary.confirmed_keys(), keys(0..2));
    let left = second.ready("spool");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].envelope.payload.bytes, "?");
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_when_another_process_takes_the_rest() {
    let second = Second::default();
    let (ours, theirs) = (open(&second).await, open(&second).await);
    store(&ours, &keys(0..600)).await;
    let (held, primary) = (Primary::new(Answer::Hold), Primary::new(Answer::Confirm));
    let mut ours = ours.replay(&held);
    tokio::select! {
        _ = &mut ours => panic!("nothing was answered"),
        () = held.holds(256) => {}
    }
    theirs.replay(&primary).await.unwrap();
    held.release(None);
    assert_eq!(ours.await.unwrap(), 256);
    assert_eq!(held.confirmed_keys(), keys(0..256));
    assert_eq!(primary.confirmed_keys(), keys(256..600));
}

#[tokio::test(start_paused = true)]
async fn a_replay_leaves_what_the_queue_holds_back() {
    let second = Second::default();
    let spool = open(&second).await;
    store(&spool, &keys(0..3)).await;
    second.hold_back(2);
    let primary = Primary::new(Answer::Confirm);
    let replayed = tokio::time::timeout(Duration::from_secs(10), spool.replay(&primary)).await;
    assert_eq!(replayed.expect("it ends").unwrap(), 3);
    assert_eq!(primary.confirmed_keys(), keys(0..3));
    assert_eq!(spool.kept().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_transport_that_is_away_too_is_the_error_of_the_store() {
    let second = Second::default();
    let spool = open(&second).await;
    second.go_away();
    let error = spool.store(call("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_keeps_nothing_is_refused_at_start_up() {
    let second = Arc::new(Second::volatile());
    let error = QueueSpool::open(second, "spool").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
