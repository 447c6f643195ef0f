//! A process, known beyond its end.
//!
//! The number of a process says nothing once that process has ended: it may be somebody else's by now. Together with
//! its time of birth it does, and both stay the same when the process turns into another program.

use std::{fmt, fs};

use serde::{Deserialize, Serialize};

/// A process that was seen at some time.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    pid: u32,
    born: Option<u64>,
}

impl Identity {
    /// The process that has this number now, if there is one.
    pub(crate) fn of(pid: u32) -> Self {
        Self {
            pid,
            born: stat(pid).map(|stat| stat.born),
        }
    }

    /// The process that runs this.
    pub(crate) fn this() -> Self {
        Self::of(std::process::id())
    }

    /// As it is written for other processes; none if it is no number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::of)
    }

    /// Whether it runs. One that has ended, and nobody has asked how, does not.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| !stat.has_ended && Some(stat.born) == self.born)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}

/// What the system says about a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) has_ended: bool,
    pub(crate) group: u32,
    /// In ticks since the machine was started.
    pub(crate) born: u64,
}

/// What the system says about a process at this moment.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/*/stat`.
fn parse(line: &str) -> Option<Stat> {
    // The name before it is in parentheses, and may contain some.
    let fields: Vec<_> = line.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        has_ended: *fields.first()? == "Z",
        group: fields.get(2)?.parse().ok()?,
        born: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_number_now_is_somebody_else() {
        let this = Identity::this();
        assert!(this.is_alive());
        assert_eq!(Identity::parse(&this.to_string()), Some(this.clone()));
        let earlier = Identity {
            born: this.born.map(|born| born - 1),
            ..this
        };
        assert!(!earlier.is_alive());
        assert!(
            !Identity::of(u32::MAX).is_alive(),
            "there is no such number"
        );
        assert_eq!(Identity::parse("x"), None);
    }

    #[test]
    fn reads_what_the_system_says() {
        let rest = "5 5 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 77 8 9";
        let expected = |has_ended| {
            Some(Stat {
                has_ended,
                group: 5,
                born: 77,
            })
        };
        for (start, expected) in [
            ("7 (sh) S 1", expected(false)),
            ("7 (a) b) R 1", expected(false)),
            ("7 (sh) Z 1", expected(true)),
            ("7 (sh", None),
        ] {
            assert_eq!(parse(&format!("{start} {rest}")), expected, "{start}");
        }
        assert_eq!(parse("7 (sh) S 1 5"), None);
    }
}
