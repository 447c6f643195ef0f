//! Declares again what was declared before, in a time that has an end.
//!
//! Nearly always nothing has changed and everything goes at once. If something is refused, or is not answered (the
//! process of a queue may hang, and its channel with it), each thing is declared on a channel of its own, so that one
//! that cannot come back does not keep the others away.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::try_join_all;
use lapin::Channel;
use tidings_core::{
    Error, ErrorKind, Result,
    topology::{Binding, Thing},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    create::{self, bind_one, create},
    form::Form,
};
use crate::{
    connection::Generation,
    error::{self, Act},
};

/// How long the broker may take for one thing.
const EACH: Duration = Duration::from_secs(4);
/// How much longer it may take for each of many: it is slow then, not silent.
const MORE: Duration = Duration::from_millis(100);
/// How many things are declared at a time when each has a channel of its own.
const LANES: usize = 8;
/// How often, and after which pauses, exclusive queues are asked for that the broker still gives to our old connection.
const LOCKED_ATTEMPTS: u32 = 20;
const LOCKED_PAUSE: Duration = Duration::from_millis(100);

/// What could not be declared, and why.
pub(super) type Refusals = Vec<(Thing, Error)>;

/// Declares everything; what cannot be declared is returned.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the connection ends meanwhile, or opens no channel any more.
///
/// # Cancel safety
/// Yes: declaring is idempotent.
pub(super) async fn restore(
    generation: &Generation,
    forms: &[&Form],
    bindings: &[Binding],
) -> Result<Refusals> {
    let count = u32::try_from(forms.len() + bindings.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Ok(Refusals::new());
    }
    let patience = EACH.saturating_add(MORE.saturating_mul(count));
    match timeout(patience, create(generation, forms, bindings, false)).await {
        Ok(Ok(())) => return Ok(Refusals::new()),
        Ok(Err(failed)) if generation.is_over() => return Err(failed),
        Ok(Err(failed)) => {
            tracing::debug!(error = %failed.chain(), "the topology is declared again one thing after the other");
        }
        Err(_) => {
            tracing::debug!(
                ?patience,
                "no answer, the topology is declared again one thing after the other"
            );
        }
    }
    let one_by_one = OneByOne {
        generation,
        until: Instant::now() + patience + patience,
    };
    one_by_one.restore(forms, bindings).await
}

struct OneByOne<'a> {
    generation: &'a Generation,
    /// Nothing is waited for any longer than this.
    until: Instant,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Form(&'a Form),
    Binding(&'a Binding),
}

/// Why something is not there.
enum Why {
    /// The broker says so.
    Said(lapin::Error),
    /// It does not answer.
    Silent,
}

type Failed<'a> = Vec<(Step<'a>, Why)>;

impl OneByOne<'_> {
    async fn restore(&self, forms: &[&Form], bindings: &[Binding]) -> Result<Refusals> {
        let (exchanges, queues): (Vec<_>, Vec<_>) = forms
            .iter()
            .map(|form| Step::Form(form))
            .partition(Step::is_exchange);
        let mut failed = self.all(&exchanges).await?;
        let of_queues = self.all(&queues).await?;
        failed.extend(self.unlock(of_queues).await?);
        // What does not answer would not answer here either.
        let is_silent = |binding: &&Binding| {
            let silent = |(step, why): &(Step<'_>, Why)| {
                matches!(why, Why::Silent) && step.is_queue(&binding.queue)
            };
            failed.iter().any(silent)
        };
        let steps: Vec<_> = bindings
            .iter()
            .filter(|binding| !is_silent(binding))
            .map(Step::Binding)
            .collect();
        failed.extend(self.all(&steps).await?);
        Ok(failed
            .into_iter()
            .map(|(step, why)| why.of(step.thing()))
            .collect())
    }

    /// Does all steps, some of them at a time, and returns those that failed.
    async fn all<'s>(&self, steps: &[Step<'s>]) -> Result<Failed<'s>> {
        let next = AtomicUsize::new(0);
        let lane = async |_| {
            let mut failed = Failed::new();
            while let Some(step) = steps.get(next.fetch_add(1, Ordering::Relaxed)) {
                failed.extend(self.one(*step).await?.map(|why| (*step, why)));
            }
            Ok::<_, Error>(failed)
        };
        let lanes = LANES.min(self.generation.spare_channels()).min(steps.len());
        let failed = try_join_all((0..lanes).map(lane)).await?;
        Ok(failed.into_iter().flatten().collect())
    }

    /// Asks for exclusive queues again until the broker has noticed that our old connection is gone.
    async fn unlock<'s>(&self, mut failed: Failed<'s>) -> Result<Failed<'s>> {
        for _ in 0..LOCKED_ATTEMPTS {
            let is_locked = |(step, why): &(Step<'_>, Why)| step.is_exclusive() && why.is_locked();
            let (locked, others): (Failed<'_>, Failed<'_>) =
                failed.into_iter().partition(is_locked);
            failed = others;
            if locked.is_empty() {
                break;
            }
            sleep(LOCKED_PAUSE).await;
            let steps: Vec<_> = locked.iter().map(|(step, _)| *step).collect();
            failed.extend(self.all(&steps).await?);
        }
        Ok(failed)
    }

    /// Does one thing on a channel of its own. Why the broker does not do it is returned; a lost connection is the error.
    async fn one(&self, step: Step<'_>) -> Result<Option<Why>> {
        let channel = timeout(EACH, self.generation.channel()).await;
        let channel = channel.map_err(|_| no_channel())??;
        let until = self.until.min(Instant::now() + EACH);
        match timeout_at(until, step.declare(&channel)).await {
            Ok(Ok(())) => {
                let _closed = timeout(EACH, create::close(&channel)).await.is_ok();
                Ok(None)
            }
            Ok(Err(refused)) => {
                self.generation.suspect(&refused);
                if self.generation.is_over() || error::code(&refused).is_none() {
                    return Err(error::of_connection(&refused));
                }
                Ok(Some(Why::Said(refused)))
            }
            Err(_) => Ok(Some(Why::Silent)),
        }
    }
}

impl Step<'_> {
    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        match self {
            Self::Form(form) => form.declare(channel).await,
            Self::Binding(binding) => bind_one(channel, binding).await,
        }
    }

    fn thing(&self) -> Thing {
        match self {
            Self::Form(form) => form.thing.clone(),
            Self::Binding(binding) => Thing::from(*binding),
        }
    }

    fn is_exchange(&self) -> bool {
        matches!(self, Self::Form(form) if form.kind.is_some())
    }

    fn is_queue(&self, name: &str) -> bool {
        matches!(self, Self::Form(Form { thing: Thing::Queue(queue), .. }) if **queue == *name)
    }

    fn is_exclusive(&self) -> bool {
        matches!(self, Self::Form(form) if form.exclusive)
    }
}

impl Why {
    fn is_locked(&self) -> bool {
        matches!(self, Self::Said(said) if error::code(said) == Some(error::RESOURCE_LOCKED))
    }

    fn of(self, thing: Thing) -> (Thing, Error) {
        let doing = format!("{thing} cannot be declared again");
        let error = match self {
            Self::Said(refused) => error::of_act(&refused, Act::Make(&thing), &doing),
            Self::Silent => Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{doing}: the broker does not answer in time (see its log, the queue or its node may hang)"
                ),
            ),
        };
        (thing, error)
    }
}

fn no_channel() -> Error {
    let context =
        format!("RabbitMQ opens no channel within {EACH:?}, the connection is made again");
    Error::new(ErrorKind::Unavailable, context)
}
