//! How the program ends: one number per class of outcome, so that a script need not read the text.

use std::{error::Error as StdError, fmt, io, process::ExitCode};

use tidings::{Error, ErrorKind};

use crate::output;

/// How it ended. The codes are listed in the help text and in the guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Ok,
    /// It failed for a reason that has no number of its own, or was declined.
    Failed,
    /// The command line or a file makes no sense.
    Usage,
    /// The broker cannot be reached, or went away.
    Unreachable,
    /// The broker refuses access.
    Denied,
    /// The broker refuses who we are.
    Unauthenticated,
    /// Something exists with other settings, or there are differences.
    Differs,
    /// A queue, an exchange or a file does not exist.
    NotFound,
    /// No queue would receive the message.
    Unroutable,
    /// The transport cannot do it.
    Unsupported,
    /// A message or a file cannot be read, or breaks its rules.
    Unreadable,
    /// An action was called, and its answer says that it failed.
    Refused,
    /// An action was called, and nobody answered in time.
    NoAnswer,
    /// A signal came before it was done.
    Interrupted,
    /// What a check has found, in the codes that monitoring plugins have.
    Check(Check),
}

/// What a check has found, the worse the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// As it should be.
    Fine,
    /// Worth a look.
    Warning,
    /// Not as it should be.
    Critical,
    /// It could not be found out.
    Unknown,
}

impl Check {
    /// As monitoring plugins write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// For `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done                     5  exists with other settings, or there are differences
  1  failed, or declined      6  does not exist
  2  wrong usage              7  no queue would receive the message
  3  broker unreachable       8  the transport cannot do it
  4  access denied            9  unreadable message or file
 10  answered with a failure  11  no answer in time
 12  user or password refused 130  interrupted";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok | Self::Check(Check::Fine) => 0,
            Self::Failed | Self::Check(Check::Warning) => 1,
            Self::Usage | Self::Check(Check::Critical) => 2,
            Self::Unreachable | Self::Check(Check::Unknown) => 3,
            Self::Denied => 4,
            Self::Differs => 5,
            Self::NotFound => 6,
            Self::Unroutable => 7,
            Self::Unsupported => 8,
            Self::Unreadable => 9,
            Self::Refused => 10,
            Self::NoAnswer => 11,
            Self::Unauthenticated => 12,
            Self::Interrupted => 130,
        }
    }

    /// What an error means for the exit code.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<Error>() {
                return Self::of_kind(error.kind());
            }
            if let Some(Stopped) = cause.downcast_ref() {
                return Self::Interrupted;
            }
            if is_closed_pipe(cause) {
                return Self::Ok;
            }
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return match error.kind() {
                    io::ErrorKind::NotFound => Self::NotFound,
                    io::ErrorKind::PermissionDenied => Self::Denied,
                    _ => Self::Failed,
                };
            }
        }
        Self::Failed
    }

    fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Misuse => Self::Usage,
            ErrorKind::Unavailable
            | ErrorKind::Closed
            | ErrorKind::Timeout
            | ErrorKind::Unconfirmed => Self::Unreachable,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Unauthenticated => Self::Unauthenticated,
            ErrorKind::Conflict => Self::Differs,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Unroutable | ErrorKind::NoRoute => Self::Unroutable,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Decode | ErrorKind::Invalid | ErrorKind::Corrupt => Self::Unreadable,
            _ => Self::Failed,
        }
    }
}

/// Says on standard error what went wrong, in one line, and returns how the program ends.
#[expect(
    clippy::print_stderr,
    reason = "the error of a program goes to standard error"
)]
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let exit = Exit::of(error);
    // Whoever reads our output has closed it: that is how `tidings … | head` ends, and no failure.
    if !error.chain().any(is_closed_pipe) {
        let line: Vec<_> = format!("{error:#}")
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        eprintln!("error: {}", line.join(" "));
    }
    exit
}

/// Says what is wrong with the command line, or prints the help that it asks for, and returns how the program ends. What
/// is wrong with the line of a check is no news of what it checks, and a monitor reads standard output.
pub(crate) fn unusable(error: &clap::Error, is_check: bool) -> Exit {
    let unknown = Check::Unknown;
    let is_wrong = error.use_stderr();
    if is_wrong && is_check {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let what = line.strip_prefix("error: ").unwrap_or(line);
        drop(output::write(&format!(
            "{}: wrong usage: {what}\n",
            unknown.word()
        )));
    }
    // A closed terminal is no reason to fail in another way.
    drop(error.print());
    match (is_wrong, is_check) {
        (false, _) => Exit::Ok,
        (true, false) => Exit::Usage,
        (true, true) => Exit::Check(unknown),
    }
}

fn is_closed_pipe(cause: &(dyn StdError + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A command line that makes no sense although each option does.
pub(crate) fn usage(context: impl Into<String>) -> anyhow::Error {
    Error::new(ErrorKind::Misuse, context).into()
}

/// The error of a command that was interrupted before it was done.
#[derive(Debug)]
pub(crate) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted before it was done: what was not confirmed is where it was")
    }
}

impl StdError for Stopped {}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn check(error: impl Into<anyhow::Error>, expected: Exit) {
        let error = error.into().context("outside");
        assert_eq!(Exit::of(&error), expected, "{error:#}");
    }

    #[test]
    fn the_kind_of_an_error_decides_at_any_depth() {
        check(Error::new(ErrorKind::Unavailable, "x"), Exit::Unreachable);
        check(Error::new(ErrorKind::Denied, "x"), Exit::Denied);
        let stranger = Error::new(ErrorKind::Unauthenticated, "x");
        check(stranger, Exit::Unauthenticated);
        check(Error::new(ErrorKind::Conflict, "x"), Exit::Differs);
        check(Error::new(ErrorKind::Unroutable, "x"), Exit::Unroutable);
        check(Error::new(ErrorKind::Full, "x"), Exit::Failed);
        check(usage("x"), Exit::Usage);
        check(Stopped, Exit::Interrupted);
        check(io::Error::from(io::ErrorKind::NotFound), Exit::NotFound);
        check(anyhow::anyhow!("x"), Exit::Failed);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let broken = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe));
        check(broken.context("cannot write").unwrap_err(), Exit::Ok);
    }

    #[test]
    fn the_help_lists_every_code() {
        for exit in [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Denied,
            Exit::Differs,
            Exit::NotFound,
            Exit::Unroutable,
            Exit::Unsupported,
            Exit::Unreadable,
            Exit::Refused,
            Exit::NoAnswer,
            Exit::Unauthenticated,
            Exit::Interrupted,
        ] {
            assert!(HELP.contains(&format!("{}  ", exit.code())), "{exit:?}");
        }
    }
}
