//! One client at the owner: its requests go to the engine as they come, the answers and the deliveries back as
//! they are ready, in any order.
//!
//! Two loops share the connection. One reads requests and hands them to the engine; the other waits for
//! whatever is ready to be said, collects all of it, and writes it at once. The first waits for the second when
//! too much is unanswered, so a client that does not read is not read from either. When the connection ends,
//! however it ends, the engine takes back what the client had.
//!
//! When the owner stops, the client gets no more deliveries at once and may settle those that it has, until it is
//! done, has nothing to say for a while, or the time is up. What it settles later comes twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use tidings_core::{Acker, Completion, Error, ErrorKind, Result, Settlement, tasks::Tasks};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{Notify, mpsc},
    time::{Instant, timeout_at},
};

use super::{
    frame::{Answer, Request},
    framing::Frames,
    member::lock,
    server::refuse,
    socket::Stream,
    wire::corrupt,
    writing::{About, Deliveries, Out, Outcome, Writing},
};
use crate::broker::{Broker, ConnectionId, ProducerId};

/// How many answers may be on their way from the reading loop to the writing one.
const HANDED_OVER: usize = 1_024;

/// How long a client may be silent while the owner waits for it to settle what it has.
const SILENCE: Duration = Duration::from_millis(500);

/// Smaller payloads are copied out of the buffer in which they arrived: a message may stay in a queue for days,
/// and would keep the whole buffer with all its long-gone neighbours.
const SHARED: usize = 16 << 10;

/// A client at the engine. Dropping it takes back everything that the client had.
#[derive(Debug)]
pub(super) struct Guest {
    broker: Broker,
    connection: ConnectionId,
    producer: ProducerId,
    ackers: Mutex<Ackers>,
    /// Told when one of them is used, and when there will be no more.
    released: Notify,
}

/// The deliveries that the client has not settled.
#[derive(Debug, Default)]
struct Ackers {
    last: u64,
    by_tag: HashMap<u64, Acker>,
    /// Whether there will be no more.
    held: bool,
}

impl Guest {
    pub(super) fn new(broker: Broker, client: u128) -> Self {
        Self {
            connection: broker.connect(),
            broker,
            producer: ProducerId(client),
            ackers: Mutex::default(),
            released: Notify::new(),
        }
    }

    /// Keeps the right to settle a delivery until the client uses it; returns the name of the delivery.
    pub(super) fn keep(&self, acker: Acker) -> u64 {
        let mut ackers = lock(&self.ackers);
        ackers.last += 1;
        let tag = ackers.last;
        ackers.by_tag.insert(tag, acker);
        tag
    }

    /// The right to settle a delivery, once.
    pub(super) fn release(&self, tag: u64) -> Option<Acker> {
        let released = lock(&self.ackers).by_tag.remove(&tag);
        self.released.notify_one();
        released
    }

    /// Notes that the client gets no more deliveries.
    pub(super) fn hold(&self) {
        lock(&self.ackers).held = true;
        self.released.notify_one();
    }

