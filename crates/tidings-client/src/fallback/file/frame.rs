//! How a record lies in the file: a head with length and checksum, then the body.
//!
//! ```text
//! 0xFF  kind  length u32  batch u64  crc32 u32  body        (little endian)
//! ```
//!
//! `batch` is the offset at which the write began that the frame is a part of. One write is synced before the next
//! begins, so a damaged frame is the trace of a crash, and nothing confirmed, exactly if no intact frame of a
//! *later* write follows it. The first byte occurs in no UTF-8 text, so a search for the next frame finds
//! few false starts in bodies of JSON.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The bytes before a body.
pub(super) const HEAD: u64 = 18;
/// No body is longer: a limit that keeps lengths within `u32`.
pub(super) const MAX_BODY: usize = 1 << 30;
const MARK: u8 = 0xFF;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A kept call.
    Record = b'R',
    /// A note of what has been replayed.
    Replayed = b'D',
}

/// An intact frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) batch: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) body: Vec<u8>,
}

/// Appends a frame. The caller has checked that the body is not longer than [`MAX_BODY`].
pub(super) fn write(out: &mut Vec<u8>, kind: Kind, batch: u64, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend([MARK, kind as u8]);
    out.extend(length.to_le_bytes());
    out.extend(batch.to_le_bytes());
    out.extend(checksum(kind as u8, length, batch, body).to_le_bytes());
    out.extend(body);
}

/// Reads the frame at `start`, where the reader stands. `None` if there is no intact one before `limit`.
pub(super) fn read(reader: &mut impl Read, start: u64, limit: u64) -> io::Result<Option<Frame>> {
    if limit.saturating_sub(start) < HEAD {
        return Ok(None);
    }
    let (mut mark, mut length, mut batch, mut crc) = ([0; 2], [0; 4], [0; 8], [0; 4]);
    reader.read_exact(&mut mark)?;
    reader.read_exact(&mut length)?;
    reader.read_exact(&mut batch)?;
    reader.read_exact(&mut crc)?;
    let (length, batch) = (u32::from_le_bytes(length), u64::from_le_bytes(batch));
    let end = start + HEAD + u64::from(length);
    let Some(kind) = kind_of(mark) else {
        return Ok(None);
    };
    // A length that leads out of the file is noticed before memory is set aside for it.
    if end > limit || batch > start {
        return Ok(None);
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    reader.read_exact(&mut body)?;
    let intact = checksum(kind as u8, length, batch, &body) == u32::from_le_bytes(crc);
    Ok(intact.then_some(Frame {
        kind,
        batch,
        start,
        end,
        body,
    }))
}

/// Whether an intact frame of a write that began after `damage` follows it, so that the damage is no trace of a crash.
pub(super) fn later_write_follows(
    file: &mut (impl Read + Seek),
    damage: u64,
    limit: u64,
) -> io::Result<bool> {
    for start in candidates(file, damage + 1, limit)? {
        file.seek(SeekFrom::Start(start))?;
        let frame = read(&mut BufReader::new(&mut *file), start, limit)?;
        if frame.is_some_and(|frame| frame.batch > damage) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a frame could begin.
fn candidates(file: &mut (impl Read + Seek), from: u64, limit: u64) -> io::Result<Vec<u64>> {
    file.seek(SeekFrom::Start(from))?;
    let mut found = Vec::new();
    let mut before = 0;
    for (offset, byte) in (from..limit).zip(BufReader::new(file).bytes()) {
        let byte = byte?;
        if offset > from && kind_of([before, byte]).is_some() {
            found.push(offset - 1);
        }
        before = byte;
    }
    Ok(found)
}

fn kind_of(mark: [u8; 2]) -> Option<Kind> {
    [Kind::Record, Kind::Replayed]
        .into_iter()
        .find(|kind| mark == [MARK, *kind as u8])
}

fn checksum(kind: u8, length: u32, batch: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length.to_le_bytes());
    hasher.update(&batch.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Writes of this many frames each, and where each frame begins.
    fn written(writes: &[usize]) -> (Vec<u8>, Vec<u64>) {
        let (mut file, mut starts) = (Vec::new(), Vec::new());
        for frames in writes {
            let batch = file.len() as u64;
            for _ in 0..*frames {
                starts.push(file.len() as u64);
                write(&mut file, Kind::Record, batch, b"{}\n");
            }
        }
        (file, starts)
    }

    /// Damages one frame and asks whether that can be the trace of a crash.
    #[track_caller]
    fn check(writes: &[usize], damaged: usize, is_trace_of_a_crash: bool) {
        let (mut file, starts) = written(writes);
        let (limit, start) = (file.len() as u64, starts[damaged]);
        let body = usize::try_from(start + HEAD).unwrap();
        file[body] ^= 1;
        let mut file = Cursor::new(file);
        file.set_position(start);
        assert!(read(&mut file, start, limit).unwrap().is_none());
        let follows = later_write_follows(&mut file, start, limit).unwrap();
        assert_eq!(!follows, is_trace_of_a_crash);
    }

    #[test]
    fn damage_in_the_last_write_is_the_trace_of_a_crash_even_before_intact_frames() {
        check(&[1], 0, true);
        check(&[1, 3], 3, true);
        check(&[1, 3], 1, true);
    }

    #[test]
    fn damage_before_a_later_write_is_not() {
        check(&[1, 1], 0, false);
        check(&[3, 1], 0, false);
        check(&[1, 3, 1], 2, false);
    }

    #[test]
    fn a_frame_comes_back_as_it_was_written() {
        let mut file = Vec::new();
        write(&mut file, Kind::Replayed, 0, b"body");
        let limit = file.len() as u64;
        let frame = read(&mut Cursor::new(file), 0, limit).unwrap().unwrap();
        assert_eq!((frame.kind, frame.batch), (Kind::Replayed, 0));
        assert_eq!((frame.start, frame.end), (0, limit));
        assert_eq!(frame.body, b"body");
    }
}
