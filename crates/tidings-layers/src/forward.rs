//! Carries out a convention's plan for a failed handling: publish the copy and wait, or say how to settle.
//!
//! `redeliver` and `dead_letter` are the same machine with another [`Role`]: which fates they carry out, what
//! they count and how loudly they log. The rule that both exist for is here and nowhere else: the original is
//! acked only after its copy is confirmed. It stays an error, so that span and metrics see one, but one that
//! carries the settlement `Ack`.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::metrics::{Counter, counter};
use pin_project_lite::pin_project;
use tidings_core::{
    Address, Call, Completion, Error, ErrorKind, Outcome, Reply, Settlement,
    convention::{Fate, Plan},
    error::Result,
    metric::{self, label},
};
use tracing::{error, warn};

use crate::recovery::Recovery;

/// Which of the plans are carried out.
#[derive(Clone)]
pub(crate) enum Role {
    /// Those after which the message comes again.
    Redeliver { redeliveries: Counter },
    /// Those after which it does not.
    DeadLetter,
}

pin_project! {
    /// The future of [`Redeliver`](crate::Redeliver) and [`DeadLetter`](crate::DeadLetter).
    ///
    /// # Cancel safety
    /// Dropping it never loses the message: the original is settled by nobody and comes again, and a copy that
    /// was already handed over arrives too.
    pub struct Recovering<F> {
        recovery: Recovery,
        role: Role,
        original: Call,
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        Handling { #[pin] future: F },
        Forwarding { forward: Forward },
    }
}

/// A copy on its way out, and what it is a copy for.
struct Forward {
    confirm: Completion,
    to: Address,
    fate: Fate,
    error: Option<Error>,
}

impl<F> Recovering<F> {
    /// Handles a call; `original` is what is left of it when that fails.
    pub(crate) fn new(recovery: Recovery, role: Role, original: Call, future: F) -> Self {
        Self {
            recovery,
            role,
            original,
            step: Step::Handling { future },
        }
    }
}

impl<F: Future<Output = Result<Reply>>> Future for Recovering<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepNow::Handling { future } => {
                    let error = match ready!(future.poll(cx)) {
                        Ok(reply) => return Poll::Ready(Ok(reply)),
                        Err(error) => error,
                    };
                    match begin(this.recovery, this.role, this.original, error) {
                        Ok(forward) => this.step.set(Step::Forwarding { forward }),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                StepNow::Forwarding { forward } => {
                    let confirmed = ready!(Pin::new(&mut forward.confirm).poll(cx));
                    let error = forward.error.take().unwrap_or_else(polled_again);
                    let failed = Failure::new(this.recovery, this.original, &error);
                    return Poll::Ready(Err(match confirmed {
                        Ok(()) => {
                            this.role.report(&failed, &forward.fate);
                            error.with_settlement(Settlement::Ack)
                        }
                        Err(cause) => unmoved(&failed, &forward.to, cause),
                    }));
                }
            }
        }
    }
}

/// Asks for the plan and starts it. `Err` is for the runtime, or for the layer outside.
fn begin(recovery: &Recovery, role: &Role, original: &Call, error: Error) -> Result<Forward> {
    if !role.considers(&error) {
        return Err(error);
    }
    match recovery.plan(original, &error) {
        Plan::Forward { call, fate } if role.carries_out(&fate) => Ok(Forward {
            to: call.address.clone(),
            confirm: recovery.publisher().publish(call.patiently()),
            fate,
            error: Some(error),
        }),
        Plan::Settle { settlement, fate } if role.carries_out(&fate) => {
            role.report(&Failure::new(recovery, original, &error), &fate);
            Err(error.with_settlement(settlement))
        }
        Plan::Forward { .. } | Plan::Settle { .. } => Err(error),
    }
}

