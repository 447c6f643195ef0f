//! Whether the process lives and whether it can do its work, with the reasons.

use std::{fmt, sync::Arc};

use tidings_core::transport::Impairment;

/// The health of a server at one moment.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether the process is worth keeping: false once every subscription has ended although nothing is draining.
    pub live: bool,
    /// Whether every subscription that is not paused has a live consumer, the transport has nothing to mend, the server
    /// falls short of nothing, and nothing is draining.
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
    /// It lives and does nothing yet, for this reason.
    #[must_use]
    pub fn starting(reason: impl Into<String>) -> Self {
        Self {
            live: true,
            ready: false,
            reasons: vec![reason.into()],
            subscriptions: Vec::new(),
        }
    }

    /// It does nothing any more.
    #[must_use]
    pub fn ended() -> Self {
        Self {
            live: false,
            ..Self::starting("the service has ended")
        }
    }

    /// Judges a server by its subscriptions and by what its transport says of itself.
    pub(crate) fn of(
        mut subscriptions: Vec<SubscriptionHealth>,
        impairments: Vec<Impairment>,
        shortcomings: &[String],
        draining: bool,
    ) -> Self {
        let of_transport = note(impairments, &mut subscriptions);
        let mut reasons: Vec<String> = subscriptions
            .iter()
            .filter_map(SubscriptionHealth::reason)
            .collect();
        reasons.extend(of_transport);
        reasons.extend_from_slice(shortcomings);
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

/// Marks the subscriptions that do not receive, and returns what concerns no subscription.
fn note(impairments: Vec<Impairment>, subscriptions: &mut [SubscriptionHealth]) -> Vec<String> {
    let mut others = Vec::new();
    for impairment in impairments {
        let concerned = subscriptions
            .iter_mut()
            .filter(|subscription| impairment.queue.as_ref() == Some(&subscription.queue));
        let mut known = false;
        for subscription in concerned {
            known = true;
            // Paused or broken by itself says more.
            if subscription.state == SubscriptionState::Consuming {
                subscription.state = SubscriptionState::Broken(impairment.reason.clone());
            }
        }
        if !known {
            others.push(impairment.to_string());
        }
    }
    others
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

#[cfg(test)]
mod tests {
    use super::*;

    fn health(state: SubscriptionState, impairments: Vec<Impairment>) -> Health {
        let subscription = SubscriptionHealth {
            subscriber: "mail".into(),
            queue: "q".into(),
            state,
        };
        Health::of(vec![subscription], impairments, &[], false)
    }

    #[test]
    fn a_subscription_without_a_consumer_is_not_ready() {
        let lost = vec![Impairment::of_queue(
            "q",
            "its consumer is being made again",
        )];
        let health = health(SubscriptionState::Consuming, lost);
        assert!(health.live && !health.ready);
        assert_eq!(
            health.reasons,
            ["subscription `mail` on queue `q` is broken: its consumer is being made again"]
        );
    }

    #[test]
    fn what_concerns_the_transport_is_a_reason_of_its_own() {
        let blocked = vec![
            Impairment::of_transport("blocked: low on memory"),
            Impairment::of_queue("spool", "no consumer"),
        ];
        let health = health(SubscriptionState::Consuming, blocked);
        assert!(!health.ready);
        assert_eq!(
            health.reasons,
            ["blocked: low on memory", "queue `spool`: no consumer"]
        );
    }

    #[test]
    fn a_paused_subscription_needs_no_consumer() {
        let lost = vec![Impairment::of_queue("q", "no consumer")];
        assert!(health(SubscriptionState::Paused, lost).ready);
        assert!(health(SubscriptionState::Consuming, Vec::new()).ready);
    }
}
