//! How long messages wait in main queues and before a retry, by rules over queue names.
//!
//! Every TTL is part of a queue's definition: all services that declare the queue must agree on it, and a
//! queue that exists keeps what it has.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

use tidings_core::error::{Error, ErrorKind, Result};

use crate::glob;

/// How long a failed message waits unless said otherwise.
pub const DEFAULT_RETRY_TTL: Duration = Duration::from_millis(5_000);
/// How long a message waits for its consumer on the wire of existing systems before it becomes a dead letter.
pub const WIRE_MAIN_TTL: Duration = Duration::from_millis(5_000);

/// The TTLs of all queues: defaults, and rules that override both of them for the queues they match.
///
/// ```
/// use std::time::Duration;
/// use tidings_domain::{QueueConfig, QueueRule};
///
/// let config = QueueConfig::new()
///     .with_rule(QueueRule::new("*send_mail").with_retry_ttl(Duration::from_secs(60)));
/// assert_eq!(config.retry_ttl("o.s.1.event.a.send_mail"), Some(Duration::from_secs(60)));
/// assert_eq!(config.retry_ttl("o.s.1.event.a.other"), Some(Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    retry_ttl: Option<Duration>,
    main_ttl: Option<Duration>,
    rules: Vec<QueueRule>,
}

/// The TTLs of the queues whose main name matches a shell pattern. Without a TTL the queue gets none:
/// a rule supplies both values, it does not fall back to the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRule {
    pattern: String,
    retry_ttl: Option<Duration>,
    main_ttl: Option<Duration>,
}

impl QueueConfig {
    /// Retries after 5,000 ms; messages in main queues wait for ever.
    #[must_use]
    pub fn new() -> Self {
        Self {
            retry_ttl: Some(DEFAULT_RETRY_TTL),
            main_ttl: None,
            rules: Vec::new(),
        }
    }

    /// Sets how long failed messages wait. Zero or `None` means: until somebody moves them.
    #[must_use]
    pub fn with_retry_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.retry_ttl = given(ttl.into());
        self
    }

    /// Sets how long messages wait for a consumer before they become dead letters. Zero or `None` means for ever.
    #[must_use]
    pub fn with_main_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.main_ttl = given(ttl.into());
        self
    }

    /// Adds a rule. The first rule that matches wins.
    #[must_use]
    pub fn with_rule(mut self, rule: QueueRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules from their JSON form, in order. A TTL is a number of milliseconds, `0` or `"none"`;
    /// one that is missing is the default that is set at the time of this call.
    ///
    /// ```
    /// # use tidings_domain::QueueConfig;
    /// let rules = r#"{"mail": {"when_queue_contains": "*mail*", "use": {"retry_ttl": 60000}}}"#;
    /// let config = QueueConfig::new().with_rules_json(rules)?;
    /// assert_eq!(config.retry_ttl("o.s.1.event.a.send_mail").unwrap().as_secs(), 60);
    /// # Ok::<_, tidings_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] that names the rule and what is wrong with it.
    pub fn with_rules_json(mut self, json: &str) -> Result<Self> {
        let rules: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| bad_rules(&error))?;
        for (name, rule) in rules {
            let rule: RuleForm = serde_json::from_value(rule)
                .map_err(|error| bad_rules(&error).within(format_args!("rule `{name}`")))?;
            let rule = self
                .rule(rule)
                .map_err(|e| e.within(format_args!("rule `{name}`")))?;
            self.rules.push(rule);
        }
        Ok(self)
    }

    /// How long failed messages of this queue wait; `None` for no TTL argument.
    #[must_use]
    pub fn retry_ttl(&self, queue: &str) -> Option<Duration> {
        self.matching(queue)
            .map_or(self.retry_ttl, |rule| rule.retry_ttl)
    }

    /// How long messages wait in this queue; `None` for no TTL argument.
    #[must_use]
    pub fn main_ttl(&self, queue: &str) -> Option<Duration> {
        self.matching(queue)
            .map_or(self.main_ttl, |rule| rule.main_ttl)
    }

    fn matching(&self, queue: &str) -> Option<&QueueRule> {
        self.rules
            .iter()
            .find(|rule| glob::matches(&rule.pattern, queue))
    }

    fn rule(&self, form: RuleForm) -> Result<QueueRule> {
        Ok(QueueRule {
            pattern: form.when_queue_contains,
            retry_ttl: form.ttls.ttl("retry_ttl", self.retry_ttl)?,
            main_ttl: form.ttls.ttl("main_ttl", self.main_ttl)?,
        })
    }

    /// The TTLs that no broker accepts, for the builder's report.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let rules = self
            .rules
            .iter()
            .map(|r| (r.pattern.as_str(), r.retry_ttl, r.main_ttl));
        for (of, retry, main) in [("default", self.retry_ttl, self.main_ttl)]
            .into_iter()
            .chain(rules)
        {
            for (what, ttl) in [("retry", retry), ("main", main)] {
                if let Some(ttl) = ttl.filter(|ttl| !is_possible(*ttl)) {
                    problems.push(format!(
                        "{what} TTL {ttl:?} of `{of}`: use whole milliseconds, at most {} (49 days)",
                        u32::MAX
                    ));
                }
            }
        }
        problems
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl QueueRule {
    /// A rule for the queues whose main name matches this shell pattern as a whole; neither has a TTL yet.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            retry_ttl: None,
            main_ttl: None,
        }
    }

    /// Sets how long failed messages wait. Zero or `None` means: until somebody moves them.
    #[must_use]
    pub fn with_retry_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.retry_ttl = given(ttl.into());
        self
    }

    /// Sets how long messages wait for a consumer. Zero or `None` means for ever.
    #[must_use]
    pub fn with_main_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.main_ttl = given(ttl.into());
        self
    }
}

