//! A broker that is short of memory and blocks those who publish: what is handled meanwhile is handled once.

mod bed;

use std::time::{Duration, Instant};

use tidings::{Deadline, ErrorKind, rpc::Client};
use tidings_testkit::rabbitmq::Node;

use self::bed::{
    CONFIRM, HEARTBEAT, LANES, MANY, Moved, Service, Work, are_answered, call_all, client, until,
};

/// How long a server may take to end.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take besides to end handlers and connections that do not end by themselves.
const PARTING: Duration = Duration::from_secs(4);
/// The number of a request that must not arrive.
const NEVER_SENT: u32 = 999;

/// Beyond the time of confirms and of heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handled_while_the_broker_blocks_publishers_is_handled_once() {
    let Some(node) = Node::start("alarm").await else {
        return;
    };
    let host = node.virtual_host("alarm").await;
    let (calls, events) = (
        Service::of_calls(&host).await,
        Service::of_events(&host).await,
    );
    let client = client(&host).await;
    calls.warm_up(&client).await;
    let (_tasks, told) = call_all(&client, 1..=MANY);
    for number in 1..=MANY {
        let published = events.running.client().publish(&Moved { number });
        published.await.unwrap();
    }
    let (lanes, many) = (usize::from(LANES), MANY as usize);
    calls.begins("work", 1 + lanes).await;
    calls.holds(many).await;

    node.raise_alarm().await;
    calls.meets_the_alarm().await;
    events.meets_the_alarm().await;
    calls.stage.open();
    events.stage.open();
    // Who publishes nothing goes on, which is how an alarm ends.
    events.begins("sturdy", many).await;
    events.is_through_with("sturdy").await;
    is_refused(&client).await;
    calls.outlast(3 * HEARTBEAT).await;
    assert_eq!(calls.stage.counts("work"), (1 + lanes, 1 + lanes));
    assert_eq!(events.stage.counts("fragile"), (lanes, lanes));
    assert!(!calls.is_blocked("inbound"), "its acks would wait");

    node.clear_alarm().await;
    are_answered(told).await;
    until("the events are handled", async || {
        events.stage.counts("fragile").1 >= 2 * many
    })
    .await;
    events.is_through_with("fragile").await;
    until("it is ready again", async || {
        calls.running.health().ready && events.running.health().ready
    })
    .await;
    // Each event failed once.
    assert_eq!(events.stage.counts("fragile"), (many, 2 * many));
    // The call that met the alarm for its connection was let through, if not too late; the next was not.
    let met = calls.stage.count("work", MANY + 1);
    assert!(met <= 1, "{met}");
    assert_eq!(calls.stage.counts("work"), (1 + many + met, 1 + many + met));
    assert_eq!(calls.stage.count("work", NEVER_SENT), 0);
}

/// The way in is blocked as well, because an answer was sent on it: neither acks nor a goodbye are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_while_the_broker_blocks_it_loses_nothing() {
    let Some(node) = Node::start("alarm-end").await else {
        return;
    };
    let host = node.virtual_host("alarm").await;
    let (first, client) = (Service::of_calls(&host).await, client(&host).await);
    first.warm_up(&client).await;
    let (_tasks, told) = call_all(&client, 1..=MANY);
    let many = MANY as usize;
    first.begins("work", 1 + usize::from(LANES)).await;
    first.holds(many).await;
    node.raise_alarm().await;
    first.stage.open();
    until("the way in is blocked", async || {
        first.is_blocked("inbound")
    })
    .await;
    first.meets_the_alarm().await;
    first.outlast(2 * CONFIRM).await;
    let (begun, times) = first.stage.counts("work");
    assert_eq!(begun, times, "something was handled again");

    let ending = Instant::now();
    // Whether handlers wait for the broker depends on how many answers were on their way when it stopped reading.
    let _drained = first.running.drain(GRACE).await;
    // Nobody waits for answers any more: nothing is unconfirmed.
    let deadline = Deadline::after(GRACE);
    first.transport.close(deadline).await.unwrap();
    let ended = ending.elapsed();
    assert!(ended < 2 * GRACE + PARTING, "{ended:?}");

    let second = Service::of_calls(&host).await;
    second.stage.open();
    node.clear_alarm().await;
    are_answered(told).await;
    let (begun, times) = second.stage.counts("work");
    assert_eq!(begun, times, "something was handled again");
}

/// A call that meets the alarm is let through; one that comes later is not sent, and says why.
async fn is_refused(client: &Client) {
    let impatient = client.with_timeout(CONFIRM);
    let error = impatient
        .call(&Work { number: MANY + 1 })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("low on memory"), "{error}");
    let error = impatient
        .call(&Work { number: NEVER_SENT })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("low on memory"), "{error}");
}
