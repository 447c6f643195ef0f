//! Using a file that another process owns: find the owner, follow it, and take over when it ends.
//!
//! Seeking is a race that ends well whoever wins: the lock is tried first, then the socket, again and again
//! with a short random pause, because a new owner listens only after it has recovered the file. A frozen owner
//! (stopped, not dead) still holds its lock: then operations wait for it, as they would for a frozen server.

use std::{sync::Arc, time::Duration};

use tidings_core::{Acker, Delivery};
use tidings_core::{Error, ErrorKind, Result, acker::Settle, tasks::Tasks};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, sleep, timeout},
};

use super::{
    election::Lock,
    frame::{Answer, Request, VERSION},
    framing::Frames,
    member::{Member, Phase, lock},
    session::{Session, SessionSettle, Waiter},
    socket::{Stream, connect},
    wire::corrupt,
};

/// How long operations wait for an owner before they fail. The search goes on after that.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long an owner may take to answer the greeting.
const GREETING: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How a search ended.
pub(super) enum Found {
    /// Nobody owned the file: now this process does.
    Nobody(Lock),
    /// Its owner, which has greeted back.
    Owner(Connection),
}

/// A greeted connection to the owner.
#[derive(Debug)]
pub(super) struct Connection {
    frames: Frames<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
}

/// The pauses between attempts: longer and longer up to a bound, and never the same in two processes.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    since: Instant,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self {
            next: PAUSE.0,
            since: Instant::now(),
        }
    }

    /// How long the search has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// # Cancel safety
    /// Yes: the pause is merely cut short.
    pub(super) async fn pause(&mut self) {
        sleep(self.next.mul_f64(0.5 + fastrand::f64())).await;
        self.next = (self.next * 2).min(PAUSE.1);
    }
}

/// One attempt to become the owner, or else to reach it.
pub(super) async fn attempt(member: &Member) -> Result<Found> {
    if let Some(lock) = member.place.try_own()? {
        return Ok(Found::Nobody(lock));
    }
    match timeout(GREETING, greet(member)).await {
        Ok(greeted) => greeted.map(Found::Owner),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("the owner did not answer within {GREETING:?}: is it stopped?"),
        )),
    }
}

/// Whether another attempt may end differently.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Closed)
}

/// What operations are told when no owner was found in time.
pub(super) fn gave_up(member: &Member, last: &Error) -> String {
    format!(
        "`embedded:{}` has no usable owner ({}): end the process that holds `{}`, or wait for it",
        member.place.file.display(),
        last.chain(),
        member.place.lock.display(),
    )
}

async fn greet(member: &Member) -> Result<Connection> {
    let stream = connect(&member.place.socket, &member.place.lock).await?;
    let (reader, mut writer) = tokio::io::split(stream);
    let hello = Request::Hello {
        version: VERSION,
        client: member.producer.0,
    };
    let mut wire = Vec::new();
    hello.put(&mut wire)?;
    let gone = || {
        Error::new(
            ErrorKind::Unavailable,
            "the owner ended during the greeting",
        )
    };
    writer.write_all(&wire).await.map_err(|_| gone())?;
    let mut frames = Frames::new(reader);
    match Answer::read(frames.next().await?.ok_or_else(gone)?)? {
        Answer::Welcome { .. } => Ok(Connection { frames, writer }),
        Answer::Refused { error } => Err(error),
        Answer::Goodbye => Err(gone()),
        other => Err(corrupt(format_args!(
            "{other:?} is no answer to a greeting"
        ))),
    }
}

/// Uses the owner at the other end until the connection ends.
///
/// # Errors
/// Why it ended, unless the owner said goodbye or died.
///
/// # Cancel safety
/// **Not**: cancel it only to end the connection.
pub(super) async fn follow(
    member: &Arc<Member>,
    connection: Connection,
    tasks: &Tasks,
) -> Result<()> {
    let session = Arc::new(Session::new());
    let writing = Arc::clone(&session);
    let Connection { mut frames, writer } = connection;
    tasks.spawn("embedded link writer", async move {
        writing.write_to(writer).await;
    });
    resume(member, &session);
    let ended = tokio::select! {
        ended = receive(member, &session, &mut frames) => ended,
        // `receive` is cancel-safe: it waits only for the next frame.
        () = tasks.stopping() => {
            // The owner handles what was sent before, answers it, and closes the connection.
            session.tell(&Request::Close);
            receive(member, &session, &mut frames).await
        }
    };
    session.end();
    // Whoever publishes now finds the session over; only then may the numbering of what is on the wire start anew.
    member.enter(Phase::Seeking);
    lock(&member.publishes).rewind();
    member.clear_inboxes();
    ended
}

