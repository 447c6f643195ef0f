//! What tells a broker from a topology: what a declaration would create, and what it would be refused for.

use std::{fmt, sync::Arc};

use super::Binding;

/// One thing that is not as a topology wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// It does not exist: a declaration would create it.
    Missing(Thing),
    /// It exists with another setting: a declaration would be refused. One per setting.
    Differs {
        /// What.
        thing: Thing,
        /// The setting in words, for example `message TTL`.
        setting: String,
        /// What it is, for example `5000 ms`; `none` if it is not set.
        has: String,
        /// What is wanted.
        wants: String,
    },
    /// The transport cannot see it, for this reason.
    Unknown {
        /// What.
        thing: Thing,
        /// Why, and what would make it visible.
        why: String,
    },
}

/// Something that a topology declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Thing {
    /// An exchange, by name.
    Exchange(Arc<str>),
    /// A queue, by name.
    Queue(Arc<str>),
    /// A binding.
    Binding {
        /// From here.
        exchange: Arc<str>,
        /// To here.
        queue: Arc<str>,
        /// For keys that match this.
        pattern: Arc<str>,
    },
}

impl Difference {
    /// What it is about.
    #[must_use]
    pub fn thing(&self) -> &Thing {
        match self {
            Self::Missing(thing) | Self::Differs { thing, .. } | Self::Unknown { thing, .. } => {
                thing
            }
        }
    }

    /// Whether a declaration would be refused because of it.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Differs { .. })
    }
}

impl Thing {
    /// `exchange`, `queue` or `binding`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Queue(_) => "queue",
            Self::Binding { .. } => "binding",
        }
    }
}

impl From<&Binding> for Thing {
    fn from(binding: &Binding) -> Self {
        Self::Binding {
            exchange: Arc::clone(&binding.exchange),
            queue: Arc::clone(&binding.queue),
            pattern: Arc::clone(&binding.pattern),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange `{name}`"),
            Self::Queue(name) => write!(f, "queue `{name}`"),
            Self::Binding {
                exchange,
                queue,
                pattern,
            } => write!(f, "binding `{exchange}` to `{queue}` for `{pattern}`"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(thing) => write!(f, "{thing} does not exist"),
            Self::Differs {
                thing,
                setting,
                has,
                wants,
            } => write!(
                f,
                "{thing} exists with {setting} {has}, this declaration wants {wants}"
            ),
            Self::Unknown { thing, why } => write!(f, "{thing} cannot be seen: {why}"),
        }
    }
}
