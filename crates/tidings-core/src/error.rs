//! A failure inside one process. It never crosses the wire; a [`Fault`](crate::Fault) does.

use std::{error::Error as StdError, fmt};

use crate::{acker::Settlement, fault::FaultCode, outcome::Outcome};

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error that can be sent between threads.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What failed, in which class, and because of what.
///
/// `Display` names the thing, the cause that Tidings knows and the next step, and never prints the source:
/// log the chain once, where it is handled (see [`Error::chain`]). `Debug` is the chain and the class in one line,
/// so a `main` that returns an error says what to do.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    context: String,
    source: Option<BoxError>,
    settlement: Option<Settlement>,
}

/// The class of an error. Programs decide by it, never by the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not what the contract or the convention expects.
    Decode,
    /// The message breaks its own rules.
    Invalid,
    /// The handler returned an error.
    Handler,
    /// The handler panicked.
    Panic,
    /// It was not done in time.
    Timeout,
    /// Nobody in this process handles such a message.
    NoRoute,
    /// No queue would receive the message.
    Unroutable,
    /// The broker did not take responsibility for the message.
    Unconfirmed,
    /// The broker, the connection or the file is not usable at the moment.
    Unavailable,
    /// Disk, memory or a bound is exhausted.
    Full,
    /// It has been shut down.
    Closed,
    /// A setting or a call makes no sense; it will not on a second try either.
    Misuse,
    /// The transport cannot do what is asked.
    Unsupported,
    /// Something exists with other arguments.
    Conflict,
    /// What is named does not exist.
    NotFound,
    /// A file or a frame is damaged or not ours.
    Corrupt,
    /// Access was refused.
    Denied,
    /// Who we are was refused: the user, the password or the certificate is wrong.
    Unauthenticated,
}

impl ErrorKind {
    /// The code under which a caller on the other shore learns of it.
    #[must_use]
    pub fn fault_code(self) -> FaultCode {
        match self {
            Self::Decode | Self::Invalid => FaultCode::InvalidArgument,
            Self::Handler | Self::Panic | Self::Misuse => FaultCode::Internal,
            Self::Timeout => FaultCode::DeadlineExceeded,
            Self::NoRoute | Self::Unsupported => FaultCode::Unimplemented,
            Self::Unroutable | Self::NotFound => FaultCode::NotFound,
            Self::Unconfirmed | Self::Unavailable | Self::Closed => FaultCode::Unavailable,
            Self::Full => FaultCode::ResourceExhausted,
            Self::Conflict => FaultCode::FailedPrecondition,
            Self::Corrupt => FaultCode::DataLoss,
            Self::Denied => FaultCode::PermissionDenied,
            Self::Unauthenticated => FaultCode::Unauthenticated,
        }
    }

    /// What a failure of this kind asks for unless the error says otherwise.
    #[must_use]
    pub fn default_outcome(self) -> Outcome {
        match self {
            Self::Decode | Self::Invalid | Self::NoRoute | Self::Misuse | Self::Unsupported => {
                Outcome::Fatal
            }
            _ => Outcome::Retry,
        }
    }

    /// A short lower-case name, used in logs, metrics and dead letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "undecodable",
            Self::Invalid => "invalid",
            Self::Handler => "handler",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::NoRoute => "no_route",
            Self::Unroutable => "unroutable",
            Self::Unconfirmed => "unconfirmed",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Misuse => "misuse",
            Self::Unsupported => "unsupported",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Corrupt => "corrupt",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

impl Error {
    /// An error of this kind; `context` names the thing, the cause and the next step.
    #[must_use]
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            outcome: kind.default_outcome(),
            context: context.into(),
            source: None,
            settlement: None,
        };
        Self(Box::new(inner))
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides what it asks for.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Says how the delivery that failed is to be settled. Set by the layer that carried out the convention's plan.
    #[must_use]
    pub fn with_settlement(mut self, settlement: Settlement) -> Self {
        self.0.settlement = Some(settlement);
        self
    }

