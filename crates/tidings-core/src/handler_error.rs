//! What a handler returns when it fails: any error, and what it asks for.
//!
//! `?` works on every error type and asks for another attempt, as on the wire; the constructors and
//! [`ResultExt`] ask for something else.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{
    Fault,
    error::{BoxError, Error, ErrorKind},
    outcome::Outcome,
};

/// A failed handling. Made from any error by `?`.
///
/// It does not implement [`std::error::Error`] itself, which is what lets `?` accept every type that does.
///
/// ```
/// use tidings_core::{HandlerError, handler_error::ResultExt};
///
/// fn parse(text: &str) -> Result<u32, HandlerError> {
///     if text.is_empty() {
///         return Err(HandlerError::fatal("there is nothing to parse"));
///     }
///     Ok(text.parse().or_fatal()?) // A second attempt would read the same text.
/// }
/// # assert!(parse("x").is_err());
/// ```
pub struct HandlerError {
    outcome: Outcome,
    source: BoxError,
}

impl HandlerError {
    /// May succeed if tried again.
    #[must_use]
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self {
            outcome: Outcome::Retry,
            source: error.into(),
        }
    }

    /// Will never succeed: dead-letter it now.
    #[must_use]
    pub fn fatal(error: impl Into<BoxError>) -> Self {
        Self {
            outcome: Outcome::Fatal,
            source: error.into(),
        }
    }

    /// Not now: bring it back after this long, without counting an attempt.
    #[must_use]
    pub fn defer(after: Duration, error: impl Into<BoxError>) -> Self {
        Self {
            outcome: Outcome::Defer(after),
            source: error.into(),
        }
    }

    /// What it asks for.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let source: BoxError = Box::new(error);
        let fault = source
            .downcast_ref::<Fault>()
            .map(|fault| fault.code.default_outcome());
        let outcome = fault.or_else(|| source.downcast_ref::<Error>().map(Error::outcome));
        Self {
            outcome: outcome.unwrap_or(Outcome::Retry),
            source,
        }
    }
}

impl From<HandlerError> for Error {
    fn from(failed: HandlerError) -> Self {
        match failed.source.downcast::<Self>() {
            Ok(error) => error.with_outcome(failed.outcome),
            Err(source) => Self::new(ErrorKind::Handler, "the handler failed")
                .with_outcome(failed.outcome)
                .with_source(source),
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("outcome", &self.outcome)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

/// Says what a failure asks for, at the `?`.
pub trait ResultExt<T> {
    /// A failure here will never succeed.
    ///
    /// # Errors
    /// The error, asking for a dead letter.
    fn or_fatal(self) -> Result<T, HandlerError>;

    /// A failure here wants to come back after this long.
    ///
    /// # Errors
    /// The error, asking to be deferred.
    fn or_defer(self, after: Duration) -> Result<T, HandlerError>;
}

impl<T, E: Into<BoxError>> ResultExt<T> for Result<T, E> {
    fn or_fatal(self) -> Result<T, HandlerError> {
        self.map_err(HandlerError::fatal)
    }

    fn or_defer(self, after: Duration) -> Result<T, HandlerError> {
        self.map_err(|error| HandlerError::defer(after, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultCode;

    fn check(failed: HandlerError, outcome: Outcome, kind: ErrorKind, chain: &str) {
        assert_eq!(failed.outcome(), outcome, "{failed:?}");
        let error = Error::from(failed);
        assert_eq!(error.outcome(), outcome);
        assert_eq!(error.kind(), kind);
        assert_eq!(error.chain(), chain);
    }

    #[test]
    fn the_question_mark_takes_any_error_and_asks_for_another_attempt() {
        fn fails() -> Result<u8, HandlerError> {
            Ok("x".parse()?)
        }
        let failed = fails().unwrap_err();
        assert_eq!(failed.to_string(), "invalid digit found in string");
        let chain = "the handler failed: invalid digit found in string";
        check(failed, Outcome::Retry, ErrorKind::Handler, chain);
    }

    #[test]
    fn a_fault_asks_for_what_its_code_says() {
        for (code, outcome) in [
            (FaultCode::Unavailable, Outcome::Retry),
            (FaultCode::Aborted, Outcome::Retry),
            (FaultCode::InvalidArgument, Outcome::Fatal),
            (FaultCode::PermissionDenied, Outcome::Fatal),
        ] {
            let chain = format!("the handler failed: {code}: no");
            let fault = || Fault::new(code, "no");
            check(fault().into(), outcome, ErrorKind::Handler, &chain);
            let insists = HandlerError::retry(fault());
            check(insists, Outcome::Retry, ErrorKind::Handler, &chain);
        }
    }

    #[test]
    fn an_error_of_ours_is_not_wrapped_and_keeps_what_it_asks_for() {
        let misuse = || Error::new(ErrorKind::Misuse, "wrong");
        check(misuse().into(), Outcome::Fatal, ErrorKind::Misuse, "wrong");
        let requeue = misuse().with_outcome(Outcome::Requeue);
        check(requeue.into(), Outcome::Requeue, ErrorKind::Misuse, "wrong");
        let insists = HandlerError::retry(misuse());
        check(insists, Outcome::Retry, ErrorKind::Misuse, "wrong");
    }

    #[test]
    fn the_extension_says_what_a_failure_asks_for() {
        let later = Duration::from_secs(9);
        let fails = || Err::<(), _>("broken");
        assert_eq!(fails().or_fatal().unwrap_err().outcome(), Outcome::Fatal);
        let deferred = fails().or_defer(later).unwrap_err();
        assert_eq!(deferred.outcome(), Outcome::Defer(later));
        assert_eq!(Ok::<_, &str>(1).or_fatal().unwrap(), 1);
        let chain = "the handler failed: broken";
        check(deferred, Outcome::Defer(later), ErrorKind::Handler, chain);
    }
}
