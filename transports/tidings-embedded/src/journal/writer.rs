//! The thread that writes: one transaction for everything that waits, then the answers.
//!
//! It is a thread and not a task because SQLite blocks. It owns the file alone and shares nothing with the
//! broker but the inbox; it takes the broker's lock only to make committed changes take effect.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidings_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::{
    failure::failed,
    inbox::{Gathering, Inbox, Op},
    promised::Promised,
    recovery::recover,
    store::Store,
};
use crate::{
    broker::{change::Change, state::State},
    config::FileConfig,
    error,
};

/// How soon changes that could not be written are tried again when nothing else is to be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often producers that nobody hears of are looked for.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a commit waits at most for those who got their answers from the last one.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// The writer thread, as its broker holds it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the file and rebuilds the broker's state from it. Drops `held` after the file is closed.
    ///
    /// # Errors
    /// Why the file cannot be used.
    ///
    /// # Cancel safety
    /// Yes: the thread ends when nobody waits for it.
    pub(crate) async fn open(
        config: FileConfig,
        held: impl Send + 'static,
    ) -> Result<(State, Self)> {
        let inbox = Arc::new(Inbox::default());
        let (opened, answer) = oneshot::channel();
        let of_thread = Arc::clone(&inbox);
        let spawned = thread::Builder::new()
            .name("tidings-journal".to_owned())
            .spawn(move || {
                let _ending = Ending(Arc::clone(&of_thread));
                match open(&config) {
                    Ok((state, store)) => {
                        if opened.send(Ok(state)).is_ok() {
                            let closed = Writing::new(store, of_thread, &config).run();
                            // The file is closed and free before anybody hears that it is.
                            drop(held);
                            if let Some((done, outcome)) = closed {
                                drop(done.send(outcome));
                            }
                        }
                    }
                    // Nobody may be waiting any more: then nobody needs the answer.
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        let thread = spawned.map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "cannot start the thread that writes the broker's file",
            )
            .with_source(error)
        })?;
        let writer = Self {
            inbox,
            thread: Mutex::new(Some(thread)),
        };
        let state = answer.await.unwrap_or_else(|_| Err(error::closed()))?;
        Ok((state, writer))
    }
}

impl Drop for Writer {
    /// Waits until everything that was handed over is written: at most a commit or two, and afterwards the file
    /// can be opened again.
    fn drop(&mut self) {
        self.inbox.abandon();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The writer itself may hold the broker for a moment and be the last to let go of it.
        let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!(
                "the thread that writes the broker's file panicked: what was not confirmed is lost"
            );
        }
    }
}

