//! The file: opening it without harming what is not ours, and writing batches of changes in one transaction.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use rusqlite::{CachedStatement, Connection, OpenFlags, params};
use tidings_core::{Address, Envelope, Error, ErrorKind, Headers, Result, clock::Clock, topology};

use super::schema;
use crate::{
    broker::{
        ProducerId,
        change::{Change, From, TopologyChange},
        entry::Entry,
        producers::Producer,
        queue::QueueId,
    },
    config::{FileConfig, SyncMode},
    envelope,
};

/// Up to this size the whole file is checked when it is opened: a fraction of a second.
const CHECKED_IN_FULL: u64 = 64 << 20;
/// How long somebody else, a backup for example, may hold the file before a commit fails.
const BUSY: Duration = Duration::from_secs(5);

/// An open file of ours.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) producers: HashMap<ProducerId, Producer>,
    /// Where heads of messages are written before they are bound, again and again.
    scratch: Vec<u8>,
}

impl Store {
    /// Opens the file, or makes it if there is none.
    ///
    /// # Errors
    /// `Corrupt` for a file that is not ours, newer than this program or damaged; it is left as it is.
    pub(super) fn open(config: &FileConfig) -> Result<Self> {
        let path = &config.path;
        let size = inspect(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| failed(path, "open", error))?;
        let store = Self {
            connection,
            path: path.clone(),
            producers: HashMap::new(),
            scratch: Vec::new(),
        };
        store
            .connection
            .busy_timeout(BUSY)
            .map_err(|error| failed(path, "open", error))?;
        store.recognise()?;
        store
            .prepare(config)
            .map_err(|error| failed(path, "prepare", error))?;
        if size <= CHECKED_IN_FULL {
            store.check()?;
        }
        Ok(store)
    }

    /// Makes sure that the file is ours before anything is written to it.
    fn recognise(&self) -> Result<()> {
        let read = |pragma| {
            self.connection
                .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
        };
        let looked = || -> rusqlite::Result<_> {
            let tables = "SELECT count(*) FROM sqlite_schema";
            let tables: i64 = self.connection.query_row(tables, [], |row| row.get(0))?;
            Ok((read("application_id")?, read("user_version")?, tables))
        };
        let found = looked().map_err(|error| failed(&self.path, "read", error))?;
        match found {
            // New, or left behind by a process that was killed while making it.
            (0, 0, 0) | (schema::APPLICATION_ID, schema::VERSION, _) => Ok(()),
            (schema::APPLICATION_ID, newer, _) => Err(unusable(
                &self.path,
                &format!(
                    "has version {newer} and this program knows versions up to {}",
                    schema::VERSION
                ),
                "use a newer program or another path",
            )),
            _ => Err(unusable(
                &self.path,
                "is an SQLite file of another program",
                "choose another path, or move the file away",
            )),
        }
    }

    fn prepare(&self, config: &FileConfig) -> rusqlite::Result<()> {
        let connection = &self.connection;
        // The lock beside the file keeps other brokers away; this one makes sure of it also while a broker that was
        // closed in a hurry finishes its last commit. Other programs cannot read the file meanwhile.
        connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        let sync = match config.sync {
            SyncMode::Full => "full",
            SyncMode::Normal => "normal",
        };
        connection.pragma_update(None, "synchronous", sync)?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
        let ours: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if ours != schema::APPLICATION_ID {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(schema::TABLES)?;
            transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", schema::VERSION)?;
            transaction.commit()?;
            sync_folder(&config.path);
        }
        if let Some(megabytes) = config.max_size_mb {
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = (i64::from(megabytes) << 20) / page.max(512);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let answer = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match answer {
            Ok(answer) if answer == "ok" => Ok(()),
            Ok(damage) => Err(damaged(&self.path, &damage)),
            Err(error) => Err(failed(&self.path, "check", error)),
        }
    }

    /// Forgets producers that have been silent since then.
    pub(super) fn prune_producers(&self, before: i64) -> rusqlite::Result<usize> {
        self.connection.execute(schema::PRUNE_PRODUCERS, [before])
    }

    /// Writes changes in one transaction: all of them or, after an error, none.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        {
            let mut batch = Batch {
                connection: &transaction,
                scratch: &mut self.scratch,
                insert: transaction.prepare_cached(schema::INSERT_MESSAGE)?,
                delete: transaction.prepare_cached(schema::DELETE_MESSAGE)?,
            };
            let mut published: HashSet<ProducerId> = HashSet::new();
            for change in changes {
                batch.write(change)?;
                if let Change::Publish {
                    from: Some(from), ..
                } = change
                {
                    note(&mut self.producers, from);
                    published.insert(from.producer);
                }
            }
            for id in published {
                batch.put_producer(id, &self.producers[&id])?;
            }
        }
        // With `synchronous=full` this returns when the disk has the transaction.
        transaction.commit()
    }

    /// Remembers that a publish was refused, so that it is new when it comes again.
    pub(super) fn refuse(&mut self, from: &From) {
        note(&mut self.producers, from);
        self.producers
            .entry(from.producer)
            .or_default()
            .refuse(from.sequence);
    }
}

