//! The spool's file: opened and checked, appended to, read, and emptied once everything in it is replayed.
//!
//! It is used by one thread, and one process at a time: the file is locked. Nothing here is asynchronous.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidings_core::{Error, ErrorKind, error::Result};
use tracing::warn;

use super::{
    frame::{self, Frame, Kind},
    ranges::Ranges,
};

/// What the file begins with: whose it is, and in which version of the format.
const HEADER: &[u8; 16] = b"tidings spool 1\n";
const START: u64 = HEADER.len() as u64;
/// Without the version.
const FAMILY: &[u8] = b"tidings spool ";

/// The file and what is known about it.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
    /// Behind the last frame that is safe.
    end: u64,
    replayed: Ranges,
    kept: u64,
    /// What was replayed and could not be noted in the file yet.
    unwritten: Replayed,
    /// A failed write may have left bytes behind `end`.
    unclean: bool,
}

/// Some records and where to read on.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) records: Vec<Frame>,
    pub(super) next: u64,
    pub(super) end: u64,
}

/// The body of a [`Kind::Replayed`] frame.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Replayed {
    /// From and to offsets.
    pub(super) ranges: Vec<(u64, u64)>,
    /// How many records are in them.
    pub(super) records: u64,
}

impl Log {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |doing: &str, error| failed(path, doing, error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| failed("open", error))?;
        lock(&file, path)?;
        let length = file
            .metadata()
            .map_err(|error| failed("read", error))?
            .len();
        let mut log = Self {
            file,
            path: path.to_owned(),
            end: START,
            replayed: Ranges::default(),
            kept: 0,
            unwritten: Replayed::default(),
            unclean: false,
        };
        if log.is_ours(length)? {
            log.scan(length)?;
        } else {
            log.initialise().map_err(|error| failed("create", error))?;
        }
        Ok(log)
    }

    /// How many records are not replayed.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Makes these records safe, all with one sync.
    pub(super) fn append(&mut self, bodies: &[Vec<u8>]) -> Result<()> {
        self.write(Kind::Record, bodies)?;
        self.kept += bodies.len() as u64;
        Ok(())
    }

    /// Notes that these records have been replayed; empties the file if nothing is left. Returns whether it did.
    ///
    /// A note that cannot be written, on a full disk, is kept in memory and written with the next one: else every replay
    /// would publish the same records again for as long as the disk is full.
    pub(super) fn forget(&mut self, replayed: &Replayed) -> Result<bool> {
        self.note(replayed);
        if self.kept == 0 {
            self.cut_to(START)
                .map_err(|error| failed(&self.path, "empty", error))?;
            self.replayed.clear();
            self.unwritten = Replayed::default();
            return Ok(true);
        }
        self.unwritten.ranges.extend(&replayed.ranges);
        self.unwritten.records += replayed.records;
        let body = serde_json::to_vec(&self.unwritten).map_err(|error| {
            Error::new(ErrorKind::Misuse, "offsets cannot be written").with_source(error)
        })?;
        let start = self.end;
        match self.write(Kind::Replayed, &[body]) {
            Ok(()) => {
                self.replayed.insert(start, self.end);
                self.unwritten = Replayed::default();
            }
            Err(error) => warn!(
                error = %error.chain(),
                "cannot note what was replayed: a crash would repeat it"
            ),
        }
        Ok(false)
    }

    /// Reads records that are not replayed, from one offset to another.
    pub(super) fn read(
        &self,
        from: u64,
        to: Option<u64>,
        records: usize,
        bytes: u64,
    ) -> Result<Chunk> {
        let limit = to.unwrap_or(self.end).min(self.end);
        let mut chunk = Chunk {
            records: Vec::new(),
            next: from.max(START),
            end: self.end,
        };
        let mut reader = BufReader::new(&self.file);
        let mut read = 0;
        let mut at = None;
        while chunk.records.len() < records && read < bytes {
            chunk.next = self.replayed.skip(chunk.next);
            if chunk.next >= limit {
                break;
            }
            if at != Some(chunk.next) {
                reader
                    .seek(SeekFrom::Start(chunk.next))
                    .map_err(|error| failed(&self.path, "read", error))?;
            }
            let frame = frame::read(&mut reader, chunk.next, self.end)
                .map_err(|error| failed(&self.path, "read", error))?
                .ok_or_else(|| self.damaged(chunk.next))?;
            at = Some(frame.end);
            chunk.next = frame.end;
            if frame.kind == Kind::Record {
                read += frame.end - frame.start;
                chunk.records.push(frame);
            }
        }
        Ok(chunk)
    }

    fn write(&mut self, kind: Kind, bodies: &[Vec<u8>]) -> Result<()> {
        if self.unclean {
            self.cut_to(self.end)
                .map_err(|error| failed(&self.path, "write to", error))?;
        }
        let mut bytes = Vec::new();
        for body in bodies {
            frame::write(&mut bytes, kind, self.end, body);
        }
        self.unclean = true;
        if let Err(error) = self.write_through(&bytes) {
            // Gives the room of a half-written batch back at once; if that fails too, the next write tries it again first.
            if let Err(error) = self.cut_to(self.end) {
                warn!(%error, path = %self.path.display(), "cannot cut off a failed write");
            }
            return Err(failed(&self.path, "write to", error));
        }
        self.unclean = false;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn cut_to(&mut self, end: u64) -> io::Result<()> {
        self.unclean = true;
        self.file.set_len(end)?;
        self.file.sync_all()?;
        self.end = end;
        self.unclean = false;
        Ok(())
    }

    fn initialise(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(HEADER)?;
        self.file.sync_all()?;
        sync_directory_of(&self.path)
    }

    /// Whether the file is a spool. `false` if it is new; a file that is something else is an error.
    fn is_ours(&mut self, length: u64) -> Result<bool> {
        let mut begin = Vec::new();
        (&self.file)
            .take(START)
            .read_to_end(&mut begin)
            .map_err(|error| failed(&self.path, "read", error))?;
        let path = self.path.display();
        if begin == HEADER {
            return Ok(true);
        }
        // Shorter than a header it is empty, or a crash came while it was created and nothing was in it yet.
        if length <= START && (HEADER.starts_with(&begin) || begin.iter().all(|byte| *byte == 0)) {
            return Ok(false);
        }
        let context = if begin.starts_with(FAMILY) {
            format!(
                "spool {path} has a format that this version does not know: replay it with the version that wrote it"
            )
        } else {
            format!(
                "{path} is no spool: it begins with something else; it was not changed, name another path"
            )
        };
        Err(Error::new(ErrorKind::Corrupt, context))
    }

    /// Reads every frame once: counts what is kept and finds where a crash has torn the end.
    fn scan(&mut self, length: u64) -> Result<()> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| failed(&self.path, "read", error))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let read_failed = |error| failed(&self.path, "read", error);
        reader.seek(SeekFrom::Start(START)).map_err(read_failed)?;
        self.end = START;
        while self.end < length {
            let path = &self.path;
            let frame = frame::read(&mut reader, self.end, length)
                .map_err(|error| failed(path, "read", error))?;
            let Some(frame) = frame else {
                return self.mend(length);
            };
            self.end = frame.end;
            match frame.kind {
                Kind::Record => self.kept += 1,
                Kind::Replayed => {
                    let replayed: Replayed = serde_json::from_slice(&frame.body)
                        .map_err(|error| self.damaged(frame.start).with_source(error))?;
                    self.note(&replayed);
                    // The note itself counts as replayed, so that ranges grow together.
                    self.replayed.insert(frame.start, frame.end);
                }
            }
        }
        Ok(())
    }

    /// Cuts off what a crash has torn. Anything else that is damaged is reported and left as it is.
    fn mend(&mut self, length: u64) -> Result<()> {
        let at = self.end;
        let follows = frame::later_write_follows(&mut self.file, at, length)
            .map_err(|error| failed(&self.path, "read", error))?;
        if follows {
            return Err(self.damaged(at));
        }
        warn!(
            path = %self.path.display(),
            offset = at,
            bytes = length - at,
            "the spool ends in a torn record, which was never confirmed: it is cut off"
        );
        self.cut_to(at)
            .map_err(|error| failed(&self.path, "mend", error))
    }

    fn note(&mut self, replayed: &Replayed) {
        for (from, to) in &replayed.ranges {
            self.replayed.insert(*from, *to);
        }
        self.kept = self.kept.saturating_sub(replayed.records);
    }

    fn damaged(&self, offset: u64) -> Error {
        let context = format!(
            "spool {} is damaged at byte {offset}, before records that are intact: it was not changed; \
             restore it from a copy, or move it away to go on without what is in it",
            self.path.display()
        );
        Error::new(ErrorKind::Corrupt, context)
    }
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let context = format!(
                "spool {} is in use: give every process a path of its own, or let them share a queue",
                path.display()
            );
            Err(Error::new(ErrorKind::Unavailable, context))
        }
        Err(TryLockError::Error(error)) => Err(failed(path, "lock", error)),
    }
}

