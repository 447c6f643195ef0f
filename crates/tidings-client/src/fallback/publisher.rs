//! A publisher that gives to a spool what the broker cannot take at the moment.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use metrics::{Counter, counter};
use tidings_core::{
    Call, Completion, Error, ErrorKind, error::Result, metric::FALLBACK_PUBLISHES, tasks::Tasks,
    transport::Publisher,
};
use tokio::{runtime::Handle, sync::Notify};
use tracing::error;

use super::{Spool, is_away, outage::Outage};

/// Publishes to a primary publisher, and into a spool while the broker behind it is away.
///
/// A publish that fails because the broker is away, full or silent succeeds once the spool has made the call safe.
/// Every other failure (nobody would receive it, the exchange does not exist, access is refused, …) would be the same
/// tomorrow and goes to the caller as it is.
///
/// # Guarantees
/// At least once. A message whose outcome at the broker was unknown
/// ([`Unconfirmed`](tidings_core::ErrorKind::Unconfirmed)) may be stored there *and* in the spool, with the same id.
/// Messages that are published while others are still in the spool may overtake them.
#[derive(Clone)]
pub struct FallbackPublisher(Arc<Shared>);

pub(super) struct Shared {
    pub(super) primary: Arc<dyn Publisher>,
    pub(super) spool: Arc<dyn Spool>,
    pub(super) outage: Outage,
    /// Something may be in the spool.
    pub(super) stored: Notify,
    /// The broker has taken a publish again after an outage.
    pub(super) recovered: Notify,
    diverted: Counter,
    tasks: Tasks,
}

impl FallbackPublisher {
    /// A publisher that tries `primary` first. Publishes that nobody waits for any more are brought to their end, into the
    /// spool if need be, as tasks of `tasks`; those that are under way when the group is aborted go to the spool at once.
    #[must_use]
    pub fn new(primary: Arc<dyn Publisher>, spool: Arc<dyn Spool>, tasks: &Tasks) -> Self {
        Self(Arc::new(Shared {
            primary,
            spool,
            outage: Outage::new(),
            stored: Notify::new(),
            recovered: Notify::new(),
            diverted: counter!(FALLBACK_PUBLISHES),
            tasks: tasks.clone(),
        }))
    }

    /// Publishes what is in the spool to the primary. Returns how many. [`Replayer`](super::Replayer) does it by itself.
    ///
    /// # Errors
    /// As [`Spool::replay`].
    ///
    /// # Cancel safety
    /// Yes, as [`Spool::replay`].
    pub async fn replay(&self) -> Result<u64> {
        self.0.spool.replay(&*self.0.primary).await
    }

