//! The bare store: the same file format, settings and writes, and nothing else.
//!
//! A message goes into the table in one commit and out of it in another, as in the broker. Publishers and consumer
//! hand their writes to one thread, which writes all that waits in one transaction and then answers each through a
//! channel of its own: group commit in its simplest form. Deliveries go through a channel.

use std::{
    future::Future,
    iter,
    path::Path,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use anyhow::{Result, anyhow};
use rusqlite::{CachedStatement, Connection, params};
use tokio::sync::{mpsc as deliveries, oneshot};

use super::load::{BODY, Consumer, Queue};

/// As many changes per commit as the broker takes at most.
const BATCH: usize = 512;

/// About what the broker stores of a message beside its body: where it was sent to.
const HEAD: [u8; 64] = [b'h'; 64];

/// The broker's settings and its table of messages.
const SETUP: &str = "
PRAGMA locking_mode = exclusive;
PRAGMA journal_mode = wal;
PRAGMA cache_size = -65536;
PRAGMA temp_store = memory;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    expires_at INTEGER,
    visible_at INTEGER,
    redelivered INTEGER NOT NULL DEFAULT 0,
    head BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
";

const INSERT: &str =
    "INSERT INTO messages (id, queue, expires_at, head, body) VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM messages WHERE id = ?1";

/// Opens a new file.
pub fn connect(path: &Path, sync: &str) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(SETUP)?;
    connection.pragma_update(None, "synchronous", sync)?;
    Ok(connection)
}

/// The statements, prepared once for each commit, as the broker does.
pub struct Statements<'a> {
    insert: CachedStatement<'a>,
    delete: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    pub fn of(transaction: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: transaction.prepare_cached(INSERT)?,
            delete: transaction.prepare_cached(DELETE)?,
        })
    }

    /// Writes a message.
    pub fn insert(&mut self, id: i64) -> rusqlite::Result<()> {
        let row = params![id, 1, None::<i64>, &HEAD[..], &BODY[..]];
        self.insert.execute(row).map(drop)
    }

    /// Removes a message.
    pub fn delete(&mut self, id: i64) -> rusqlite::Result<()> {
        self.delete.execute([id]).map(drop)
    }
}

/// What the writer is asked to do, and who waits for it.
enum Op {
    Insert(oneshot::Sender<()>),
    Delete(i64, oneshot::Sender<()>),
    /// From now on, what has been inserted is delivered here.
    Deliver(deliveries::UnboundedSender<i64>),
}

/// The way to the writer thread.
pub struct Store {
    ops: mpsc::Sender<Op>,
    writer: JoinHandle<Result<()>>,
}

impl Store {
    /// A new store in a new file.
    pub async fn open(path: &Path, sync: &str) -> Result<Self> {
        let connection = connect(path, sync)?;
        let (ops, waiting) = mpsc::channel();
        let writer = thread::spawn(move || Writer::new(connection).run(&waiting));
        Ok(Self { ops, writer })
    }
}

impl Queue for Store {
    type Consumer = Deliveries;

    async fn publish(&self) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.ops.send(Op::Insert(done)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    async fn consumer(&self) -> Result<Deliveries> {
        let (deliver, delivered) = deliveries::unbounded_channel();
        self.ops.send(Op::Deliver(deliver)).map_err(|_| ended())?;
        let ops = self.ops.clone();
        Ok(Deliveries { ops, delivered })
    }

    async fn close(self) -> Result<()> {
        drop(self.ops);
        self.writer.join().map_err(|_| ended())?
    }
}

/// What has been inserted, to be deleted.
pub struct Deliveries {
    ops: mpsc::Sender<Op>,
    delivered: deliveries::UnboundedReceiver<i64>,
}

/// Resolves once a message is deleted.
pub struct Deleted(oneshot::Receiver<()>);

impl Future for Deleted {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.map_err(|_| ended()))
    }
}

impl Consumer for Deliveries {
    type Ack = Deleted;

    async fn next(&mut self) -> Result<Deleted> {
        let id = self.delivered.recv().await.ok_or_else(ended)?;
        let (done, answer) = oneshot::channel();
        self.ops.send(Op::Delete(id, done)).map_err(|_| ended())?;
        Ok(Deleted(answer))
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the writer thread has ended")
}

/// The thread that owns the file.
struct Writer {
    connection: Connection,
    last: i64,
    consumer: Option<deliveries::UnboundedSender<i64>>,
}

impl Writer {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            last: 0,
            consumer: None,
        }
    }

    fn run(mut self, ops: &mpsc::Receiver<Op>) -> Result<()> {
        while let Ok(first) = ops.recv() {
            let batch = iter::once(first)
                .chain(ops.try_iter())
                .take(BATCH)
                .collect();
            self.write(batch)?;
        }
        Ok(())
    }

    /// One transaction, then the answers.
    fn write(&mut self, batch: Vec<Op>) -> Result<()> {
        let (mut answers, inserted) = (Vec::with_capacity(batch.len()), self.last);
        let transaction = self.connection.unchecked_transaction()?;
        let mut statements = Statements::of(&transaction)?;
        for op in batch {
            match op {
                Op::Insert(done) => {
                    self.last += 1;
                    statements.insert(self.last)?;
                    answers.push(done);
                }
                Op::Delete(id, done) => {
                    statements.delete(id)?;
                    answers.push(done);
                }
                Op::Deliver(consumer) => self.consumer = Some(consumer),
            }
        }
        drop(statements);
        transaction.commit()?;
        for id in inserted + 1..=self.last {
            // A consumer that is gone needs no deliveries.
            self.consumer
                .as_ref()
                .map(|consumer| consumer.send(id).ok());
        }
        for done in answers {
            // Whoever asked may be gone: then nobody needs the answer.
            done.send(()).ok();
        }
        Ok(())
    }
}
