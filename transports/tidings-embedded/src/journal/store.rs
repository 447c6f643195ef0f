//! The file: opening it without harming what is not ours, and writing batches of changes in one transaction.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};
use tidings_core::{Result, clock::Clock};

use super::{
    batch::Batch,
    failure::{damaged, failed, unusable},
    inspection::{Found, boot, inspect},
    log::{self, Length, Log},
    schema,
};
use crate::{
    broker::{
        ProducerId,
        change::{Change, From},
        producers::Producer,
    },
    config::{FileConfig, SyncMode},
};

/// Up to this size the whole file is checked when it is opened: a fraction of a second.
const CHECKED_IN_FULL: u64 = 64 << 20;
/// How long somebody else, a backup for example, may hold the file before a commit fails.
const BUSY: Duration = Duration::from_secs(5);
/// Producers that have been silent for a day will not ask again.
const PRODUCER_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How many pages the log has when it is copied into the file: 16 MiB.
const LONG: u32 = 4_000;
/// SQLite copies the log by itself when that has failed for so long.
const TOO_LONG: u32 = 10 * LONG;

/// An open file of ours.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) producers: HashMap<ProducerId, Producer>,
    sync: SyncMode,
    /// Whether the file may say that there must be a log: see [`checkpoint`](Self::checkpoint).
    expects_log: bool,
    length: Option<Length>,
    /// Whether the log that was found has more behind the place where it ends now.
    torn: bool,
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
        let Found { size, log } = inspect(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open_error = |error| failed(path, "open", error);
        let connection = Connection::open_with_flags(path, flags).map_err(open_error)?;
        connection.busy_timeout(BUSY).map_err(open_error)?;
        let store = Self {
            connection,
            path: path.clone(),
            producers: HashMap::new(),
            sync: config.sync,
            expects_log: true,
            length: None,
            torn: matches!(log, Log::Broken { .. }),
            scratch: Vec::new(),
        };
        // A file that cannot be used stays as it is, and so does its log.
        store.keep_log(true).map_err(open_error)?;
        let ours = store.recognise()?;
        if ours && log == Log::Missing {
            store.check_log()?;
        }
        store
            .prepare(config)
            .map_err(|error| failed(path, "prepare", error))?;
        if size <= CHECKED_IN_FULL {
            store.check()?;
        }
        Ok(store)
    }

    /// Makes sure that the file is ours before anything is written to it. False for a new one.
    fn recognise(&self) -> Result<bool> {
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
            (0, 0, 0) => Ok(false),
            (schema::APPLICATION_ID, schema::VERSION, _) => Ok(true),
            (schema::APPLICATION_ID, older @ ..schema::VERSION, _) => Err(unusable(
                &self.path,
                &format!(
                    "has version {older}, from before the first release, and this program knows only version {}",
                    schema::VERSION
                ),
                "handle its messages with the program that wrote it, then delete it",
            )),
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
        connection.pragma_update(None, "synchronous", name(config.sync))?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", TOO_LONG, |_| Ok(()))?;
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

    /// A log that is not there although the file says that there must be one.
    fn check_log(&self) -> Result<()> {
        let expected = self
            .connection
            .query_row(schema::IS_LOG_EXPECTED, [], |row| row.get::<_, i64>(0));
        match expected {
            Ok(0) => Ok(()),
            Ok(_) => Err(unusable(
                &self.path,
                &format!(
                    "is incomplete: the broker that used it last was not closed, and the log of its last changes, `{}`, is missing",
                    log::path_of(&self.path).display()
                ),
                "put the log back, or restore a backup of both",
            )),
            Err(error) => Err(failed(&self.path, "read", error)),
        }
    }

    /// Whether the log stays when the connection ends, instead of being copied into the file and deleted.
    fn keep_log(&self, keep: bool) -> rusqlite::Result<()> {
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
            .map(drop)
    }

    /// Begins to use a file from which everything could be read.
    ///
    /// # Errors
    /// Why nothing can be written, which may pass: the file can be used.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.keep_log(false)?;
        self.connection
            .execute(schema::PRUNE_PRODUCERS, [silent_since()])?;
        if self.torn {
            // What was lost in a power cut must go before the file says that this broker writes the log, one that may
            // promise that nothing can be lost in the middle. An empty log may stay behind: it is not needed.
            self.connection.execute(schema::EXPECT_NO_LOG, [])?;
            self.run_checkpoint("truncate")?;
        }
        self.checkpoint()?;
        let page: i64 = self
            .connection
            .pragma_query_value(None, "page_size", |row| row.get(0))?;
        // Without it SQLite copies the log later.
        self.length = Length::of(&self.path, page.unsigned_abs()).ok();
        Ok(())
    }

    /// Copies the log into the file if it has become long, so that the next commit writes it from the front.
    pub(super) fn keep_log_short(&mut self) {
        let long = self
            .length
            .as_mut()
            .map(|length| length.exceeds(LONG.into()));
        if !matches!(long, Some(Ok(true))) {
            return;
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, path = %self.path.display(), "the log of the broker's file could not be copied into it: it grows");
        }
    }

    /// Copies the log into the file, in a way that shows when the log is lost later.
    ///
    /// SQLite opens a file whose log is missing without a word, as it was after the last copy. So what is copied says
    /// that there must be a log, and the first change in the new log takes that back. Then the file without its log
    /// says that something is missing; the two together, also after another program has copied the one into the other,
    /// say that nothing is. A crash at any moment leaves the log where it is; only closing the file deletes it, when
    /// everything is copied and the file says that no log is needed.
    fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection
            .execute(schema::EXPECT_LOG, params![name(self.sync), boot()])?;
        self.expects_log = true;
        self.run_checkpoint("restart")?;
        self.connection.execute(schema::EXPECT_NO_LOG, [])?;
        self.expects_log = false;
        Ok(())
    }

    fn run_checkpoint(&self, mode: &str) -> rusqlite::Result<()> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&sql, [], |_| Ok(()))
    }

    /// Closes the file. The log is copied and deleted, unless that fails; then the next to open the file does it.
    pub(super) fn close(mut self) -> rusqlite::Result<()> {
        self.length = None;
        if self.expects_log {
            let said = self.connection.execute(schema::EXPECT_NO_LOG, []);
            self.keep_log(said.is_err())?;
        }
        self.connection.close().map_err(|(_, error)| error)
    }

    /// Writes changes in one transaction: all of them or, after an error, none.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        {
            let mut batch = Batch::new(&transaction, &mut self.scratch)?;
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
            if self.expects_log {
                batch.run(schema::EXPECT_NO_LOG, [])?;
            }
        }
        // With `synchronous=full` this returns when the disk has the transaction.
        transaction.commit()?;
        self.expects_log = false;
        Ok(())
    }

    /// Notes that an hour has passed, and forgets producers that have been silent for a day.
    pub(super) fn forget_idle_producers(&mut self) -> rusqlite::Result<()> {
        let idle = self
            .producers
            .extract_if(|_, producer| !producer.stays())
            .map(|(id, _)| id);
        let idle: Vec<_> = idle.collect();
        let transaction = self.connection.unchecked_transaction()?;
        for id in idle {
            transaction.execute(schema::DELETE_PRODUCER, [id.0.to_le_bytes()])?;
        }
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

/// Since when a producer must have been silent to be forgotten, in milliseconds since the Unix epoch.
pub(super) fn silent_since() -> i64 {
    let lifetime = i64::try_from(PRODUCER_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    Clock::SYSTEM.now_millis().saturating_sub(lifetime)
}

fn name(sync: SyncMode) -> &'static str {
    match sync {
        SyncMode::Full => "full",
        SyncMode::Normal => "normal",
    }
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

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use tidings_core::Error;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("tidings-store-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("file")
        }

        /// Opens what a crash would leave now, with or without the log.
        fn after_crash(&self, log: bool) -> Result<Store> {
            let crashed = self.0.join("crashed");
            drop(fs::remove_file(log::path_of(&crashed)));
            fs::copy(self.file(), &crashed).unwrap();
            if log && log::path_of(&self.file()).exists() {
                fs::copy(log::path_of(&self.file()), log::path_of(&crashed)).unwrap();
            }
            Store::open(&FileConfig::new(crashed))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// From the first opening to the end of a close: the file with its log can always be used; the file alone is
    /// refused exactly while its log has something that it has not.
    #[test]
    fn a_crash_at_any_step_is_fine_and_a_missing_log_is_not() {
        let folder = Folder::new("steps");
        let check = |step: &str, alone: bool| {
            let both = folder.after_crash(true).map(drop);
            assert!(both.is_ok(), "{step}: {:?}", both.err());
            let found = folder.after_crash(false).map(drop);
            assert_eq!(found.is_ok(), alone, "{step}: {:?}", found.err());
            let missing = |error: &Error| error.chain().contains("missing");
            assert!(found.err().as_ref().is_none_or(missing), "{step}");
        };
        let mut store = Store::open(&FileConfig::new(folder.file())).unwrap();
        check("made", true);
        store.begin().unwrap();
        check("begun", false);
        let attend = [Change::Attend(crate::broker::queue::QueueId(1))];
        store.write(attend.iter()).unwrap();
        check("written", false);
        let run = |sql: &str| store.connection.execute(sql, []).unwrap();
        store
            .connection
            .execute(schema::EXPECT_LOG, params!["full", boot()])
            .unwrap();
        check("a log is expected", false);
        store.run_checkpoint("restart").unwrap();
        check("copied", false);
        run(schema::EXPECT_NO_LOG);
        check("the log begins anew", false);
        store.run_checkpoint("passive").unwrap();
        check("copied for the end", true);
        store.close().unwrap();
        check("closed", true);
    }

    /// After a power cut the first thing that a new owner does leaves an empty log behind for a moment.
    #[test]
    fn a_crash_while_a_crashed_file_is_taken_over_is_fine() {
        let folder = Folder::new("over");
        let mut store = Store::open(&FileConfig::new(folder.file())).unwrap();
        store.begin().unwrap();
        let next = folder.after_crash(true).unwrap();
        next.run_checkpoint("truncate").unwrap();
        let log = fs::metadata(log::path_of(&next.path)).unwrap();
        assert_eq!(log.len(), 0);
        let again = folder.0.join("again");
        fs::copy(&next.path, &again).unwrap();
        fs::copy(log::path_of(&next.path), log::path_of(&again)).unwrap();
        let mut again = Store::open(&FileConfig::new(again)).unwrap();
        again.begin().unwrap();
        again.close().unwrap();
    }
}
