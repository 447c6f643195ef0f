//! One direction of one connection: bytes in, faults applied, bytes out.
//!
//! What is read waits in a line until it is due, which is at once unless a delay or a limit is set. Faults
//! are looked at once per read and once per write, never per byte.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    select,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    counts::Counters,
    faults::{Direction, Ending, Faults},
};

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// How much may wait in the line, so that a delayed connection is slow and not endless.
const LINE: usize = 8 * 1024 * 1024;

/// How many portions a second a limited connection passes on.
const PORTIONS: u64 = 50;

pub(super) struct Pump<'a> {
    pub(super) direction: Direction,
    pub(super) reader: ReadHalf<'a>,
    pub(super) writer: WriteHalf<'a>,
    pub(super) faults: watch::Receiver<Faults>,
    pub(super) counters: &'a Counters,
    line: Line,
    /// Before this instant a limited connection passes nothing on.
    free_at: Instant,
    /// Nothing more will be read.
    ended: bool,
    /// The receiver missed something, so it must never see what comes after.
    lost: bool,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        direction: Direction,
        (reader, writer): (ReadHalf<'a>, WriteHalf<'a>),
        faults: watch::Receiver<Faults>,
        counters: &'a Counters,
    ) -> Self {
        Self {
            direction,
            reader,
            writer,
            faults,
            counters,
            line: Line::default(),
            free_at: Instant::now(),
            ended: false,
            lost: false,
        }
    }

    /// Passes bytes on until the sender has ended, and ends the receiver's stream then. `Err` means that the
    /// whole connection is to end in this way.
    pub(super) async fn run(mut self) -> Result<(), Ending> {
        let mut buffer = BytesMut::new();
        loop {
            let faults = *self.faults.borrow_and_update();
            self.swallow(faults)?;
            if self.ended && !self.lost && self.line.is_empty() && !faults.stalled {
                // A receiver that is gone already needs no end.
                drop(self.writer.shutdown().await);
                return Ok(());
            }
            let write_at = self.line.due().max(self.free_at);
            let (reads, writes) = self.may(faults, write_at);
            if reads {
                buffer.reserve(CHUNK);
            }
            select! {
                biased;
                // Cancel-safe: it only looks at a version.
                changed = self.faults.changed() => changed.map_err(|_| Ending::Cut)?,
                // Cancel-safe: it only waits.
                () = due(write_at), if writes => self.pass(faults).await?,
                // Cancel-safe: promised by `read_buf`.
                read = self.reader.read_buf(&mut buffer), if reads => match read {
                    Ok(0) => self.ended = true,
                    Ok(_) => self.line.push(Instant::now() + faults.delay, buffer.split().freeze()),
                    // Behind a black hole nobody learns that the sender is gone.
                    Err(_) if faults.swallowing => (self.ended, self.lost) = (true, true),
                    Err(_) => return Err(Ending::Reset),
                },
            }
        }
    }

    /// What a black hole does: it takes everything, and whatever lost something breaks when it closes.
    fn swallow(&mut self, faults: Faults) -> Result<(), Ending> {
        if faults.swallowing {
            let bytes = self.line.clear();
            self.lost |= bytes > 0 || self.ended;
            if bytes > 0 {
                self.counters.swallow(bytes);
            }
        } else if self.lost {
            return Err(Ending::Reset);
        }
        Ok(())
    }

    /// Whether to read and whether to write at the moment. What can be written goes first, and then its memory
    /// serves the next read.
    fn may(&self, faults: Faults, write_at: Instant) -> (bool, bool) {
        let writes = !faults.stalled && !self.line.is_empty();
        let at_once = writes && write_at <= Instant::now();
        let reads = !faults.stalled && !self.ended && !at_once && self.line.len < LINE;
        (reads, writes)
    }

    /// Writes what is due, as much as limit and budget allow.
    async fn pass(&mut self, faults: Faults) -> Result<(), Ending> {
        let portion = faults
            .bytes_per_second
            .map_or(u64::MAX, |rate| (rate / PORTIONS).max(1));
        let mut chunk = self.line.pop(portion);
        let budget = self.counters.spend(self.direction, length(&chunk));
        if let Some(budget) = budget {
            chunk.truncate(usize::try_from(budget).unwrap_or(usize::MAX));
        }
        let written = self.writer.write_all(&chunk).await;
        written.map_err(|_| Ending::Reset)?;
        if let Some(rate) = faults.bytes_per_second {
            let micros = length(&chunk).saturating_mul(1_000_000) / rate;
            self.free_at = Instant::now() + Duration::from_micros(micros);
        }
        if !chunk.is_empty() {
            self.counters.pass(self.direction, length(&chunk));
        }
        match budget {
            Some(_) => Err(Ending::Cut),
            None => Ok(()),
        }
    }
}

/// What was read and is not written yet.
#[derive(Default)]
struct Line {
    chunks: VecDeque<(Instant, Bytes)>,
    len: usize,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn push(&mut self, due: Instant, chunk: Bytes) {
        self.len += chunk.len();
        // Not before what came before, also when the delay was just shortened.
        let due = self.chunks.back().map_or(due, |(last, _)| due.max(*last));
        self.chunks.push_back((due, chunk));
    }

    /// When the first chunk may go on.
    fn due(&self) -> Instant {
        self.chunks
            .front()
            .map_or_else(Instant::now, |(due, _)| *due)
    }

    /// Takes the first chunk, or its first `at_most` bytes.
    fn pop(&mut self, at_most: u64) -> Bytes {
        let Some((due, mut chunk)) = self.chunks.pop_front() else {
            return Bytes::new();
        };
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        if chunk.len() > at_most {
            let rest = chunk.split_off(at_most);
            self.chunks.push_front((due, rest));
        }
        self.len -= chunk.len();
        chunk
    }

    /// Forgets everything and says how much that was.
    fn clear(&mut self) -> u64 {
        let bytes = self.chunks.drain(..).map(|(_, chunk)| length(&chunk)).sum();
        self.len = 0;
        bytes
    }
}

fn length(chunk: &Bytes) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}

/// Waits until an instant, without a timer if it has passed.
async fn due(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}