/// However the thread ends, whoever waits for it must hear of it.
struct Ending(Arc<Inbox>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The thread's own state.
struct Writing {
    store: Store,
    inbox: Arc<Inbox>,
    batch: usize,
    window: Duration,
    /// Changes that have taken effect and could not be written: tried again with every batch, in order. Never
    /// publishes: those fail.
    owed: Vec<Op>,
    /// How many changes the last batch had, and how long it took.
    answered: usize,
    took: Duration,
    /// When producers were last looked for.
    looked: Instant,
}

impl Writing {
    fn new(store: Store, inbox: Arc<Inbox>, config: &FileConfig) -> Self {
        Self {
            store,
            inbox,
            batch: config.batch.get(),
            window: config.window,
            owed: Vec::new(),
            answered: 0,
            took: Duration::ZERO,
            looked: Instant::now(),
        }
    }

    /// Works until the broker is closed or gone. Returns who closed it and what to tell them.
    fn run(mut self) -> Option<(oneshot::Sender<Result<()>>, Result<()>)> {
        let mut batch = Vec::new();
        loop {
            if !self.inbox.take(&mut batch, &self.gathering()) {
                break;
            }
            let closes = batch
                .iter()
                .any(|op| matches!(op.change, Change::Close { .. }));
            let mut ops = mem::take(&mut batch);
            let closing = closes.then(|| split_off_closing(&mut ops));
            self.answered = ops.len();
            let started = Instant::now();
            let outcome = self.write(ops, closing.as_ref());
            self.took = started.elapsed();
            // After the answers, which need not wait for it.
            self.store.keep_log_short();
            if self.looked.elapsed() >= HOUR {
                self.looked = Instant::now();
                self.forget_idle_producers();
            }
            if let Some(op) = closing {
                self.close();
                return op.done.map(|done| (done, outcome));
            }
        }
        if !self.owed.is_empty() {
            tracing::error!(
                changes = self.owed.len(),
                path = %self.store.path.display(),
                "settlements could not be written before the end: these messages will come again"
            );
        }
        self.close();
        None
    }

    /// Those who got their answers from the last commit are likely to send something again in a moment. Whoever is
    /// first of them would otherwise get a commit of its own, and all others wait for that one and the next. So
    /// the batch is expected to be as large as the last one, for no longer than a commit takes.
    fn gathering(&self) -> Gathering {
        let patience = (!self.owed.is_empty()).then_some(TRY_AGAIN);
        let (expected, window) = if self.window.is_zero() {
            (self.answered.min(self.batch), self.took.min(LONGEST_WAIT))
        } else {
            (self.batch, self.window)
        };
        Gathering {
            limit: self.batch,
            patience,
            expected,
            window,
        }
    }

    /// Writes a batch after what is owed, and answers for it. The error is that of the first attempt.
    fn write(&mut self, batch: Vec<Op>, closing: Option<&Op>) -> Result<()> {
        let mut ops = mem::take(&mut self.owed);
        let owed = ops.len();
        ops.extend(batch);
        let changes = ops.iter().chain(closing).map(|op| &op.change);
        let Err(error) = self.store.write(changes) else {
            self.committed(ops);
            return Ok(());
        };
        let error = failed(&self.store.path, "write", error);
        tracing::warn!(
            error = error.chain(),
            changes = ops.len(),
            "a commit failed"
        );
        if owed > 0 {
            // What is owed may never become possible; that must not be the end of everything else.
            let batch = ops.split_off(owed);
            ops.extend(self.write_without(&ops, batch));
        }
        if !ops.is_empty() {
            self.salvage(ops, &error);
        }
        Err(error)
    }

    /// Writes those of a batch that do not depend on what is owed, and returns the rest: all, if that fails.
    fn write_without(&mut self, owed: &[Op], batch: Vec<Op>) -> Vec<Op> {
        let promised = Promised::by(owed);
        let (mut bound, free): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|op| promised.concerns(&op.change));
        if self.store.write(free.iter().map(|op| &op.change)).is_ok() {
            self.committed(free);
        } else {
            bound.extend(free);
        }
        bound
    }

    /// Makes committed changes take effect and answers.
    fn committed(&self, ops: Vec<Op>) {
        let answers = self.inbox.with_broker(|mut state| {
            let mut answers = Vec::with_capacity(ops.len());
            for Op { change, done } in ops {
                // Without a broker there are no consumers; the message is in the file for the next one.
                let outcome = state
                    .as_deref_mut()
                    .map_or(Ok(()), |state| state.committed(change));
                answers.extend(done.map(|done| (done, outcome)));
            }
            answers
        });
        for (done, outcome) in answers {
            // This is the confirm. It survives kill -9 and, with `sync=full`, a power cut, because the change is in
            // a transaction that SQLite has committed: in the log, and the log synced. Opening the file replays it.
            // Whoever asked may be gone: then nobody needs the answer.
            drop(done.send(outcome));
        }
    }

    /// After a failed commit: publishes fail, everything else is tried again now without them and, if that fails,
    /// what only makes room; the rest stays owed.
    fn salvage(&mut self, ops: Vec<Op>, error: &Error) {
        let (publishes, others): (Vec<_>, Vec<_>) = ops
            .into_iter()
            .partition(|op| matches!(op.change, Change::Publish { .. }));
        self.refuse(publishes, error);
        // All that they wait for is decided, and they need no disk.
        let (confirms, others): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|op| matches!(op.change, Change::Confirm(_)));
        self.committed(confirms);
        if others.is_empty() {
            return;
        }
        if self.store.write(others.iter().map(|op| &op.change)).is_ok() {
            return self.committed(others);
        }
        let (frees, mut owed): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|op| matches!(op.change, Change::Forget { .. }));
        match self.store.write(frees.iter().map(|op| &op.change)) {
            Ok(()) => self.committed(frees),
            // Order among settlements and the rest does not matter: a message that is owed is in no queue.
            Err(_) => owed.extend(frees),
        }
        for op in &mut owed {
            if let Some(done) = op.done.take() {
                drop(done.send(Err(again(error))));
            }
        }
        self.owed = owed;
    }

    /// Tells publishers that their messages were not stored. No consumer has seen them.
    fn refuse(&mut self, publishes: Vec<Op>, error: &Error) {
        for op in &publishes {
            if let Change::Publish {
                from: Some(from), ..
            } = &op.change
            {
                self.store.refuse(from);
            }
        }
        // Before the answers: a publish that comes again because of one must be new.
        self.inbox.with_broker(|state| {
            if let Some(state) = state {
                publishes.iter().for_each(|op| state.refused(&op.change));
            }
        });
        for op in publishes {
            if let Some(done) = op.done {
                drop(done.send(Err(again(error))));
            }
        }
    }

    /// Forgets them here, in the broker and in the file. While nothing is written no new ones come either.
    fn forget_idle_producers(&mut self) {
        if let Err(error) = self.store.forget_idle_producers() {
            tracing::warn!(%error, "producers that are silent stay in the broker's file until it is opened again");
        }
        self.inbox.with_broker(|state| {
            if let Some(state) = state {
                state.producers.forget_idle();
            }
        });
    }

    fn close(self) {
        let Self { store, .. } = self;
        let path = store.path.clone();
        if let Err(error) = store.close() {
            tracing::warn!(%error, path = %path.display(), "the broker's file was not closed cleanly: it will be recovered");
        }
    }
}

