//! Whether the process lives and whether it can do its work, with the reasons.

use std::{fmt, sync::Arc};

/// The health of a server at one moment.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether the process is worth keeping: false once every subscription has ended although nothing is draining.
    pub live: bool,
    /// Whether every subscription that is not paused has a live consumer and nothing is draining.
    pub ready: bool,
    /// Why it is not ready: one line per reason.
    pub reasons: Vec<String>,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionHealth>,
}

/// The health of one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionHealth {
    /// Whose it is.
    pub subscriber: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// What it is doing.
    pub state: SubscriptionState,
}

/// What a subscription is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionState {
    /// Not yet consuming for the first time.
    Connecting,
    /// Consuming.
    Consuming,
    /// Paused by its operator; its messages wait in the queue.
    Paused,
    /// Not consuming, because of this; it tries again by itself.
    Broken(String),
    /// Ended for good.
    Ended,
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Consuming => f.write_str("consuming"),
            Self::Paused => f.write_str("paused"),
            Self::Broken(reason) => write!(f, "broken: {reason}"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

impl Health {
    /// Judges a server by its subscriptions.
    pub(crate) fn of(subscriptions: Vec<SubscriptionHealth>, draining: bool) -> Self {
        let mut reasons: Vec<String> = subscriptions
            .iter()
            .filter_map(SubscriptionHealth::reason)
            .collect();
        if draining {
            reasons.insert(0, "the server is draining".to_owned());
        }
        let ended =
            |subscription: &SubscriptionHealth| subscription.state == SubscriptionState::Ended;
        let dead = !subscriptions.is_empty() && subscriptions.iter().all(ended);
        Self {
            live: draining || !dead,
            ready: reasons.is_empty(),
            reasons,
            subscriptions,
        }
    }
}

impl SubscriptionHealth {
    fn reason(&self) -> Option<String> {
        match self.state {
            SubscriptionState::Consuming | SubscriptionState::Paused => None,
            _ => Some(format!(
                "subscription `{}` on queue `{}` is {}",
                self.subscriber, self.queue, self.state
            )),
        }
    }
}