    /// The spool.
    #[must_use]
    pub fn spool(&self) -> &Arc<dyn Spool> {
        &self.0.spool
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Publisher for FallbackPublisher {
    fn publish(&self, call: Call) -> Completion {
        // Shares the payload; a fresh message has no headers, so nothing is allocated.
        let copy = call.clone();
        let mut completion = self.0.primary.publish(call);
        if completion.is_ready()
            && let Poll::Ready(result) = poll_once(&mut completion)
        {
            return match result {
                Err(cause) if is_away(cause.kind()) => self.0.divert(copy, cause).into_completion(),
                result => Completion::ready(self.0.ended(result)),
            };
        }
        Diverting::trying(&self.0, completion, copy).into_completion()
    }
}

impl Shared {
    fn divert(self: &Arc<Self>, call: Call, cause: Error) -> Diverting {
        self.outage.diverted(&cause);
        let storing = self.spool.store(call);
        Diverting {
            shared: Arc::clone(self),
            step: Step::Storing { storing, cause },
            is_task: false,
        }
    }

    /// Brings a publish to its end when no task can: the spool gets what the broker has not confirmed yet, and makes it
    /// safe by itself.
    fn hand_over(&self, step: Step) {
        let (mut storing, cause) = match step {
            Step::Trying { call, .. } => (self.spool.store(call), cut_off()),
            Step::Storing { storing, cause } => (storing, cause),
            Step::Done => return,
        };
        let answer = if storing.is_ready() {
            poll_once(&mut storing)
        } else {
            Poll::Pending
        };
        let result = match answer {
            Poll::Ready(result) => result,
            // Nobody will see the answer. A replay that this wakes finds the call, or the next one does.
            Poll::Pending => Ok(()),
        };
        if let Err(error) = self.stored(result, &cause) {
            error!(error = %error.chain(), "a publish that was cut off was not made safe");
        }
    }

    fn ended(&self, result: Result<()>) -> Result<()> {
        if result.is_ok() && self.outage.arrived() {
            self.recovered.notify_one();
        }
        result
    }

    fn stored(&self, result: Result<()>, cause: &Error) -> Result<()> {
        match result {
            Ok(()) => {
                self.diverted.increment(1);
                self.stored.notify_one();
                Ok(())
            }
            Err(refused) => Err(both_failed(cause, refused)),
        }
    }
}

/// The kind is the broker's: whether the message may be stored there all the same is what the caller must know.
fn both_failed(cause: &Error, refused: Error) -> Error {
    let context = format!(
        "the broker did not take the message ({}) and neither did the fallback ({}): publish it again once one of them is back",
        cause.chain(),
        refused.chain()
    );
    Error::new(cause.kind(), context)
        .with_outcome(cause.outcome())
        .with_source(refused)
}

fn cut_off() -> Error {
    Error::new(
        ErrorKind::Unconfirmed,
        "the broker had not answered when waiting for it was cut off",
    )
}

/// One publish on its way to the broker or into the spool.
///
/// Dropping it must give up only the answer, and the primary's failure is seen by nobody but this future: so
/// whatever is left of it when it is dropped goes on as a task. Where that cannot be (outside the runtime, after the end of the
/// group, or when it is that task that is dropped) the call goes to the spool at once.
struct Diverting {
    shared: Arc<Shared>,
    step: Step,
    /// Whether it has been dropped once. A task that is aborted must not become another one that is.
    is_task: bool,
}

enum Step {
    Trying { completion: Completion, call: Call },
    Storing { storing: Completion, cause: Error },
    Done,
}

impl Diverting {
    fn trying(shared: &Arc<Shared>, completion: Completion, call: Call) -> Self {
        Self {
            shared: Arc::clone(shared),
            step: Step::Trying { completion, call },
            is_task: false,
        }
    }

    /// Resolved already if the answer is known already.
    fn into_completion(mut self) -> Completion {
        if let Step::Storing { storing, .. } = &self.step
            && storing.is_ready()
            && let Poll::Ready(result) = poll_once(&mut self)
        {
            return Completion::ready(result);
        }
        Completion::future(self)
    }
}

impl Future for Diverting {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Step::Trying { completion, .. } = &mut this.step {
            let result = ready!(Pin::new(completion).poll(cx));
            let step = mem::replace(&mut this.step, Step::Done);
            match (result, step) {
                (Err(cause), Step::Trying { call, .. }) if is_away(cause.kind()) => {
                    this.shared.outage.diverted(&cause);
                    let storing = this.shared.spool.store(call);
                    this.step = Step::Storing { storing, cause };
                }
                (result, _) => return Poll::Ready(this.shared.ended(result)),
            }
        }
        let Step::Storing { storing, cause } = &mut this.step else {
            return Poll::Pending;
        };
        let result = ready!(Pin::new(storing).poll(cx));
        let result = this.shared.stored(result, cause);
        this.step = Step::Done;
        Poll::Ready(result)
    }
}

impl Drop for Diverting {
    fn drop(&mut self) {
        let step = mem::replace(&mut self.step, Step::Done);
        if matches!(step, Step::Done) {
            return;
        }
        if self.is_task || self.shared.tasks.is_ended() || Handle::try_current().is_err() {
            self.shared.hand_over(step);
            return;
        }
        let rest = Self {
            shared: Arc::clone(&self.shared),
            step,
            is_task: true,
        };
        self.shared.tasks.spawn("fallback-publish", async move {
            if let Err(error) = rest.await {
                error!(error = %error.chain(), "a publish that nobody waits for was not made safe");
            }
        });
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl fmt::Debug for FallbackPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackPublisher")
            .field("primary", &self.0.primary)
            .field("spool", &self.0.spool)
            .finish_non_exhaustive()
    }
}
