//! Ships what was asked and what was answered to a log server, never in the way of a call.
//!
//! **What.** For each request two records, as the HTTP API of deployed log servers wants them: the request as it was
//! understood, with defaults filled in, or as it came if it could not be; and the answer, with the chain of errors where
//! the caller is told nothing but that something unexpected happened. Secrets are hidden in both.
//!
//! **Where.** A layer around the handler. It sees what the handler and everything inside says; a request that never gets
//! that far (nobody got its lock in time) has no record. With attempts inside one delivery each attempt is recorded, and
//! the log server refuses all but the first.
//!
//! **Cost for a call.** A place in a bounded queue, taken without waiting. Reading, hiding and sending happen in tasks
//! of their own. A request is admitted together with its answer or not at all, so that the log server has no request
//! that seems to wait for its answer forever.
//!
//! **When the log server is away.** Records wait until the queue is full; newer ones are then dropped and counted. A
//! record that the server does not answer for is tried a few times, one that it refuses is not tried again. The log has
//! one line when the server goes away, and one when it is back, with how many records were dropped meanwhile.
//!
//! **Cancellation.** A handling that is dropped after its deadline is recorded as not done in time. One that is dropped
//! before (the service is stopping) will come again and is not.

mod config;
mod layer;
mod outage;
mod post;
mod queue;
mod record;
mod service;
mod shipper;
mod source;
mod tally;

use std::{sync::Arc, time::Duration};

use tidings_core::{Deadline, error::Result, tasks::Tasks};

pub use self::{
    config::JournalConfig,
    layer::JournalLayer,
    service::{JournalFuture, JournalService},
    source::Source,
    tally::Counts,
};
use self::{outage::Outage, post::Post, queue::Queue, shipper::Shipper};

/// The way to one log server: a bounded queue, and tasks that empty it. Cloning it gives another handle.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    tasks: Tasks,
}

impl Journal {
    /// Begins to ship. Whether the log server is there shows when there is something to ship.
    ///
    /// # Errors
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) if the system has no certificate authorities and the log server's URL
    /// begins with `https:`.
    pub fn start(config: &JournalConfig) -> Result<Self> {
        let post = Post::new(config)?;
        let (queue, lanes) = Queue::new(config);
        let queue = Arc::new(queue);
        let (tasks, outage) = (Tasks::new(), Arc::new(Outage::default()));
        for lane in lanes {
            let tally = Arc::clone(queue.tally());
            let outage = Arc::clone(&outage);
            let shipper = Shipper::new(lane, post.clone(), tally, config, tasks.clone(), outage);
            tasks.spawn("journal", shipper.run());
        }
        Ok(Self { queue, tasks })
    }

    /// A layer that records the requests of this source.
    #[must_use]
    pub fn layer(&self, source: Source) -> JournalLayer {
        JournalLayer::new(Arc::clone(&self.queue), Arc::new(source))
    }

    /// What has become of the records so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.queue.tally().counts()
    }

    /// Takes no more records, ships those that wait until the deadline, and returns what has become of all of them.
    ///
    /// # Cancel safety
    /// Calling it again goes on waiting.
    pub async fn close(&self, deadline: Deadline) -> Counts {
        let grace = deadline.remaining().unwrap_or(Duration::MAX);
        if !self.tasks.stop(grace).await {
            self.queue.tally().abandoned();
        }
        self.counts()
    }
}
