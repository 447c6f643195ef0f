//! The only place that spawns: every task has a name and an owner that waits for it.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::task::AbortHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// A group of tasks that ends together.
///
/// Cloning it gives another handle on the same group. Tasks are asked to stop through
/// [`stopping`](Self::stopping) and aborted by [`stop`](Self::stop) once the deadline has passed.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    abort: Arc<std::sync::Mutex<Vec<AbortHandle>>>,
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future as a task of this group.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", name);
        let task = self.tracker.spawn(future.instrument(span));
        let mut handles = self
            .abort
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        handles.retain(|handle| !handle.is_finished());
        handles.push(task.abort_handle());
    }

    /// Resolves when the group has been asked to stop.
    ///
    /// # Cancel safety
    /// Yes: it only looks at a flag.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the group has been asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Asks every task to stop and does not wait.
    pub fn request_stop(&self) {
        self.stop.cancel();
    }

    /// Asks every task to stop, waits until all have ended or `grace` has passed, and aborts the rest.
    /// Returns whether all ended by themselves.
    ///
    /// # Cancel safety
    /// Yes: calling it again goes on waiting.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            return true;
        }
        self.abort();
        self.tracker.wait().await;
        false
    }

    /// Aborts every task at once.
    pub fn abort(&self) {
        self.stop.cancel();
        self.tracker.close();
        for handle in self
            .abort
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .drain(..)
        {
            handle.abort();
        }
    }

    /// How many tasks are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether none is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}