    /// Puts the place where it happened before what happened.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.0.context = format!("{place}: {}", self.0.context);
        self
    }

    /// The class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What it asks for.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// How the delivery that failed is to be settled; `None` if nobody has decided it yet.
    #[must_use]
    pub fn settlement(&self) -> Option<&Settlement> {
        self.0.settlement.as_ref()
    }

    /// Whether another attempt may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.outcome == Outcome::Retry
    }

    /// The source, for deciding by its type.
    #[must_use]
    pub fn source_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// The error and all its sources in one line, for logs and dead letters.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // A text that ends with what caused it has said it already.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)
    }
}

/// The whole chain and the class in one line, because that is what `main` and `expect` show to people.
/// `{:#?}` shows every field.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{} ({})", self.chain(), self.kind().as_str());
        }
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .field("settlement", &self.0.settlement)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::Fault;

    fn layered() -> Error {
        let disk = io::Error::new(io::ErrorKind::StorageFull, "no space left");
        let inner = Error::new(ErrorKind::Full, "cannot write page 7").with_source(disk);
        Error::new(ErrorKind::Unconfirmed, "cannot publish to `store`").with_source(inner)
    }

    #[test]
    fn display_shows_its_own_words_and_the_chain_shows_all() {
        let error = layered();
        assert_eq!(error.to_string(), "cannot publish to `store`");
        assert_eq!(
            error.chain(),
            "cannot publish to `store`: cannot write page 7: no space left"
        );
        assert_eq!(Error::new(ErrorKind::Full, "full").chain(), "full");
    }

    #[test]
    fn what_main_shows_is_a_line_for_people() {
        assert_eq!(
            format!("{:?}", layered()),
            "cannot publish to `store`: cannot write page 7: no space left (unconfirmed)"
        );
        let fields = format!("{:#?}", layered());
        assert!(fields.contains("outcome: Retry"), "{fields}");
    }

    #[test]
    fn finds_a_source_of_a_type_at_any_depth() {
        let error = layered();
        let disk = error.source_ref::<io::Error>().unwrap();
        assert_eq!(disk.kind(), io::ErrorKind::StorageFull);
        let inner = error.source_ref::<Error>().unwrap();
        assert_eq!(
            inner.kind(),
            ErrorKind::Full,
            "the error itself is no source"
        );
        assert!(error.source_ref::<Fault>().is_none());
        assert!(inner.source_ref::<Error>().is_none());
    }

    #[test]
    fn what_an_error_has_said_of_its_source_is_said_once() {
        let full = || Error::new(ErrorKind::Full, "the disk is full");
        let says = |context: &str| Error::new(ErrorKind::Full, context).with_source(full());
        let said = says("cannot write: the disk is full");
        assert_eq!(said.chain(), "cannot write: the disk is full");
        let unsaid = says("the disk is full of files");
        assert_eq!(
            unsaid.chain(),
            "the disk is full of files: the disk is full"
        );
    }

    #[test]
    fn within_puts_the_place_first_and_changes_nothing_else() {
        let error = layered()
            .with_outcome(Outcome::Requeue)
            .with_settlement(Settlement::Reject)
            .within("queue `a`")
            .within("service");
        assert_eq!(
            error.to_string(),
            "service: queue `a`: cannot publish to `store`"
        );
        assert_eq!(error.kind(), ErrorKind::Unconfirmed);
        assert_eq!(error.outcome(), Outcome::Requeue);
        assert_eq!(error.settlement(), Some(&Settlement::Reject));
        assert!(error.source_ref::<io::Error>().is_some());
    }

    #[test]
    fn what_cannot_change_by_itself_is_not_tried_again() {
        for kind in [
            ErrorKind::Decode,
            ErrorKind::Invalid,
            ErrorKind::NoRoute,
            ErrorKind::Misuse,
        ] {
            assert_eq!(kind.default_outcome(), Outcome::Fatal);
            assert!(!Error::new(kind, "").is_retryable(), "{kind:?}");
        }
        for kind in [
            ErrorKind::Handler,
            ErrorKind::Panic,
            ErrorKind::Timeout,
            ErrorKind::Full,
        ] {
            assert!(Error::new(kind, "").is_retryable(), "{kind:?}");
            let deferred = Error::new(kind, "").with_outcome(Outcome::Fatal);
            assert!(!deferred.is_retryable(), "{kind:?}");
        }
    }

    #[test]
    fn stays_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
