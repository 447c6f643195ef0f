//! What part a queue plays, read from its name: a main queue, the store, or the dead letters of one of them.
//!
//! Attaching and recovering both start here, so that what is declared and what is addressed cannot differ.

use std::{borrow::Cow, time::Duration};

use tidings_core::Address;

use crate::{QueueConfig, names, names::Names};

/// How long a failed dead letter waits if retries of its queue have no TTL.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(5);

/// A queue and its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The name of the main queue.
    pub(crate) base: &'a str,
    /// Whether it is the queue of dead letters.
    pub(crate) dead: bool,
}

/// Where a failed message waits, and how long.
#[derive(Debug)]
pub(crate) struct Detour {
    pub(crate) address: Address,
    /// `None` if nothing ends the wait but a per-message expiration.
    pub(crate) ttl: Option<Duration>,
}

impl<'a> Place<'a> {
    /// The part of the queue with this name.
    pub(crate) fn of(queue: &'a str) -> Self {
        Self {
            base: names::base(queue),
            dead: queue.starts_with(names::DEAD_LETTER_PREFIX),
        }
    }

    pub(crate) fn is_store(self) -> bool {
        self.base == names::STORE
    }

    /// The names of the service whose queue it is, if the name says so; else `ours`.
    pub(crate) fn names(self, ours: &Names) -> Cow<'_, Names> {
        let words: Vec<&str> = self.base.split('.').collect();
        match words.as_slice() {
            [organization, service, _, "event" | "command", _, _]
                if !is_service(&ours.exchange, organization, service) =>
            {
                Cow::Owned(Names::new(organization, service))
            }
            _ => Cow::Borrowed(ours),
        }
    }

    /// How long failed messages wait, as configured.
    pub(crate) fn retry_ttl(self, config: &QueueConfig) -> Option<Duration> {
        // Existing systems ask for the store's two values under two names.
        config.retry_ttl(if self.is_store() {
            names::RETRY_STORE
        } else {
            self.base
        })
    }

    /// How long a dead letter waits after its handler failed.
    pub(crate) fn dead_letter_pause(self, config: &QueueConfig) -> Duration {
        self.retry_ttl(config).unwrap_or(DEAD_LETTER_PAUSE)
    }

    /// The queue in which dead letters wait after their handler failed.
    pub(crate) fn pause_queue(self) -> String {
        format!(
            "{}{}{}",
            names::RETRY_PREFIX,
            names::DEAD_LETTER_PREFIX,
            self.base
        )
    }

    /// The queue in which messages wait for this step of a retry policy.
    pub(crate) fn step_queue(self, step: Duration) -> String {
        format!("{}{}.{}", names::RETRY_PREFIX, self.base, step.as_millis())
    }

    /// Where a failed message waits if its policy has no steps.
    pub(crate) fn detour(self, ours: &Names, config: &QueueConfig) -> Detour {
        let names = self.names(ours);
        if self.dead {
            return Detour {
                address: Address::queue(self.pause_queue()),
                ttl: Some(self.dead_letter_pause(config)),
            };
        }
        let exchange = if self.is_store() {
            &names.store_retry_exchange
        } else {
            &names.retry_exchange
        };
        Detour {
            address: Address::new(exchange.clone(), names::retry(self.base)),
            ttl: self.retry_ttl(config),
        }
    }

    /// Where a failed message waits for this step.
    pub(crate) fn step_detour(self, step: Duration) -> Detour {
        let step = whole(step);
        Detour {
            address: Address::queue(self.step_queue(step)),
            ttl: Some(step),
        }
    }

    /// Where its dead letters go. `key` is the routing key with which the message arrived.
    ///
    /// In the store a message keeps its own key, because that is what existing tools expect to see there;
    /// a key that the store's bindings would not match becomes the store's.
    pub(crate) fn dead_letters(self, ours: &Names, key: &str) -> Address {
        let base = if self.is_store() && is_stored(key) {
            key
        } else {
            self.base
        };
        Address::new(
            self.names(ours).dead_letter_exchange.clone(),
            names::dead_letter(base),
        )
    }
}

fn is_service(exchange: &str, organization: &str, service: &str) -> bool {
    exchange.split_once('.') == Some((organization, service))
}

/// A step as a queue can have it: whole milliseconds, at least one.
pub(crate) fn whole(step: Duration) -> Duration {
    let millis = u64::try_from(step.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    Duration::from_millis(millis.max(1))
}

/// Whether the store's bindings for dead letters match `dead_letter.` and this key.
fn is_stored(key: &str) -> bool {
    let mut words = key.split('.');
    let kind = words.nth(3);
    matches!(kind, Some("event" | "command"))
        && words.count() == 1
        && key.len() + names::DEAD_LETTER_PREFIX.len() <= names::LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_steps_up_to_whole_milliseconds() {
        assert_eq!(whole(Duration::ZERO), Duration::from_millis(1));
        assert_eq!(
            whole(Duration::from_micros(1_001)),
            Duration::from_millis(2)
        );
        assert_eq!(whole(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn knows_which_keys_the_store_is_bound_to() {
        assert!(is_stored("o.s.1.event.user_created"));
        assert!(is_stored("o.s.1.command.x"));
        assert!(!is_stored("store"));
        assert!(!is_stored("o.s.1.event.user_created.subscriber"));
        assert!(!is_stored("retry.o.s.1.event.x"));
        assert!(!is_stored(&format!("o.s.1.event.{}", "x".repeat(240))));
    }
}