/// Notes a publish and the refusals that came with it.
fn note(producers: &mut HashMap<ProducerId, Producer>, from: &From) {
    let producer = producers.entry(from.producer).or_default();
    for refused in &from.refused {
        producer.refuse(*refused);
    }
    producer.accept(from.sequence);
}

/// A transaction with the statements that nearly every change needs.
struct Batch<'a> {
    connection: &'a Connection,
    scratch: &'a mut Vec<u8>,
    insert: CachedStatement<'a>,
    delete: CachedStatement<'a>,
}

impl Batch<'_> {
    fn write(&mut self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Publish { rows, .. } => self.insert_all(rows),
            Change::Bury { gone, rows } => {
                // Deleted first: the room it had is there for its copies even in a full file.
                if let Some(id) = gone {
                    self.delete.execute([id.cast_signed()])?;
                }
                self.insert_all(rows)
            }
            Change::Forget { id } => self.delete.execute([id.cast_signed()]).map(drop),
            Change::Hide { id, until } => {
                self.run(schema::HIDE_MESSAGE, params![id.cast_signed(), until])
            }
            Change::Topology(changes) => changes
                .iter()
                .try_for_each(|change| self.change_topology(change)),
            Change::Attend(queue) => self.run(schema::ATTEND_QUEUE, [queue.0.cast_signed()]),
            Change::Confirm(_) => Ok(()),
            Change::Close { delivered } => {
                self.run(schema::LEAVE_QUEUES, [])?;
                delivered
                    .iter()
                    .try_for_each(|id| self.run(schema::MARK_MESSAGE, [id.cast_signed()]))
            }
        }
    }

    fn insert_all(&mut self, rows: &[(QueueId, Entry)]) -> rusqlite::Result<()> {
        let stored = rows.iter().filter(|(_, entry)| entry.stored);
        for (queue, entry) in stored {
            self.scratch.clear();
            let message = &entry.message;
            envelope::encode_head(&message.address, &message.envelope, false, self.scratch)
                .map_err(unencodable)?;
            self.insert.execute(params![
                entry.id.cast_signed(),
                queue.0.cast_signed(),
                entry.expires_at,
                &self.scratch[..],
                &message.envelope.payload.bytes[..],
            ])?;
        }
        Ok(())
    }

    fn change_topology(&self, change: &TopologyChange) -> rusqlite::Result<()> {
        match change {
            TopologyChange::Exchange(exchange) => self.run(
                schema::INSERT_EXCHANGE,
                params![&*exchange.name, exchange.kind.to_string()],
            ),
            TopologyChange::Queue(id, queue) => self.insert_queue(*id, queue),
            TopologyChange::Bind {
                exchange,
                queue,
                pattern,
            } => self.run(
                schema::INSERT_BINDING,
                params![&**exchange, queue.0.cast_signed(), &**pattern],
            ),
            TopologyChange::DropExchange(name) => {
                self.run(schema::DELETE_EXCHANGE_BINDINGS, [&**name])?;
                self.run(schema::DELETE_EXCHANGE, [&**name])
            }
            TopologyChange::DropQueue(id) => {
                let id = [id.0.cast_signed()];
                self.run(schema::DELETE_QUEUE_BINDINGS, id)?;
                self.run(schema::DELETE_QUEUE_MESSAGES, id)?;
                self.run(schema::DELETE_QUEUE, id)
            }
        }
    }

    fn insert_queue(&self, id: QueueId, queue: &topology::Queue) -> rusqlite::Result<()> {
        let ttl = queue
            .message_ttl
            .map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        let to = queue.dead_letter.as_ref();
        self.run(
            schema::INSERT_QUEUE,
            params![
                id.0.cast_signed(),
                &*queue.name,
                ttl,
                to.map(|to| &*to.exchange),
                to.and_then(|to| to.key.as_deref()),
                arguments_to_bytes(&queue.arguments)?,
            ],
        )
    }

    fn put_producer(&self, id: ProducerId, producer: &Producer) -> rusqlite::Result<()> {
        let refused: Vec<u8> = producer
            .refused
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.run(
            schema::PUT_PRODUCER,
            params![
                id.0.to_le_bytes(),
                producer.last.cast_signed(),
                refused,
                Clock::SYSTEM.now_millis(),
            ],
        )
    }

    fn run(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql)?
            .execute(parameters)
            .map(drop)
    }
}

