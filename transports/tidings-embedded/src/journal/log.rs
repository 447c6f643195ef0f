//! SQLite's log beside the file, read before SQLite reads it.
//!
//! SQLite takes the first frame that does not fit for the end of the log and forgets what comes after it. That is
//! right after a crash, which may leave the last transaction half written, and a silent loss when the log was
//! damaged later. So the frames are checked here first. Every frame carries a checksum of itself and of all frames
//! before it; a frame that does not fit and is followed by a whole transaction *and the beginning of the next one* was
//! not left behind by a crash: a transaction begins only after the one before it is complete. The very last
//! transaction proves nothing: it cannot be told from one that was cut off.
//!
//! The format is described at <https://www.sqlite.org/fileformat2.html#walformat>. Nothing is ever written here.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The numbers with which a log begins, by the order of bytes in which it counts its checksums.
const LITTLE: u32 = 0x377f_0682;
const BIG: u32 = 0x377f_0683;
/// How large SQLite makes pages, when the header of a log cannot be believed.
const PAGE: u32 = 4_096;

/// What lies beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Nothing, or not even the header of a log.
    Missing,
    /// A log in which nothing is wrong but perhaps its last transaction.
    Whole,
    /// A log in which something does not fit from this offset on, although whole transactions come after it.
    Broken { offset: u64 },
}

/// The log that belongs to a file.
pub(super) fn path_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Looks at the log of a file.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn look(file: &Path) -> io::Result<Log> {
    match File::open(path_of(file)) {
        Ok(log) => scan(BufReader::with_capacity(256 << 10, log)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Log::Missing),
        Err(error) => Err(error),
    }
}

fn scan(mut log: impl Read) -> io::Result<Log> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(Log::Missing);
    }
    let mut chain = Chain::after(&header);
    let page = if chain.fits {
        big_endian(&header, 8)
    } else {
        PAGE
    };
    let mut frame = vec![0; FRAME_HEADER + page as usize];
    let mut offset = HEADER as u64;
    let mut broken = (!chain.fits).then_some(0);
    // Whether the frame before ended a transaction that came after something that does not fit.
    let mut complete = false;
    while fill(&mut log, &mut frame)? {
        let fits = chain.follow(&frame);
        match broken {
            None if !fits => broken = Some(offset),
            Some(offset) if fits && complete => return Ok(Log::Broken { offset }),
            _ => {}
        }
        let ends_transaction = big_endian(&frame, 4) != 0;
        complete = broken.is_some() && fits && ends_transaction;
        offset += frame.len() as u64;
    }
    Ok(Log::Whole)
}

/// What the next frame must fit to.
struct Chain {
    /// Whether the last part, at first the header, fitted.
    fits: bool,
    little: bool,
    salts: Option<[u8; 8]>,
    sums: (u32, u32),
}

impl Chain {
    fn after(header: &[u8; HEADER]) -> Self {
        let sums = (big_endian(header, 24), big_endian(header, 28));
        let counted = |little| checksum(little, (0, 0), &header[..24]);
        let (fits, little) = match big_endian(header, 0) {
            LITTLE => (counted(true) == sums, true),
            BIG => (counted(false) == sums, false),
            _ => (false, true),
        };
        Self {
            fits,
            little: if fits {
                little
            } else {
                cfg!(target_endian = "little")
            },
            // Those of a header that does not fit are worth nothing: then the first frame says which they are.
            salts: fits.then(|| eight(header, 16)),
            sums,
        }
    }

    /// Whether this frame was written after the one before it, as that one is now.
    fn follow(&mut self, frame: &[u8]) -> bool {
        let salts = eight(frame, 8);
        let sums = (big_endian(frame, 16), big_endian(frame, 20));
        let counted = checksum(self.little, self.sums, &frame[..8]);
        let counted = checksum(self.little, counted, &frame[FRAME_HEADER..]);
        self.fits = *self.salts.get_or_insert(salts) == salts
            && big_endian(frame, 0) != 0
            && counted == sums;
        self.sums = sums;
        self.fits
    }
}

