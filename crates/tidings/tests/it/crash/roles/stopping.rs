//! A child that publishes a few messages, handles them, and stops for ever at the ordered point, where it is killed.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings::{
    Client, HandlerError, Headers, Origin, Router, Running, Server, State,
    domain::redelivery_count, transport::Transport,
};
use tidings_testkit::history::{Event, Recorder};
use tokio::{sync::Semaphore, time::interval};

use crate::crash::{
    child::say,
    halting::{Halt, Halting},
    orders::{Orders, Point},
    place::{Counted, RETRY_TTL, SUBSCRIBER, declare, domain, queues},
};

/// How many messages it publishes, numbered from 0.
pub(in crate::crash) const MESSAGES: u32 = 12;
/// The message at which it stops.
pub(in crate::crash) const VICTIM: u32 = 5;
/// How many handlers are at work when it drains. The first half of them finishes.
pub(in crate::crash) const DRAINING: u16 = 4;

#[derive(Clone, Debug)]
struct Hand {
    at: Point,
    recorder: Recorder,
    halt: Halt,
    begun: Arc<AtomicU32>,
    draining: Arc<Semaphore>,
}

pub(in crate::crash) async fn work(
    orders: &Orders,
    transport: Arc<dyn Transport>,
    recorder: Recorder,
    at: Point,
) {
    publish(orders, &*transport, &recorder).await;
    let hand = Hand {
        at,
        recorder,
        halt: Halt::default(),
        begun: Arc::default(),
        draining: Arc::new(Semaphore::new(0)),
    };
    let halting = Arc::new(Halting::new(Arc::clone(&transport), hand.halt.clone()));
    let concurrency = if at == Point::InDrain { DRAINING } else { 1 };
    let running = Server::builder(halting, domain())
        .concurrency(concurrency)
        .start(Router::new().on(SUBSCRIBER, count).with_state(hand.clone()))
        .await
        .expect("the server starts");
    if at == Point::InDrain {
        drain(&running, &*transport, &hand).await;
    }
    // What it was started for happens in a handler or behind it.
    pending::<()>().await;
}

/// Everything is confirmed before the first handler begins.
async fn publish(orders: &Orders, transport: &dyn Transport, recorder: &Recorder) {
    declare(transport).await.expect("queues are made");
    let publisher = transport.publisher().await.expect("there is a publisher");
    let client = Client::new(Arc::new(domain()), publisher);
    for number in 0..MESSAGES {
        let message = Counted::new(&orders.name, number, String::new());
        recorder.note(Event::attempted(message.number.clone()));
        let published = client.publish(&message).await;
        published.expect("there is room");
        recorder.note(Event::confirmed(message.number));
    }
}

/// Asks the server to end while handlers are at work, and reports once those that can have finished and are acked.
async fn drain(running: &Running, transport: &dyn Transport, hand: &Hand) {
    let mut look = interval(RETRY_TTL / 8);
    while hand.begun.load(Ordering::Relaxed) < u32::from(DRAINING) {
        look.tick().await;
    }
    let draining = running.drain(Duration::MAX);
    let finished = async {
        hand.draining.add_permits(usize::from(DRAINING));
        loop {
            look.tick().await;
            let left: u64 = queues(transport)
                .await
                .expect("the broker tells its queues")
                .iter()
                .map(|queue| queue.depth())
                .sum();
            if left == u64::from(MESSAGES) - u64::from(DRAINING / 2) {
                say("reached");
            }
        }
    };
    tokio::join!(draining, finished);
}

async fn count(
    State(hand): State<Hand>,
    origin: Origin,
    headers: Headers,
    message: Counted,
) -> Result<(), HandlerError> {
    let failures = redelivery_count(&headers).expect("only we count");
    let note = |event: Event| hand.recorder.note(event.after_failures(failures));
    let handled = Event::handled(message.number.clone(), origin.redelivered, "stopping");
    let serial = message.serial();
    if hand.at == Point::InDrain {
        note(handled);
        hand.begun.fetch_add(1, Ordering::Relaxed);
        return finish_the_first_half(&hand, serial).await;
    }
    if serial != VICTIM {
        note(handled);
        return Ok(());
    }
    // Handlers run one at a time: the next settlement is that of this message.
    hand.halt.at_next_settlement();
    let refused = Event::refused(message.number, origin.redelivered, "stopping");
    match hand.at {
        Point::AfterRetryCopy => {
            note(refused);
            Err(HandlerError::retry("refused on purpose"))
        }
        Point::AfterDeadLetter => {
            note(refused);
            Err(HandlerError::fatal("refused for good"))
        }
        Point::InHandler => {
            note(handled);
            say("reached");
            pending().await
        }
        Point::BeforeAck | Point::InDrain => {
            note(handled);
            Ok(())
        }
    }
}

/// Handlers wait until the drain has begun; then the first half of them finishes.
async fn finish_the_first_half(hand: &Hand, serial: u32) -> Result<(), HandlerError> {
    if serial < u32::from(DRAINING / 2) {
        let permit = hand.draining.acquire().await;
        permit.expect("nobody closes it").forget();
        return Ok(());
    }
    pending().await
}
