//! A child that publishes, and writes down what it attempted and what was confirmed.

use std::{collections::VecDeque, sync::Arc};

use tidings::{Client, ErrorKind, Publishing, transport::Transport};
use tidings_testkit::history::{Event, Recorder};

use crate::crash::{
    child::say,
    orders::{Orders, Role},
    place::{Counted, declare, domain, until_waiting},
};

/// How many publishes are under way at a time.
const IN_FLIGHT: usize = 32;
/// After how many messages the length of the queue is looked at.
const LOOK_EVERY: u32 = 128;

/// The publishes that have not been answered, oldest first.
struct UnderWay<'a> {
    recorder: &'a Recorder,
    publishes: VecDeque<(String, Publishing)>,
    confirmed: usize,
}

pub(in crate::crash) async fn work(
    orders: &Orders,
    transport: Arc<dyn Transport>,
    recorder: &Recorder,
) {
    let Role::Publisher {
        filling,
        most_waiting,
        until_full,
    } = orders.role
    else {
        return;
    };
    declare(&*transport).await.expect("queues are made");
    let publisher = transport.publisher().await.expect("there is a publisher");
    let client = Client::new(Arc::new(domain()), publisher);
    let filling = "x".repeat(filling);
    let mut under_way = UnderWay {
        recorder,
        publishes: VecDeque::new(),
        confirmed: 0,
    };
    for serial in 0.. {
        if serial % LOOK_EVERY == 0 {
            // Consumers must be able to keep up, or the last ones would have to work off a mountain.
            until_waiting(&*transport, |messages| messages <= most_waiting).await;
        }
        let message = Counted::new(&orders.name, serial, filling.clone());
        recorder.note(Event::attempted(message.number.clone()));
        let publishing = client.publish(&message);
        under_way.publishes.push_back((message.number, publishing));
        let full = under_way.down_to(IN_FLIGHT).await == Some(ErrorKind::Full);
        if full && until_full {
            break;
        }
    }
    under_way.down_to(0).await;
    say("full");
    std::future::pending::<()>().await;
}

impl UnderWay<'_> {
    /// Waits until at most so many are unanswered. Returns the last failure.
    async fn down_to(&mut self, most: usize) -> Option<ErrorKind> {
        let mut failure = None;
        while self.publishes.len() > most
            && let Some((number, publishing)) = self.publishes.pop_front()
        {
            match publishing.await {
                Ok(()) => {
                    self.recorder.note(Event::confirmed(number));
                    self.confirmed += 1;
                    if self.confirmed == 1 {
                        say("working");
                    }
                }
                Err(error) => {
                    tracing::warn!(number, error = error.chain(), "not confirmed");
                    self.recorder.note(Event::failed(number));
                    failure = Some(error.kind());
                }
            }
        }
        failure
    }
}