/// Queue arguments are written like the headers of a message.
fn arguments_to_bytes(arguments: &Headers) -> rusqlite::Result<Vec<u8>> {
    let envelope = Envelope::default().with_headers(arguments.clone());
    let mut bytes = Vec::new();
    envelope::encode_head(&Address::queue(""), &envelope, false, &mut bytes)
        .map_err(unencodable)?;
    Ok(bytes)
}

/// The broker refuses what cannot be written before it comes here.
fn unencodable(error: Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// Looks at a file before SQLite does, which would take an empty one for new. Returns its size.
fn inspect(path: &Path) -> Result<u64> {
    let mut header = Vec::new();
    let size = match File::open(path) {
        Ok(mut file) => {
            let read = file.by_ref().take(16).read_to_end(&mut header);
            read.and_then(|_| file.metadata())
                .map_err(|error| unreadable(path, error))?
                .len()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unreadable(path, error)),
    };
    if size > 0 && header != b"SQLite format 3\0" {
        return Err(unusable(
            path,
            "is not an SQLite file",
            "choose another path, or move the file away",
        ));
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if size == 0 && fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(damaged(
            path,
            "it is empty, and there is a log of changes to it",
        ));
    }
    Ok(size)
}

/// A new file survives a power cut only when its folder knows of it. Where folders cannot be synced they need not be.
fn sync_folder(path: &Path) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let synced =
        File::open(folder.unwrap_or_else(|| Path::new("."))).and_then(|folder| folder.sync_all());
    if let Err(error) = synced {
        tracing::debug!(%error, path = %path.display(), "the folder of a new file was not synced");
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let context = format!(
        "cannot read the broker's file `{}`: check that its folder exists and may be read",
        path.display()
    );
    Error::new(ErrorKind::Unavailable, context).with_source(error)
}

/// For files that must not be touched.
fn unusable(path: &Path, what: &str, next: &str) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Corrupt,
        format!("`{path}` {what}: {next}; it has not been changed"),
    )
}

pub(super) fn damaged(path: &Path, how: &str) -> Error {
    unusable(
        path,
        &format!("is damaged: {how}"),
        "restore a backup, or save what `sqlite3 FILE .recover` finds",
    )
}

/// What an error of SQLite means for whoever opens the file.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase};

    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            damaged(path, &error.to_string()).with_source(error)
        }
        code => {
            let kind = if code == Some(DiskFull) {
                ErrorKind::Full
            } else {
                ErrorKind::Unavailable
            };
            let next = match code {
                Some(DiskFull) => "make room on the disk or raise `max_size_mb`",
                Some(CannotOpen) => "check that its folder exists and may be written",
                _ => "check the disk and who else uses the file",
            };
            Error::new(
                kind,
                format!(
                    "cannot {doing} the broker's file `{}`: {next}",
                    path.display()
                ),
            )
            .with_source(error)
        }
    }
}
