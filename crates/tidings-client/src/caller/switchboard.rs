//! Keeps one line open for all calls of a process, and opens another when it is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidings_core::{
    Error, ErrorKind,
    error::Result,
    tasks::Tasks,
    transport::{Inbox, Transport},
};
use tokio::sync::oneshot;

use super::{
    line::{self, Line},
    observed::Observed,
    pending::Pending,
};

/// The line of now, and how to get the next.
#[derive(Debug)]
pub(super) struct Switchboard {
    pub(super) transport: Arc<dyn Transport>,
    line: Mutex<Option<Arc<Line>>>,
    /// Held by the task that opens a line.
    opening: Arc<tokio::sync::Mutex<()>>,
    observed: Arc<Observed>,
    tasks: Tasks,
}

impl Switchboard {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self {
            transport,
            line: Mutex::default(),
            opening: Arc::default(),
            observed: Arc::new(Observed::new()),
            tasks: Tasks::new(),
        })
    }

    /// The line, which is opened if there is none.
    ///
    /// # Errors
    /// Why it cannot be opened.
    ///
    /// # Cancel safety
    /// Yes: a task opens it, and whoever comes next finds it.
    pub(super) async fn line(self: &Arc<Self>) -> Result<Arc<Line>> {
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let one_at_a_time = Arc::clone(&self.opening).lock_owned().await;
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let (tell, told) = oneshot::channel();
        // Not kept alive by it: a broker that never answers must not keep what nobody uses.
        let (transport, this) = (Arc::clone(&self.transport), Arc::downgrade(self));
        self.tasks.spawn("open an address for answers", async move {
            let opened = transport.reply_queue().await;
            let line = opened.and_then(|inbox| Self::install(&this, inbox));
            drop(one_at_a_time);
            // Whoever asked may have left; the line stays for the next.
            drop(tell.send(line));
        });
        told.await.unwrap_or_else(|_| Err(gone()))
    }

    /// How many wait for answers.
    pub(super) fn pending(&self) -> usize {
        self.slot().as_ref().map_or(0, |line| line.pending.len())
    }

    fn open_line(&self) -> Option<Arc<Line>> {
        let line = self.slot().clone();
        line.filter(|line| !line.has_ended())
    }

    fn install(this: &Weak<Self>, inbox: Inbox) -> Result<Arc<Line>> {
        let this = this.upgrade().ok_or_else(gone)?;
        let pending = Pending::new(Arc::clone(&this.observed));
        let line = Line::new(inbox.reply_to, inbox.publisher, Arc::clone(&pending));
        let line = Arc::new(line);
        let observed = Arc::clone(&this.observed);
        this.tasks
            .spawn("replies", line::read(inbox.replies, pending, observed));
        *this.slot() = Some(Arc::clone(&line));
        Ok(line)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Line>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody can wait for an answer any more: every call holds on to it.
impl Drop for Switchboard {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

fn gone() -> Error {
    let context = "the runtime that waited for answers has ended: call from one that goes on";
    Error::new(ErrorKind::Unavailable, context)
}