/// A rule as existing configurations write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    when_queue_contains: String,
    #[serde(rename = "use", default)]
    ttls: Ttls,
}

#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Ttls(BTreeMap<String, Value>);

impl Ttls {
    fn ttl(&self, name: &str, default: Option<Duration>) -> Result<Option<Duration>> {
        if let Some(unknown) = self
            .0
            .keys()
            .find(|k| *k != "retry_ttl" && *k != "main_ttl")
        {
            return Err(bad_rules(&format_args!(
                "`use` has no member `{unknown}`: it has `retry_ttl` and `main_ttl`"
            )));
        }
        let Some(value) = self.0.get(name) else {
            return Ok(default);
        };
        match value {
            Value::Null => Ok(None),
            Value::String(text) if text.eq_ignore_ascii_case("none") => Ok(None),
            Value::Number(number) if number.is_u64() => {
                Ok(given(number.as_u64().map(Duration::from_millis)))
            }
            other => Err(bad_rules(&format_args!(
                "`{name}` is {other}: use a number of milliseconds, 0 or \"none\""
            ))),
        }
    }
}

fn given(ttl: Option<Duration>) -> Option<Duration> {
    ttl.filter(|ttl| !ttl.is_zero())
}

fn is_possible(ttl: Duration) -> bool {
    ttl.subsec_nanos().is_multiple_of(1_000_000) && ttl.as_millis() <= u128::from(u32::MAX)
}

fn bad_rules(error: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!("cannot read the queue rules: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(json: &str, expected: &str) {
        let error = QueueConfig::new().with_rules_json(json).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn names_what_is_wrong_with_a_rule() {
        check_refused("[]", "cannot read the queue rules");
        check_refused(r#"{"a": {"use": {}}}"#, "rule `a`");
        check_refused(
            r#"{"a": {"when_queue_contains": "*", "use": {"ttl": 1}}}"#,
            "no member `ttl`",
        );
        check_refused(
            r#"{"a": {"when_queue_contains": "*", "use": {"main_ttl": -1}}}"#,
            "`main_ttl` is -1",
        );
    }

    #[test]
    fn reads_zero_and_none_as_no_ttl() {
        let json =
            r#"{"a": {"when_queue_contains": "*", "use": {"retry_ttl": 0, "main_ttl": "none"}}}"#;
        let config = QueueConfig::new()
            .with_main_ttl(WIRE_MAIN_TTL)
            .with_rules_json(json)
            .unwrap();
        assert_eq!(config.retry_ttl("q"), None);
        assert_eq!(config.main_ttl("q"), None);
    }
}
