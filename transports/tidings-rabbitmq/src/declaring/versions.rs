//! What depends on the broker's version. It is asked only if a topology needs it, and once per connection.

use std::sync::{Arc, Mutex, PoisonError};

use tidings_core::{Error, ErrorKind, Result, topology::arguments};

use super::form::{Form, int};
use crate::{
    config::RabbitMqConfig,
    connection::server::{self, Version},
    management::Management,
};

/// Quorum queues drop a message after 20 deliveries unless they are told otherwise.
const DELIVERY_LIMITS: Version = Version { major: 4, minor: 0 };
/// Quorum queues can hold a returned message back.
const DELAYED_RETRY: Version = Version { major: 4, minor: 3 };

/// Adapts declarations to the broker.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    config: Arc<RabbitMqConfig>,
    /// The version, and the generation of the connection on which it was asked for.
    known: Arc<Mutex<Option<(u64, Version)>>>,
}

impl Versions {
    pub(super) fn new(config: Arc<RabbitMqConfig>) -> Self {
        Self {
            config,
            known: Arc::default(),
        }
    }

    /// Adds to quorum queues what keeps messages from being dropped, and refuses what the broker would ignore.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) that names the queue, the argument, and both versions.
    pub(super) async fn adapt(&self, forms: &mut [Form], generation: u64) -> Result<()> {
        if !forms
            .iter()
            .any(|form| wants_limit(form) || delayed_retry(form).is_some())
        {
            return Ok(());
        }
        let version = self.version(generation).await?;
        forms.iter_mut().try_for_each(|form| adapt(form, version))
    }

    async fn version(&self, generation: u64) -> Result<Version> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, version)) = known.filter(|(asked, _)| *asked == generation) {
            return Ok(version);
        }
        let version = self.ask().await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((generation, version));
        Ok(version)
    }

    async fn ask(&self) -> Result<Version> {
        if let Some(url) = &self.config.management {
            match Management::new(url.clone(), &self.config).version().await {
                Ok(version) => return Ok(version),
                // The broker itself says it as well.
                Err(failed) => {
                    tracing::debug!(error = %failed.chain(), "the HTTP API does not tell the version");
                }
            }
        }
        server::version(&self.config).await
    }
}

fn adapt(form: &mut Form, version: Version) -> Result<()> {
    if let Some(argument) = delayed_retry(form)
        && version < DELAYED_RETRY
    {
        let context = format!(
            "{} wants delayed retry (`{argument}`), which RabbitMQ has from {DELAYED_RETRY} on, and this broker is {version}: \
             leave the argument out, or update the broker",
            form.thing
        );
        return Err(Error::new(ErrorKind::Unsupported, context));
    }
    if wants_limit(form) && version >= DELIVERY_LIMITS {
        // Without end, as before 4.0: a message without another place to go must not be dropped.
        form.set(arguments::DELIVERY_LIMIT, int(-1));
        form.implied = Some(arguments::DELIVERY_LIMIT);
    }
    Ok(())
}

/// Whether messages of it would be dropped after some deliveries although nobody asked for that.
fn wants_limit(form: &Form) -> bool {
    form.is_quorum()
        && form.get(arguments::DELIVERY_LIMIT).is_none()
        && form.get(arguments::DEAD_LETTER_EXCHANGE).is_none()
}

fn delayed_retry(form: &Form) -> Option<&'static str> {
    let all = [
        arguments::DELAYED_RETRY_TYPE,
        arguments::DELAYED_RETRY_MIN,
        arguments::DELAYED_RETRY_MAX,
    ];
    all.into_iter().find(|name| form.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use lapin::types::AMQPValue;
    use tidings_core::topology::Queue;

    use super::*;
    use crate::config::QueueType;

    fn form(queue: &Queue) -> Form {
        Form::of_queue(queue, QueueType::Classic).unwrap()
    }

    fn check_limit(queue: &Queue, major: u16, expected: Option<i32>) {
        let mut form = form(queue);
        adapt(&mut form, Version { major, minor: 0 }).unwrap();
        assert_eq!(
            form.get(arguments::DELIVERY_LIMIT),
            expected.map(AMQPValue::LongInt),
            "{queue:?} on {major}"
        );
    }

    #[test]
    fn quorum_queues_keep_what_has_nowhere_else_to_go() {
        let quorum = || Queue::new("q").with_argument(arguments::QUEUE_TYPE, "quorum");
        check_limit(&quorum(), 3, None);
        check_limit(&quorum(), 4, Some(-1));
        check_limit(
            &quorum().with_argument(arguments::DELIVERY_LIMIT, 5),
            4,
            Some(5),
        );
        check_limit(&quorum().with_dead_letter("dead", "q"), 4, None);
        check_limit(&Queue::new("q"), 4, None);
    }

    #[test]
    fn what_the_broker_would_ignore_is_refused_with_both_versions() {
        let queue = Queue::new("q")
            .with_argument(arguments::QUEUE_TYPE, "quorum")
            .with_argument(arguments::DELAYED_RETRY_TYPE, "failed");
        let error = adapt(&mut form(&queue), Version { major: 4, minor: 2 }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        for word in ["queue `q`", "x-delayed-retry-type", "4.3", "4.2"] {
            assert!(text.contains(word), "{text}");
        }
        adapt(&mut form(&queue), Version { major: 4, minor: 3 }).unwrap();
    }
}
