//! A child that runs a server, and writes down what it handled, before the server hears of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings::{
    HandlerError, Headers, Origin, Router, Server, State, domain::redelivery_count,
    transport::Transport,
};
use tidings_testkit::history::{Event, Recorder};

use crate::crash::{
    child::say,
    orders::{Orders, Role},
    place::{Counted, SUBSCRIBER, domain, until_waiting},
};

/// After so many failures a message is not refused again: none is to become a dead letter by chance.
const MOST_FAILURES: u32 = 3;
/// After how many messages the length of the queue is looked at.
const LOOK_EVERY: u32 = 64;

#[derive(Clone, Debug)]
struct Hand {
    name: Arc<str>,
    recorder: Recorder,
    refuses: f64,
    least_waiting: u64,
    transport: Arc<dyn Transport>,
    handled: Arc<AtomicU32>,
}

pub(in crate::crash) async fn work(
    orders: &Orders,
    transport: Arc<dyn Transport>,
    recorder: Recorder,
) {
    let Role::Consumer {
        refuses,
        least_waiting,
    } = orders.role
    else {
        return;
    };
    fastrand::seed(orders.seed);
    let hand = Hand {
        name: orders.name.as_str().into(),
        recorder,
        refuses,
        least_waiting,
        transport: Arc::clone(&transport),
        handled: Arc::default(),
    };
    let running = Server::builder(transport, domain())
        .concurrency(4)
        .grace(Duration::from_secs(20))
        .run(Router::new().on(SUBSCRIBER, count).with_state(hand));
    // The first thing that a server does is to listen to signals: from then on it can be asked to end.
    let ready = async { say("ready") };
    let (ended, ()) = tokio::join!(running, ready);
    ended.expect("a server that is asked to end has time enough");
}

async fn count(
    State(hand): State<Hand>,
    origin: Origin,
    headers: Headers,
    message: Counted,
) -> Result<(), HandlerError> {
    let failures = redelivery_count(&headers).expect("only we count");
    let refused = failures < MOST_FAILURES && fastrand::f64() < hand.refuses;
    let event = if refused {
        Event::refused(message.number, origin.redelivered, &*hand.name)
    } else {
        Event::handled(message.number, origin.redelivered, &*hand.name)
    };
    hand.recorder.note(event.after_failures(failures));
    let handled = hand.handled.fetch_add(1, Ordering::Relaxed);
    if handled == 0 {
        say("working");
    }
    if hand.least_waiting > 0 && handled.is_multiple_of(LOOK_EVERY) {
        until_waiting(&*hand.transport, |messages| messages >= hand.least_waiting).await;
    }
    if refused {
        return Err(HandlerError::retry("refused on purpose"));
    }
    Ok(())
}
