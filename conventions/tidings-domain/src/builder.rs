//! Settings of a [`Domain`](crate::Domain), checked together.

use tidings_core::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    retry_policy::RetryPolicy,
};

use crate::{
    Domain, QueueConfig, QueueRule,
    domain::Settings,
    host,
    names::{self, Names},
    queue_config::WIRE_MAIN_TTL,
};

/// Builds a [`Domain`](crate::Domain). Every setting has the wire's default but one: messages in main queues wait
/// for their consumer for ever (see [`joining_existing`](Self::joining_existing)).
#[derive(Clone, Debug)]
#[must_use]
pub struct DomainBuilder {
    organization: String,
    service: String,
    retry: RetryPolicy,
    queues: QueueConfig,
    store: bool,
    clock: Clock,
    host: Option<String>,
}

impl DomainBuilder {
    pub(crate) fn new(organization: &str, service: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            service: service.to_owned(),
            retry: RetryPolicy::default(),
            queues: QueueConfig::new(),
            store: true,
            clock: Clock::SYSTEM,
            host: None,
        }
    }

    /// How many further attempts a message has after the first, unless a subscriber says otherwise. Default 5.
    pub fn max_retries(self, max_retries: u32) -> Self {
        self.retry_policy(RetryPolicy::new(max_retries))
    }

    /// How failures are treated unless a subscriber says otherwise.
    pub fn retry_policy(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How long failed messages wait before another attempt. Default 5,000 ms. Zero or `None` means: until somebody moves them.
    pub fn retry_ttl(mut self, ttl: impl Into<Option<std::time::Duration>>) -> Self {
        self.queues = self.queues.with_retry_ttl(ttl);
        self
    }

    /// How long messages wait for a consumer before they become dead letters. Zero or `None`, the default, means for ever.
    pub fn main_ttl(mut self, ttl: impl Into<Option<std::time::Duration>>) -> Self {
        self.queues = self.queues.with_main_ttl(ttl);
        self
    }

    /// Declares main queues as existing systems do by default, with a TTL of 5,000 ms.
    ///
    /// Needed when the queues are shared with such a system: a queue cannot have two definitions. The price is
    /// that a message which nobody takes for five seconds becomes a dead letter.
    pub fn joining_existing(self) -> Self {
        self.main_ttl(WIRE_MAIN_TTL)
    }

    /// Adds a rule for the TTLs of some queues. The first rule that matches wins.
    pub fn queue_rule(mut self, rule: QueueRule) -> Self {
        self.queues = self.queues.with_rule(rule);
        self
    }

    /// Replaces all TTLs and rules.
    pub fn queue_config(mut self, queues: QueueConfig) -> Self {
        self.queues = queues;
        self
    }

    /// Keeps no copy of every message. Subscribing to all messages is then an error.
    pub fn without_store(mut self) -> Self {
        self.store = false;
        self
    }

    /// Takes the time of messages that do not say theirs from this clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The name of this machine in dead letters. By default it is asked for.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] that lists every problem.
    pub fn build(self) -> Result<Domain> {
        let problems = self.problems();
        if !problems.is_empty() {
            let context = format!("cannot build the domain: {}", problems.join("; "));
            return Err(Error::new(ErrorKind::Misuse, context));
        }
        Ok(Domain::from_settings(Settings {
            names: Names::new(&self.organization, &self.service),
            retry: self.retry,
            queues: self.queues,
            store: self.store,
            clock: self.clock,
            host: self.host.unwrap_or_else(host::name),
        }))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(names::check_word("organization", &self.organization).err());
        problems.extend(names::check_word("service", &self.service).err());
        if matches!(self.organization.as_str(), "retry" | "dead_letter") {
            problems.push(format!(
                "organization `{}` is what names of retry and dead-letter queues begin with: choose another name",
                self.organization
            ));
        }
        if self.service == names::STORE {
            problems.push(
                "service `store` would have the same exchanges as the organization's store: choose another name".to_owned(),
            );
        }
        let longest = names::DEAD_LETTER_PREFIX.len()
            + self.organization.len()
            + 1
            + self.service.len().max(names::STORE.len());
        if longest > names::LONGEST {
            problems.push(format!(
                "organization and service make exchange names of {longest} bytes: shorten them, brokers accept at most {}",
                names::LONGEST
            ));
        }
        problems.extend(self.queues.problems());
        problems
    }
}