/// The copy is not safe, so the original must come again.
fn unmoved(failed: &Failure<'_>, to: &Address, cause: Error) -> Error {
    warn!(
        queue = failed.queue,
        subscriber = failed.subscriber,
        message.id = failed.message_id,
        error.type = failed.error.kind().as_str(),
        error = failed.error.chain(),
        "handling failed, and the copy of the message could not be moved on"
    );
    let context = format!(
        "cannot move a failed message of queue `{}` to `{}`, so it stays in its queue and comes again: \
         check that the broker takes messages there",
        failed.queue, to,
    );
    Error::new(cause.kind(), context)
        .with_outcome(Outcome::Requeue)
        .with_source(cause)
}

fn polled_again() -> Error {
    Error::new(ErrorKind::Closed, "polled after it had ended")
}

/// A failed handling, as the log shows it.
struct Failure<'a> {
    queue: &'a str,
    subscriber: &'a str,
    message_id: Option<&'a str>,
    error: &'a Error,
}

impl<'a> Failure<'a> {
    fn new(recovery: &'a Recovery, original: &'a Call, error: &'a Error) -> Self {
        Self {
            queue: recovery.queue(),
            subscriber: recovery.subscriber(),
            message_id: original.envelope.properties.message_id().map(AsRef::as_ref),
            error,
        }
    }
}

impl Role {
    /// Whether the convention is asked at all.
    fn considers(&self, error: &Error) -> bool {
        // A settlement in the error means that a layer inside has decided already.
        let undecided = error.settlement().is_none();
        match self {
            Self::Redeliver { .. } => undecided,
            // Whatever is to be given back untouched is not dead, least of all because `redeliver` could
            // not move it: a rule of the retry policy that fits the broker's error must not bury the message.
            Self::DeadLetter => undecided && error.outcome() != Outcome::Requeue,
        }
    }

    /// Whether plans with this fate are ours. Every fate belongs to exactly one role.
    fn carries_out(&self, fate: &Fate) -> bool {
        let ends = matches!(fate, Fate::DeadLettered { .. } | Fate::Dropped);
        match self {
            Self::Redeliver { .. } => !ends,
            Self::DeadLetter => ends,
        }
    }

    /// Counts and logs a plan that has been carried out.
    fn report(&self, failed: &Failure<'_>, fate: &Fate) {
        match (self, fate) {
            (Self::Redeliver { redeliveries }, fate) => {
                redeliveries.increment(1);
                log_redelivery(failed, fate);
            }
            (Self::DeadLetter, Fate::DeadLettered { reason }) => {
                let queue = failed.queue.to_owned();
                counter!(metric::DEAD_LETTERS, label::SUBSCRIPTION => queue, label::REASON => reason.clone())
                    .increment(1);
                log_end(failed, reason, "the message became a dead letter");
            }
            (Self::DeadLetter, _) => {
                log_end(
                    failed,
                    "dropped",
                    "the message is lost: its queue has no dead letters",
                );
            }
        }
    }
}

fn log_redelivery(failed: &Failure<'_>, fate: &Fate) {
    let (attempts, delay) = match fate {
        Fate::Retried { attempts, delay } => (Some(*attempts), *delay),
        Fate::Deferred { delay } => (None, *delay),
        _ => (None, None),
    };
    warn!(
        queue = failed.queue,
        subscriber = failed.subscriber,
        message.id = failed.message_id,
        attempts,
        delay_seconds = delay.map(|delay| delay.as_secs_f64()),
        error.type = failed.error.kind().as_str(),
        error = failed.error.chain(),
        "handling failed, the message comes again"
    );
}

fn log_end(failed: &Failure<'_>, reason: &str, what: &'static str) {
    error!(
        queue = failed.queue,
        subscriber = failed.subscriber,
        message.id = failed.message_id,
        reason,
        error.type = failed.error.kind().as_str(),
        error = failed.error.chain(),
        "handling failed, {what}"
    );
}

impl<F> fmt::Debug for Recovering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovering")
            .field("queue", self.recovery.queue())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redeliver { .. } => "Redeliver",
            Self::DeadLetter => "DeadLetter",
        })
    }
}
