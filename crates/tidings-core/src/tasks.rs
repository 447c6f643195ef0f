//! The only place that spawns: every task has a name and an owner that waits for it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, task::AbortHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// How long aborted tasks may take to notice.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// A group of tasks that ends together.
///
/// Cloning it gives another handle on the same group. Tasks are asked to stop through
/// [`stopping`](Self::stopping) and aborted by [`stop`](Self::stop) once the deadline has passed.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    handles: Vec<AbortHandle>,
    /// At how many handles those of ended tasks are swept out: doubled so that spawning stays cheap.
    sweep_at: usize,
    /// Once set, whatever is spawned is aborted at once: nobody would wait for it.
    ended: bool,
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future as a task of this group. A group that is asked to stop may still grow, and
    /// [`stop`](Self::stop) waits for that too; once it has been aborted, the future is dropped instead.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", name);
        let task = self.tracker.spawn(future.instrument(span));
        self.running().add(task.abort_handle());
    }

    /// As [`spawn`](Self::spawn), on another runtime than the caller's.
    pub fn spawn_on(
        &self,
        runtime: &Handle,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let span = tracing::debug_span!("task", name);
        let task = self.tracker.spawn_on(future.instrument(span), runtime);
        self.running().add(task.abort_handle());
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

    /// Asks every task to stop, waits until all have ended or `grace` has passed, aborts the rest and waits up to a
    /// second for them: a task that blocks its thread goes on. Returns whether all ended by themselves.
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
        // A task that blocks its thread cannot be ended; it must not keep the others from ending the process.
        drop(tokio::time::timeout(AFTER_ABORT, self.tracker.wait()).await);
        false
    }

    /// Aborts every task at once, and every task spawned later.
    pub fn abort(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.running().end();
    }

    /// Whether the group has been aborted, so that whatever is spawned is dropped.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.running().ended
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

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn add(&mut self, handle: AbortHandle) {
        if self.ended {
            handle.abort();
            return;
        }
        if self.handles.len() >= self.sweep_at {
            self.handles.retain(|handle| !handle.is_finished());
            self.sweep_at = (2 * self.handles.len()).max(64);
        }
        self.handles.push(handle);
    }

    fn end(&mut self) {
        self.ended = true;
        for handle in self.handles.drain(..) {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicBool, Ordering},
    };

    use tokio::{sync::oneshot, time::Instant};

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// Tells when it is dropped, which is how an aborted task ends.
    struct Guard(Arc<AtomicBool>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn guard() -> (Guard, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Guard(Arc::clone(&dropped)), dropped)
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_waits_for_tasks_that_listen() {
        let tasks = Tasks::new();
        let (stopping, (guard, ended)) = (tasks.clone(), guard());
        tasks.spawn("polite", async move {
            let _guard = guard;
            stopping.stopping().await;
            tokio::time::sleep(GRACE / 2).await;
        });
        assert_eq!(tasks.len(), 1);
        assert!(!tasks.is_stopping());

        let start = Instant::now();
        assert!(tasks.stop(GRACE).await);
        assert_eq!(start.elapsed(), GRACE / 2);
        assert!(ended.load(Ordering::SeqCst) && tasks.is_empty() && tasks.is_stopping());
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_aborts_what_does_not_listen_after_the_grace() {
        let tasks = Tasks::new();
        let (guard, dropped) = guard();
        tasks.spawn("deaf", async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let start = Instant::now();
        tasks.request_stop();
        assert!(!tasks.is_ended(), "it may still end by itself");
        assert!(!tasks.stop(GRACE).await);
        assert_eq!(start.elapsed(), GRACE);
        assert!(tasks.is_ended());
        assert!(dropped.load(Ordering::SeqCst) && tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_given_up_can_be_taken_up_again() {
        let tasks = Tasks::new();
        let (finish, finished) = oneshot::channel::<()>();
        tasks.spawn("slow", async move {
            drop(finished.await);
        });
        let given_up = tokio::time::timeout(GRACE / 2, tasks.stop(GRACE)).await;
        assert!(given_up.is_err() && !tasks.is_empty());
        drop(finish);
        assert!(tasks.stop(GRACE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_is_stopping_may_still_grow() {
        let tasks = Tasks::new();
        let (inner, (guard, ended)) = (tasks.clone(), guard());
        tasks.spawn("outer", async move {
            inner.stopping().await;
            inner.spawn("last words", async move {
                let _guard = guard;
                tokio::time::sleep(GRACE / 2).await;
            });
        });
        assert!(tasks.stop(GRACE).await);
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_was_aborted_runs_nothing_more() {
        let tasks = Tasks::new();
        tasks.abort();
        let (guard, dropped) = guard();
        tasks.spawn("late", async move {
            let _guard = guard;
            pending::<()>().await;
        });
        assert!(tasks.stop(GRACE).await, "an aborted task needs no grace");
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_breeds_while_it_is_aborted_does_not_keep_the_group_alive() {
        struct Breeder(Tasks);

        impl Drop for Breeder {
            fn drop(&mut self) {
                self.0.spawn("offspring", pending());
            }
        }

        let tasks = Tasks::new();
        let breeder = Breeder(tasks.clone());
        tasks.spawn("breeder", async move {
            let _breeder = breeder;
            pending::<()>().await;
        });
        assert!(!tasks.stop(GRACE).await);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_like_any_other() {
        let tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("on purpose") });
        assert!(tasks.stop(GRACE).await);
    }

    #[tokio::test]
    async fn handles_of_ended_tasks_do_not_pile_up() {
        let tasks = Tasks::new();
        for _ in 0..1000 {
            tasks.spawn("short", async {});
            tokio::task::yield_now().await;
        }
        assert!(tasks.running().handles.len() <= 64);
        assert!(tasks.stop(GRACE).await);
    }
}
