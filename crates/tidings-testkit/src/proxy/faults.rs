//! What is wrong with the network at the moment: plain values that every connection looks at.

use std::time::Duration;

/// Which way bytes travel, in toxiproxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

impl Direction {
    /// Its place in an array of two.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Upstream => 0,
            Self::Downstream => 1,
        }
    }
}

/// The faults that last until they are lifted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) stalled: bool,
    pub(super) swallowing: bool,
    pub(super) delay: Duration,
    pub(super) bytes_per_second: Option<u64>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Orderly, with a FIN to both sides.
    Cut,
    /// Abruptly, with an RST to both sides.
    Reset,
}
