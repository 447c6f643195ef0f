//! The thread on which everything that speaks AMQP runs.
//!
//! lapin wakes whoever waits for it once per frame. On a runtime of their own, on one thread, those wake-ups stay on
//! that thread, and the application's workers are only woken for what concerns them: measured, a fifth to a sixth
//! more messages.

use std::{io, thread};

use tidings_core::{Error, ErrorKind, Result, tasks::Tasks};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// A thread with a runtime, and the tasks on it. Dropping it ends the thread; nothing waits for that.
#[derive(Debug)]
pub(crate) struct Reactor {
    handle: Handle,
    tasks: Tasks,
    end: CancellationToken,
}

impl Reactor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the system gives no thread.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(
                ErrorKind::Unavailable,
                "cannot start the thread of the RabbitMQ transport",
            )
            .with_source(error)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (handle, end) = (runtime.handle().clone(), CancellationToken::new());
        let ended = end.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(ended.cancelled()))
            .map_err(failed)?;
        let tasks = Tasks::new();
        Ok(Self { handle, tasks, end })
    }

    /// Runs a future as a task on the thread.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn_on(&self.handle, name, future);
    }

    /// Runs a future on the thread and waits for what it returns. `None` if the thread has ended.
    ///
    /// # Cancel safety
    /// Dropping it gives up the answer, not the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.spawn(name, async move {
            // Whoever asked may have left.
            let _left = answer.send(future.await);
        });
        answered.await.ok()
    }

    /// The tasks on it, to wait for them.
    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.tasks.abort();
        self.end.cancel();
    }
}
