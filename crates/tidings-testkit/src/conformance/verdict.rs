//! How a behaviour ends: it holds, it fails with a sentence, or it does not apply.

use std::{fmt, panic::Location};

use tidings_core::{Error, ErrorKind, transport::Capability};

/// The end of a behaviour.
pub type Verdict = Result<(), Stop>;

/// Why a behaviour ended before its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The transport lacks this, and says so.
    Skipped(String),
    /// The promise is broken.
    Failed(String),
}

impl Stop {
    /// The transport does not have what the behaviour needs.
    #[must_use]
    pub fn lacks(capability: Capability) -> Self {
        Self::Skipped(format!("{capability:?}"))
    }

    /// The promise is broken, at the caller's place.
    #[must_use]
    #[track_caller]
    pub fn failed(problem: impl fmt::Display) -> Self {
        let place = Location::caller();
        Self::Failed(format!("{problem} ({}:{})", place.file(), place.line()))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(missing) => write!(f, "skipped: the transport has no {missing}"),
            Self::Failed(problem) => f.write_str(problem),
        }
    }
}

/// An error where none is expected breaks a promise. `?` keeps the place.
impl From<Error> for Stop {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::failed(format_args!(
            "unexpected error ({:?}): {}",
            error.kind(),
            error.chain()
        ))
    }
}

/// Ends the behaviour as failed unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($problem:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Stop::failed(format_args!($($problem)+)));
        }
    };
}

/// Ends the behaviour as failed unless both are equal.
macro_rules! ensure_eq {
    ($got:expr, $wanted:expr, $($what:tt)+) => {{
        let (got, wanted) = (&$got, &$wanted);
        if got != wanted {
            return Err($crate::conformance::Stop::failed(format_args!(
                "{}: got {got:?}, wanted {wanted:?}", format_args!($($what)+)
            )));
        }
    }};
}

/// Checks that something was refused in this class, by an error that names the thing.
#[track_caller]
pub(super) fn refused<T>(
    result: tidings_core::Result<T>,
    kind: ErrorKind,
    named: &str,
) -> Result<String, Stop> {
    let Err(error) = result else {
        return Err(Stop::failed(format_args!(
            "`{named}` was accepted, wanted {kind:?}"
        )));
    };
    if error.kind() != kind {
        return Err(Stop::failed(format_args!(
            "`{named}` was refused as {:?}, wanted {kind:?}: {}",
            error.kind(),
            error.chain()
        )));
    }
    let text = error.chain();
    if text.contains(named) {
        return Ok(text);
    }
    Err(Stop::failed(format_args!(
        "the error does not name `{named}`: {text}"
    )))
}

/// Skips the behaviour if the transport says that it cannot do this at all.
#[track_caller]
pub(super) fn possible<T>(result: tidings_core::Result<T>, what: &str) -> Result<T, Stop> {
    match result {
        Err(error) if error.kind() == ErrorKind::Unsupported => Err(Stop::Skipped(what.to_owned())),
        other => Ok(other?),
    }
}
