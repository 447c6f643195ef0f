//! How much chaos, and for whom not; read from the variables that the domain wire's other services read.

use std::{env::VarError, ffi::OsString, time::Duration};

use tidings_core::{Error, ErrorKind, error::Result};

const NACK: &str = "MESSAGE_CHAOS_PERCENTAGE_SIMULATE_NACK";
const DELAY: &str = "MESSAGE_CHAOS_DELAY_BEFORE_EVENT_HANDLER_SECONDS";
const FAILURE: &str = "MESSAGE_CHAOS_PERCENTAGE_SIMULATE_FAILURES";
const PROTECTED: &str = "MESSAGE_CHAOS_PROTECTED_ROUTING_KEYS";

/// The settings of [`ChaosLayer`](super::ChaosLayer). The default is off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChaosConfig {
    /// The probability, 0 to 1, with which a message is given back untouched.
    pub nack: f64,
    /// The probability, 0 to 1, with which a handling fails without calling the handler.
    pub failure: f64,
    /// How long every handling is delayed.
    pub delay: Duration,
    /// Delivered routing keys whose messages are neither given back nor failed, for example `store`.
    pub protected: Vec<String>,
    /// Makes the draws foreseeable, for tests.
    pub seed: Option<u64>,
}

impl ChaosConfig {
    /// Reads `MESSAGE_CHAOS_PERCENTAGE_SIMULATE_NACK` and `MESSAGE_CHAOS_PERCENTAGE_SIMULATE_FAILURES` (0 to 1),
    /// `MESSAGE_CHAOS_DELAY_BEFORE_EVENT_HANDLER_SECONDS` and `MESSAGE_CHAOS_PROTECTED_ROUTING_KEYS` (separated by
    /// commas, blanks belong to the key). What is not set is off.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] naming the variable, its value and what is allowed.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(variable)
    }

    /// As [`from_env`](Self::from_env), but reads the variables from somewhere else.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(
        variable: impl Fn(&str) -> std::result::Result<String, VarError>,
    ) -> Result<Self> {
        let keys = |text: String| text.split(',').map(str::to_owned).collect();
        Ok(Self {
            nack: probability(NACK, &variable)?,
            failure: probability(FAILURE, &variable)?,
            delay: parsed(DELAY, "0 or more seconds", &variable, seconds)?.unwrap_or_default(),
            protected: read(PROTECTED, &variable)?.map(keys).unwrap_or_default(),
            seed: None,
        })
    }

    /// Whether nothing will ever happen.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.nack <= 0.0 && self.failure <= 0.0 && self.delay.is_zero()
    }

    /// Whether messages with this delivered routing key are neither given back nor failed.
    pub(super) fn protects(&self, key: &str) -> bool {
        self.protected.iter().any(|protected| protected == key)
    }

    pub(super) fn check(&self) -> Result<()> {
        check_probability("chaos `nack`", self.nack)?;
        check_probability("chaos `failure`", self.failure)
    }

    pub(super) fn describe(&self) -> String {
        if self.is_off() {
            return "chaos: off".to_owned();
        }
        let (nack, failure, delay) = (self.nack, self.failure, self.delay);
        let keys = self.protected.len();
        format!("chaos: nack {nack}, failure {failure}, delay {delay:?}, {keys} protected keys")
    }
}

const PROBABILITY: &str = "a number from 0 to 1";

pub(super) fn check_probability(name: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(refused(name, &value.to_string(), PROBABILITY))
}

/// The probability in a variable, 0 if it is not set.
pub(super) fn probability(
    name: &str,
    variable: impl Fn(&str) -> std::result::Result<String, VarError>,
) -> Result<f64> {
    let parse = |text: &str| {
        let value = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&value).then_some(value)
    };
    Ok(parsed(name, PROBABILITY, variable, parse)?.unwrap_or(0.0))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

fn parsed<T>(
    name: &str,
    allowed: &str,
    variable: impl Fn(&str) -> std::result::Result<String, VarError>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(text) = read(name, variable)? else {
        return Ok(None);
    };
    match parse(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(refused(name, &text, allowed)),
    }
}

fn read(
    name: &str,
    variable: impl Fn(&str) -> std::result::Result<String, VarError>,
) -> Result<Option<String>> {
    match variable(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(raw)) => Err(refused(name, &lossy(&raw), "text in UTF-8")),
    }
}

fn lossy(raw: &OsString) -> String {
    raw.to_string_lossy().into_owned()
}

fn refused(name: &str, value: &str, allowed: &str) -> Error {
    let context = format!("{name} is `{value}`: it must be {allowed}, or not be set");
    Error::new(ErrorKind::Misuse, context)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the names of these variables are part of the domain wire, so they are read where they mean something"
)]
pub(super) fn variable(name: &str) -> std::result::Result<String, VarError> {
    std::env::var(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<ChaosConfig> {
        ChaosConfig::from_vars(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn nothing_set_is_off() {
        let config = with(&[]).unwrap();
        assert_eq!(config, ChaosConfig::default());
        assert!(config.is_off());
        assert_eq!(config.describe(), "chaos: off");
    }

    #[test]
    fn reads_all_four_variables() {
        let config = with(&[
            (NACK, "0.1"),
            (FAILURE, "1"),
            (DELAY, "2.5"),
            (PROTECTED, "store, dead_letter.store,"),
        ]);
        let expected = ChaosConfig {
            nack: 0.1,
            failure: 1.0,
            delay: Duration::from_millis(2500),
            protected: ["store", " dead_letter.store", ""]
                .map(str::to_owned)
                .into(),
            seed: None,
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_and_what_is_allowed() {
        fn check(name: &str, value: &str, allowed: &str) {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            let text = error.to_string();
            for part in [name, value, allowed] {
                assert!(text.contains(part), "`{text}` should name `{part}`");
            }
        }
        check(NACK, "1.01", "0 to 1");
        check(NACK, "-0.1", "0 to 1");
        check(NACK, "NaN", "0 to 1");
        check(FAILURE, "half", "0 to 1");
        check(FAILURE, "", "0 to 1");
        check(DELAY, "-1", "0 or more seconds");
        check(DELAY, "inf", "0 or more seconds");
        check(DELAY, "2s", "0 or more seconds");
    }

    #[test]
    fn a_value_that_is_not_text_is_refused() {
        let error = ChaosConfig::from_vars(|_| Err(VarError::NotUnicode("?".into()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains(NACK));
    }
}