fn open(config: &FileConfig) -> Result<(State, Store)> {
    let mut store = Store::open(config)?;
    let state = recover(&mut store)?;
    if let Err(error) = store.begin() {
        tracing::warn!(%error, path = %store.path.display(), "nothing can be written to the broker's file for now");
    }
    Ok((state, store))
}

/// Takes the change that ends the journal out of a batch. It is the last one that is not refused.
fn split_off_closing(ops: &mut Vec<Op>) -> Op {
    let closing = ops
        .iter()
        .position(|op| matches!(op.change, Change::Close { .. }));
    ops.remove(closing.unwrap_or(ops.len() - 1))
}

/// One failed commit is an error for everybody in it.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.chain())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidings_core::{
        Address, Call, Envelope,
        topology::{self, Exchange},
    };

    use super::*;
    use crate::broker::{
        ProducerId,
        change::{From, TopologyChange},
        entry::Entry,
        queue::QueueId,
    };

    fn op(change: Change) -> (Op, oneshot::Receiver<Result<()>>) {
        let (done, answer) = oneshot::channel();
        let done = Some(done);
        (Op { change, done }, answer)
    }

    fn publish(id: u64) -> Change {
        publish_to(QueueId(1), id)
    }

    fn publish_to(queue: QueueId, id: u64) -> Change {
        let entry = Entry {
            id,
            message: Call::new(
                Address::queue("q"),
                Envelope::new(Bytes::from_static(b"{}")),
            )
            .into_message(),
            expires_at: None,
            history: None,
            stored: true,
            redelivered: false,
            immediate: false,
        };
        let from = From {
            producer: ProducerId(1),
            sequence: id,
            refused: Vec::new(),
        };
        Change::Publish {
            rows: vec![(queue, entry)],
            from: Some(from),
        }
    }

    fn messages(writing: &Writing) -> Vec<i64> {
        let sql = "SELECT id FROM messages ORDER BY id";
        let mut statement = writing.store.connection.prepare(sql).unwrap();
        let ids = statement.query_map([], |row| row.get(0)).unwrap();
        ids.collect::<rusqlite::Result<_>>().unwrap()
    }

    fn refuse_writes(writing: &Writing, refuse: bool) {
        writing
            .store
            .connection
            .pragma_update(None, "query_only", refuse)
            .unwrap();
    }

    fn check(answer: &mut oneshot::Receiver<Result<()>>, expected: Option<ErrorKind>) {
        let answer = answer.try_recv().expect("there is an answer");
        assert_eq!(answer.err().map(|error| error.kind()), expected);
    }

    /// A file that takes nothing for a while, as a full disk does.
    #[test]
    fn settlements_are_owed_and_publishes_fail_while_nothing_can_be_written() {
        let config = FileConfig::new(":memory:");
        let mut writing = Writing::new(Store::open(&config).unwrap(), Arc::default(), &config);
        let (first, mut first_answer) = op(publish(1));
        writing.write(vec![first], None).unwrap();
        check(&mut first_answer, None);

        refuse_writes(&writing, true);
        let (second, mut second_answer) = op(publish(2));
        let (ack, mut ack_answer) = op(Change::Forget { id: 1 });
        writing.write(vec![second, ack], None).unwrap_err();
        check(&mut second_answer, Some(ErrorKind::Unavailable));
        check(&mut ack_answer, Some(ErrorKind::Unavailable));
        assert_eq!((writing.owed.len(), messages(&writing)), (1, vec![1]));

        refuse_writes(&writing, false);
        let (third, mut third_answer) = op(publish(3));
        writing.write(vec![third], None).unwrap();
        check(&mut third_answer, None);
        assert_eq!((writing.owed.len(), messages(&writing)), (0, vec![3]));
        let producer = &writing.store.producers[&ProducerId(1)];
        let refused: Vec<_> = producer.refused.iter().copied().collect();
        assert_eq!(
            (producer.last, refused),
            (3, vec![2]),
            "2 is new when it comes again"
        );
    }

    /// As a mistake of ours would leave it, or a file that somebody has edited.
    #[test]
    fn a_change_that_can_never_be_written_fails_only_what_needs_it() {
        let config = FileConfig::new(":memory:");
        let mut writing = Writing::new(Store::open(&config).unwrap(), Arc::default(), &config);
        let twice = || TopologyChange::Exchange(Exchange::topic("twice"));
        let promised = TopologyChange::Queue(QueueId(2), topology::Queue::new("promised"));
        let never = Change::Topology(vec![twice(), twice(), promised]);
        let (never, mut never_answer) = op(never);
        writing.write(vec![never], None).unwrap_err();
        check(&mut never_answer, Some(ErrorKind::Unavailable));

        for id in 1..=2 {
            let (free, mut free_answer) = op(publish(id));
            let (bound, mut bound_answer) = op(publish_to(QueueId(2), 10 + id));
            writing.write(vec![bound, free], None).unwrap_err();
            check(&mut free_answer, None);
            check(&mut bound_answer, Some(ErrorKind::Unavailable));
        }
        let (ack, mut ack_answer) = op(Change::Forget { id: 1 });
        writing.write(vec![ack], None).unwrap_err();
        check(&mut ack_answer, None);
        assert_eq!((writing.owed.len(), messages(&writing)), (1, vec![2]));
    }

    #[test]
    fn producers_are_forgotten_after_a_day_of_silence() {
        let config = FileConfig::new(":memory:");
        let mut writing = Writing::new(Store::open(&config).unwrap(), Arc::default(), &config);
        let known = |writing: &Writing| {
            let sql = "SELECT count(*) FROM producers";
            let connection = &writing.store.connection;
            let rows: u32 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            (writing.store.producers.len(), rows)
        };
        let (first, _answer) = op(publish(1));
        writing.write(vec![first], None).unwrap();
        (0..24).for_each(|_| writing.forget_idle_producers());
        assert_eq!(known(&writing), (1, 1));
        let (second, _answer) = op(publish(2));
        writing.write(vec![second], None).unwrap();
        (0..24).for_each(|_| writing.forget_idle_producers());
        assert_eq!(known(&writing), (1, 1));
        writing.forget_idle_producers();
        assert_eq!(known(&writing), (0, 0));
    }
}