    /// Waits until the client has settled everything that it has and will ever have, is silent for too long, or the
    /// time is up.
    ///
    /// # Cancel safety
    /// Yes: it only waits.
    async fn settled(&self, until: Option<Instant>) {
        let done = || {
            let ackers = lock(&self.ackers);
            ackers.held && ackers.by_tag.is_empty()
        };
        while !done() {
            let silent = Instant::now() + SILENCE;
            let until = until.map_or(silent, |until| until.min(silent));
            if timeout_at(until, self.released.notified()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.broker.disconnect(self.connection);
    }
}

/// Serves one client until it ends or the owner stops; then it may settle what it has until the time that
/// `settle_by` tells.
pub(super) async fn serve(
    guest: Guest,
    mut frames: Frames<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
    tasks: &Tasks,
    settle_by: &OnceLock<Instant>,
) {
    let guest = Arc::new(guest);
    let (out, outs) = mpsc::channel(HANDED_OVER);
    let writing = Writing::new(Arc::clone(&guest), outs, writer);
    let reading = async {
        // Dropped at the end, which lets the writing loop come to its own.
        let out = out;
        let leaving = async {
            tasks.stopping().await;
            // If nobody takes it, the writing loop has ended, and with it all deliveries.
            drop(out.send(Out::Hold).await);
            guest.settled(settle_by.get().copied()).await;
        };
        tokio::select! {
            // Cut off between two frames or in the middle of handing one over: the client sends it again elsewhere.
            () = leaving => Ok(()),
            ended = read(&guest, &mut frames, &out) => ended,
        }
    };
    tokio::pin!(reading);
    let written = writing.run();
    tokio::pin!(written);
    tokio::select! {
        ended = &mut reading => {
            let writer = written.await;
            say_goodbye(ended, writer).await;
        }
        // The client is gone: nobody reads the answers.
        _ = &mut written => {}
    }
}

async fn say_goodbye(ended: Result<()>, writer: Option<WriteHalf<Stream>>) {
    let Some(mut writer) = writer else { return };
    match ended {
        Err(error) => refuse(writer, error).await,
        Ok(()) => {
            let mut wire = Vec::new();
            if Answer::Goodbye.put(&mut wire).is_ok() && writer.write_all(&wire).await.is_ok() {
                drop(writer.shutdown().await);
            }
        }
    }
}

/// Reads requests until there are no more.
///
/// # Errors
/// `Corrupt` for a frame that is none.
async fn read(
    guest: &Guest,
    frames: &mut Frames<ReadHalf<Stream>>,
    out: &mpsc::Sender<Out>,
) -> Result<()> {
    let mut subscriptions = HashMap::new();
    while let Some(frame) = frames.next().await? {
        let said = match Request::read(frame)? {
            Request::Abandon { tag } => {
                drop(guest.release(tag));
                continue;
            }
            Request::Cancel { subscription } => {
                let cancelled: Option<AbortHandle> = subscriptions.remove(&subscription);
                if let Some(handle) = cancelled {
                    handle.abort();
                }
                continue;
            }
            Request::Close => return Ok(()),
            Request::Hello { .. } => return Err(corrupt("a second greeting")),
            Request::Subscribe {
                id,
                subscription,
                to,
            } => match guest.broker.subscribe(guest.connection, to) {
                Ok(subscriber) => {
                    let (handle, registration) = AbortHandle::new_pair();
                    subscriptions.insert(subscription, handle);
                    let deliveries = Deliveries::new(subscription, Box::new(subscriber));
                    Out::Deliveries(id, Abortable::new(deliveries, registration))
                }
                Err(error) => Out::done(id, Err(error)),
            },
            other => answer(guest, other).await?,
        };
        if out.send(said).await.is_err() {
            // The writing loop has ended: the client is gone.
            return Ok(());
        }
    }
    Ok(())
}

/// What is to be said to a request that leaves nothing behind.
async fn answer(guest: &Guest, request: Request) -> Result<Out> {
    let Guest {
        broker, connection, ..
    } = guest;
    Ok(match request {
        Request::Publish { seq, mut call } => {
            let payload = &mut call.envelope.payload.bytes;
            if payload.len() < SHARED {
                *payload = Bytes::copy_from_slice(payload);
            }
            Out::Later(Outcome {
                about: About::Publish(seq),
                completion: broker.publish(Some((guest.producer, seq)), call),
            })
        }
        Request::Settle { id, tag, how } => Out::Later(Outcome {
            about: About::Request(id),
            completion: settle(guest, tag, how),
        }),
        // Awaited here, because what comes next may need it.
        Request::Declare { id, topology } => {
            Out::done(id, broker.declare(*connection, &topology).await)
        }
        Request::Delete { id, topology } => {
            Out::done(id, broker.delete(*connection, &topology).await)
        }
        Request::Compare { id, topology } => {
            let result = broker.compare(*connection, &topology);
            Out::Now(Answer::Differences { id, result })
        }
        Request::Queues { id, named } => {
            let result = broker.queues(&named);
            Out::Now(Answer::Queues { id, result })
        }
        other => return Err(corrupt(format_args!("{other:?} at this place"))),
    })
}

fn settle(guest: &Guest, tag: u64, how: Settlement) -> Completion {
    match guest.release(tag) {
        Some(acker) => acker.settle(how),
        None => Completion::ready(Err(Error::new(
            ErrorKind::Closed,
            format!(
                "delivery {tag} is not out any more: the message will come again unless it was settled"
            ),
        ))),
    }
}
