//! A channel while it is used.

use std::{collections::HashSet, sync::Arc, task::Context, time::Duration};

use tidings_core::transport::BoxFuture;
use tokio::time::Instant;

use crate::publishing::{
    flight::Flight,
    job::Job,
    line::{Line, Loss},
    quarantine::Quarantine,
};

/// A channel, and what is on its way on it.
pub(super) struct Live<L> {
    pub(super) line: L,
    pub(super) flight: Flight,
    pub(super) over: BoxFuture<'static, ()>,
    pub(super) unblocked: Option<BoxFuture<'static, ()>>,
    /// Set once the channel has died: nothing more is sent, the answers that were already given are collected.
    pub(super) loss: Option<(Loss, Instant)>,
    /// Those that were lost with it.
    pub(super) lost: Vec<Job>,
    /// When the broker last gave an answer, or had no reason to.
    pub(super) quiet_since: Instant,
}

impl<L: Line> Live<L> {
    /// Notes that the channel has died. What the broker objects to says more than that the channel is gone.
    pub(super) fn die(&mut self, loss: Loss) {
        match &mut self.loss {
            Some((known @ Loss::Gone(_), _)) if matches!(loss, Loss::Refused(_)) => *known = loss,
            Some(_) => {}
            none => *none = Some((loss, Instant::now())),
        }
    }

    /// Whether the broker reads; if not, the task is woken when it does.
    pub(super) fn is_open(&mut self, context: &mut Context<'_>) -> bool {
        if self.unblocked.is_none() && self.line.blocked().is_none() {
            return true;
        }
        let line = &self.line;
        let unblocked = self.unblocked.get_or_insert_with(|| line.unblocked());
        let is_open = unblocked.as_mut().poll(context).is_ready();
        if is_open {
            self.unblocked = None;
            self.quiet_since = Instant::now();
        }
        is_open
    }

    pub(super) fn trouble(&self, patience: Duration) -> String {
        match self.line.blocked() {
            Some(reason) => format!("the broker has blocked the connection: {reason}"),
            None => format!("no answer within {patience:?}"),
        }
    }
}

/// Gives the job back if it may be sent now; else its exchange is kept apart, and the job with it.
pub(super) fn admit(
    job: Job,
    line: &impl Line,
    quarantine: &mut Quarantine,
    probed: &HashSet<Arc<str>>,
) -> Option<Job> {
    let exchange = &job.message.address.exchange;
    if line.is_precious() && !exchange.is_empty() && !probed.contains(exchange) {
        quarantine.add(exchange);
    }
    if quarantine.is_empty() {
        return Some(job);
    }
    quarantine.park(job)
}