/// Tells a new owner what the last one knew, and sends what it has not answered.
///
/// Frames are handled in order, so nobody has to wait for an answer in between.
fn resume(member: &Member, session: &Arc<Session>) {
    if let Some(topology) = member.transient.all() {
        let declared = session.ask(Waiter::Redeclare, |id| Request::Declare { id, topology });
        if let Err(error) = declared {
            tracing::warn!(
                error = error.chain(),
                "cannot declare exclusive queues again"
            );
        }
    }
    for (subscription, inbox) in member.established() {
        let to = inbox.to.clone();
        let asked = session.ask(Waiter::Resubscribe(subscription), |id| Request::Subscribe {
            id,
            subscription,
            to,
        });
        if let Err(error) = asked {
            inbox.end(Some(error));
        }
    }
    member.enter(Phase::Client(Arc::clone(session)));
    let mut publishes = lock(&member.publishes);
    session.write(|wire| publishes.send(wire));
}

/// Passes on what the owner says, until it says no more.
///
/// # Cancel safety
/// Yes: it waits only for the next frame, and that wait is cancel-safe.
async fn receive(
    member: &Arc<Member>,
    session: &Arc<Session>,
    frames: &mut Frames<ReadHalf<Stream>>,
) -> Result<()> {
    let settle: Arc<dyn Settle> = Arc::new(SessionSettle(Arc::clone(session)));
    while let Some(frame) = frames.next().await? {
        match Answer::read(frame)? {
            Answer::Published { seq, result } => published(member, session, seq, result)?,
            Answer::Delivery {
                subscription,
                tag,
                call,
            } => {
                let delivery = Delivery::new(call, Acker::new(Arc::clone(&settle), tag));
                // Without an inbox it is dropped, which gives it back: the subscription has just been cancelled.
                if let Some(inbox) = member.inbox(subscription)
                    && !inbox.deliver(delivery)
                {
                    return Err(corrupt(format_args!(
                        "more deliveries than the prefetch of `{}`",
                        inbox.to.queue
                    )));
                }
            }
            Answer::Done { id, result } => done(member, session, id, result)?,
            Answer::Queues { id, result } => match session.waiter(id) {
                Some(Waiter::Queues(answer)) => drop(answer.send(result)),
                _ => {
                    return Err(corrupt(format_args!(
                        "nobody asked for the queues of answer {id}"
                    )));
                }
            },
            Answer::Differences { id, result } => match session.waiter(id) {
                Some(Waiter::Differences(answer)) => drop(answer.send(result)),
                _ => return Err(corrupt(format_args!("nobody compares for answer {id}"))),
            },
            Answer::Ended {
                subscription,
                error,
            } => {
                if let Some(inbox) = member.inbox(subscription) {
                    inbox.end(error);
                }
            }
            Answer::Goodbye => return Ok(()),
            Answer::Refused { error } => return Err(error),
            Answer::Welcome { .. } => return Err(corrupt("a second greeting")),
        }
    }
    Ok(())
}

fn published(member: &Member, session: &Session, seq: u64, result: Result<()>) -> Result<()> {
    let mut publishes = lock(&member.publishes);
    publishes.answer(seq, result)?;
    if publishes.has_waiting() {
        session.write(|wire| publishes.send(wire));
    } else if publishes.is_empty() {
        member.idle.notify_waiters();
    }
    Ok(())
}

fn done(member: &Member, session: &Session, id: u64, result: Result<()>) -> Result<()> {
    match session.waiter(id) {
        Some(Waiter::Result(answer)) => drop(answer.send(result)),
        Some(Waiter::Subscribe(subscription, answer)) => {
            if let Some(inbox) = member.inbox(subscription).filter(|_| result.is_ok()) {
                inbox.establish();
            }
            drop(answer.send(result));
        }
        Some(Waiter::Resubscribe(subscription)) => {
            if let (Some(inbox), Err(error)) = (member.inbox(subscription), result) {
                inbox.end(Some(error));
            }
        }
        Some(Waiter::Redeclare) => {
            if let Err(error) = result {
                tracing::warn!(
                    error = error.chain(),
                    "cannot declare exclusive queues again"
                );
            }
        }
        Some(Waiter::Queues(_) | Waiter::Differences(_)) | None => {
            return Err(corrupt(format_args!("nobody waits for answer {id}")));
        }
    }
    Ok(())
}
