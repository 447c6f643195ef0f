//! The thread that owns the file: it takes what is queued, writes it with one sync, and answers everybody.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tidings_core::{Error, error::Result};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::WINDOW,
    log::{Chunk, Log, Replayed},
};

/// How many records are written with one sync at most.
const MAX_BATCH: usize = 1_024;
/// How many bytes of records are written with one sync, and read for one chunk of a replay, about.
const MAX_BYTES: usize = 4 << 20;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Store(Store),
    Read {
        from: u64,
        to: Option<u64>,
        answer: oneshot::Sender<Result<Chunk>>,
    },
    Forget {
        replayed: Replayed,
        answer: oneshot::Sender<Result<bool>>,
    },
}

/// A record and who waits for it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) body: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<()>>,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) kept: Arc<AtomicU64>,
}

#[derive(Default)]
struct Batch {
    bodies: Vec<Vec<u8>>,
    answers: Vec<oneshot::Sender<Result<()>>>,
    bytes: usize,
}

impl Writer {
    /// Runs until the last handle is gone and everything queued is on disk.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            self.serve(first, &mut commands);
        }
    }

    /// Serves a command and those queued behind it: while one sync runs, the next batch gathers.
    fn serve(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Store(store) => batch.push(store),
                // What was stored before a read or a note must be in the file before it.
                other => {
                    self.commit(mem::take(&mut batch));
                    self.answer(other);
                }
            }
            next = if batch.is_full() {
                None
            } else {
                commands.try_recv().ok()
            };
        }
        self.commit(batch);
    }

    fn commit(&mut self, batch: Batch) {
        if batch.bodies.is_empty() {
            return;
        }
        let written = self.log.append(&batch.bodies);
        self.kept.store(self.log.kept(), Ordering::Release);
        for answer in batch.answers {
            let result = written.as_ref().map_err(same).copied();
            // Whoever does not wait any more does not need the answer.
            answer.send(result).ok();
        }
    }

    fn answer(&mut self, command: Command) {
        match command {
            Command::Store(store) => {
                let mut batch = Batch::default();
                batch.push(store);
                self.commit(batch);
            }
            Command::Read { from, to, answer } => {
                let chunk = self.log.read(from, to, WINDOW, MAX_BYTES as u64);
                answer.send(chunk).ok();
            }
            Command::Forget { replayed, answer } => {
                let emptied = self.log.forget(&replayed);
                self.kept.store(self.log.kept(), Ordering::Release);
                answer.send(emptied).ok();
            }
        }
    }
}

/// One failed write is the failure of everybody in the batch.
fn same(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

impl Batch {
    fn push(&mut self, store: Store) {
        self.bytes += store.body.len();
        self.bodies.push(store.body);
        self.answers.push(store.answer);
    }

    fn is_full(&self) -> bool {
        self.bodies.len() >= MAX_BATCH || self.bytes >= MAX_BYTES
    }
}
