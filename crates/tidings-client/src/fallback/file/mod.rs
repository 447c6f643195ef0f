//! A spool that is one file: append, sync, replay, empty.
//!
//! For services whose only other place is the local disk. The file is readable (one JSON object per kept call), it
//! belongs to one process at a time, and it shrinks to nothing once everything in it has been replayed; until then it only
//! grows. What it deliberately does not do: share a file between processes, or rewrite one that is damaged.

mod frame;
mod log;
mod ranges;
mod writer;

use std::{
    fmt,
    future::ready,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use tidings_core::{
    Call, Completion, Error, ErrorKind,
    error::Result,
    transport::{BoxFuture, Publisher},
};
use tokio::sync::{Mutex, mpsc, oneshot};

use self::{
    frame::{Frame, MAX_BODY},
    log::{Chunk, Log, Replayed},
    writer::{Command, Store, Writer},
};
use super::{Spool, record, tally::Tally};

/// How many records may wait for the disk.
const QUEUE: usize = 65_536;
const LOST: &str = "the spool was closed before the message was safe: publish it again";

/// Keeps calls in one file.
///
/// # Guarantees
/// A stored call survives a crash of the process and a power loss: the file is synced before the store is confirmed,
/// once for all stores that are under way. A crash in the middle of a replay repeats at most the 256 publishes of one
/// window and loses none.
///
/// Dropping it waits until everything that was handed over is on disk.
pub struct FileSpool {
    place: String,
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    kept: Arc<AtomicU64>,
    /// One replay at a time, else each would publish what the other has not yet noted as confirmed.
    replaying: Mutex<()>,
}

impl FileSpool {
    /// Opens a spool, or creates it if there is no file. Reads the whole file once: call it while starting up.
    ///
    /// A record that a crash has torn at the end is cut off and reported at level WARN; it was never confirmed.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the file is something else or damaged elsewhere; it is left as it is.
    /// [`ErrorKind::Unavailable`] if another process has it open, [`ErrorKind::NotFound`] if its directory does not exist,
    /// [`ErrorKind::Denied`] if it may not be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let log = Log::open(path)?;
        let kept = Arc::new(AtomicU64::new(log.kept()));
        let writer = Writer {
            log,
            kept: Arc::clone(&kept),
        };
        let (commands, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("tidings-spool".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| {
                let context = format!("no thread for spool {}: raise the limit", path.display());
                Error::new(ErrorKind::Unavailable, context).with_source(error)
            })?;
        Ok(Self {
            place: format!("spool {}", path.display()),
            commands: Some(commands),
            writer: Some(thread),
            kept,
            replaying: Mutex::new(()),
        })
    }

    fn send(&self, command: Command) -> Result<()> {
        let sent = self
            .commands
            .as_ref()
            .map(|commands| commands.try_send(command));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                let context = format!(
                    "{} has {QUEUE} messages waiting for its disk: publish more slowly",
                    self.place
                );
                Err(Error::new(ErrorKind::Full, context))
            }
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => Err(self.closed()),
        }
    }

    fn enqueue(&self, call: &Call) -> Result<oneshot::Receiver<Result<()>>> {
        let body = record::encode(call).map_err(|error| error.within(&self.place))?;
        if body.len() > MAX_BODY {
            let context = format!(
                "the call to {} needs {} bytes in {}: it takes at most {MAX_BODY}",
                call.address,
                body.len(),
                self.place
            );
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        let (answer, stored) = oneshot::channel();
        self.send(Command::Store(Store { body, answer }))?;
        Ok(stored)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer))?;
        answered.await.map_err(|_| self.closed())?
    }

    async fn read(&self, from: u64, to: Option<u64>) -> Result<Chunk> {
        self.ask(|answer| Command::Read { from, to, answer }).await
    }

    async fn replay_to(&self, to: &dyn Publisher) -> Result<u64> {
        let _alone = self.replaying.lock().await;
        let mut tally = Tally::default();
        let mut chunk = self.read(0, None).await?;
        let until = chunk.end;
        while !chunk.records.is_empty() {
            let replayed = publish(chunk.records, to, &mut tally).await;
            let emptied = replayed.records > 0
                && self
                    .ask(|answer| Command::Forget { replayed, answer })
                    .await?;
            // Once emptied, the offsets of this pass mean nothing any more.
            if emptied || tally.must_stop() {
                break;
            }
            chunk = self.read(chunk.next, Some(until)).await?;
        }
        tally.finish(&self.place)
    }

    fn closed(&self) -> Error {
        let context = format!(
            "{} is closed: its thread has ended, open it again",
            self.place
        );
        Error::new(ErrorKind::Closed, context)
    }
}

/// Publishes these records and returns which of them were confirmed.
async fn publish(records: Vec<Frame>, to: &dyn Publisher, tally: &mut Tally) -> Replayed {
    let under_way: Vec<(u64, u64, Completion)> = records
        .iter()
        .map(|frame| {
            let completion = match record::decode(&frame.body) {
                Ok(call) => to.publish(call),
                Err(error) => {
                    Completion::ready(Err(error.within(format_args!("byte {}", frame.start))))
                }
            };
            (frame.start, frame.end, completion)
        })
        .collect();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut records = 0;
    for (start, end, completion) in under_way {
        if !tally.note(completion.await) {
            continue;
        }
        records += 1;
        match ranges.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => ranges.push((start, end)),
        }
    }
    Replayed { ranges, records }
}

impl Spool for FileSpool {
    fn store(&self, call: Call) -> Completion {
        match self.enqueue(&call) {
            Ok(stored) => Completion::waiting(stored, LOST),
            Err(error) => Completion::ready(Err(error)),
        }
    }

    fn replay<'a>(&'a self, to: &'a dyn Publisher) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.replay_to(to))
    }

    fn kept(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(ready(Ok(self.kept.load(Ordering::Acquire))))
    }
}

impl Drop for FileSpool {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(spool = %self.place, "the spool's thread panicked");
        }
    }
}

impl fmt::Debug for FileSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSpool")
            .field("place", &self.place)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