/// SQLite's checksum: cheap, and good enough to notice what a disk does.
fn checksum(little: bool, from: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let word = |bytes: [u8; 4]| {
        if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        }
    };
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(from, |(first, second), pair| {
        let [a, b, c, d, e, f, g, h] = *pair;
        let first = first.wrapping_add(word([a, b, c, d])).wrapping_add(second);
        let second = second.wrapping_add(word([e, f, g, h])).wrapping_add(first);
        (first, second)
    })
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u32::from_be_bytes(*word))
}

fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..].first_chunk().copied().unwrap_or_default()
}

/// Reads exactly as much as fits; false if there is less.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// How long the log is that is being written.
#[derive(Debug)]
pub(super) struct Length {
    log: File,
    page: u64,
}

impl Length {
    pub(super) fn of(file: &Path, page: u64) -> io::Result<Self> {
        let log = File::open(path_of(file))?;
        Ok(Self { log, page })
    }

    /// Whether there are more than so many frames since SQLite last began at the front. What was written before that
    /// stays behind the end, so the size of the file says nothing; the salts do.
    pub(super) fn exceeds(&mut self, frames: u64) -> io::Result<bool> {
        let mut salts = [0; 8];
        self.log.seek(SeekFrom::Start(16))?;
        let mut of_frame = [0; 8];
        if !fill(&mut self.log, &mut salts)? {
            return Ok(false);
        }
        let frame = HEADER as u64 + frames * (FRAME_HEADER as u64 + self.page);
        self.log.seek(SeekFrom::Start(frame + 8))?;
        Ok(fill(&mut self.log, &mut of_frame)? && of_frame == salts)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    /// A log of so many transactions, as SQLite writes it.
    fn written(transactions: usize) -> Vec<u8> {
        let directory = std::env::temp_dir().join(format!(
            "tidings-log-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        let file = Connection::open(&path).unwrap();
        file.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
            .unwrap();
        file.execute_batch("CREATE TABLE t (x BLOB)").unwrap();
        for _ in 1..transactions {
            file.execute("INSERT INTO t VALUES (randomblob(6000))", [])
                .unwrap();
        }
        let log = fs::read(path_of(&path)).unwrap();
        drop(file);
        fs::remove_dir_all(directory).unwrap();
        log
    }

    fn check(log: &[u8], expected: Log) {
        assert_eq!(scan(log).unwrap(), expected);
    }

    #[test]
    fn a_log_cut_off_anywhere_is_what_a_crash_leaves() {
        let log = written(4);
        for end in (HEADER..=log.len()).step_by(97) {
            check(&log[..end], Log::Whole);
        }
        check(&log[..HEADER - 1], Log::Missing);
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_two_transactions_follow() {
        let log = written(12);
        for at in (0..log.len() / 2).step_by(61) {
            let mut damaged = log.clone();
            damaged[at] ^= 0x10;
            let found = scan(&damaged[..]).unwrap();
            assert!(
                matches!(found, Log::Broken { offset } if offset <= at as u64),
                "{at}: {found:?}"
            );
        }
    }

    /// After a power cut parts of the transaction that was being written may be missing and later ones there.
    #[test]
    fn holes_in_the_last_transaction_are_no_damage() {
        let log = written(6);
        let frame = FRAME_HEADER + 4_096;
        let ends = |number: usize| big_endian(&log, HEADER + number * frame + 4) != 0;
        let frames = (log.len() - HEADER) / frame;
        let last = (0..frames - 1).rev().find(|number| ends(*number)).unwrap() + 1;
        assert!(last < frames - 1, "it has several frames");
        for hole in last..frames {
            let mut torn = log.clone();
            torn[HEADER + hole * frame..][..frame].fill(0);
            check(&torn, Log::Whole);
        }
    }

    /// When SQLite begins at the front again, the frames of the last time stay behind the new ones.
    #[test]
    fn what_is_left_of_an_earlier_log_is_no_damage() {
        let (old, new) = (written(10), written(3));
        let mut log = new.clone();
        log.extend(&old[new.len()..]);
        check(&log, Log::Whole);
    }
}