/// A new file survives a power loss only if its directory entry does.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn failed(path: &Path, doing: &str, error: io::Error) -> Error {
    let (kind, next) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Full, "make room on its disk")
        }
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "check its permissions"),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "create its directory"),
        _ => (ErrorKind::Unavailable, "check its disk"),
    };
    let context = format!("cannot {doing} spool {} ({error}): {next}", path.display());
    Error::new(kind, context).with_source(error)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn on_a_full_disk() -> Log {
        let path = Path::new("/dev/full");
        Log {
            file: OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .expect("Linux has it"),
            path: path.to_owned(),
            end: 100,
            replayed: Ranges::default(),
            kept: 2,
            unwritten: Replayed::default(),
            unclean: false,
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_so() {
        let mut log = on_a_full_disk();
        let error = log.append(&[b"{}\n".to_vec()]).expect_err("it is full");
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert_eq!((log.kept(), log.end), (2, 100));
        assert!(
            log.unclean,
            "the next write must first cut off what this one left"
        );
    }

    #[test]
    fn what_was_replayed_while_the_disk_is_full_is_not_replayed_again() {
        let mut log = on_a_full_disk();
        let replayed = Replayed {
            ranges: vec![(16, 60)],
            records: 1,
        };
        assert!(!log.forget(&replayed).expect("it is noted in memory"));
        assert_eq!(log.kept(), 1);
        assert_eq!(log.replayed.skip(16), 60);
        assert_eq!(log.unwritten.ranges, [(16, 60)], "for the next note");
    }
}
