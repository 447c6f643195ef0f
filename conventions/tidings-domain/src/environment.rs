//! The variables of existing systems that say something about domain messages.
//!
//! Those of the broker's address are read by its transport, those of chaos by the layers; the rest of what
//! existing systems read has no meaning here, and the documentation of this crate says why. Nothing is read unless
//! somebody asks for it.

use std::env::VarError;

use tidings_core::error::{Error, ErrorKind, Result};

use crate::ClearBefore;

const CLEAR_SUBSCRIBERS: &str = "PETISCO_RABBITMQ_CONFIGURER_CLEAR_SUBSCRIBER_BEFORE";
const CLEAR_STORE: &str = "PETISCO_RABBITMQ_CONFIGURER_CLEAR_STORE_BEFORE";
const CONFIGURER: &str = "PETISCO_MESSAGE_CONFIGURER_TYPE";
const CONSUMER: &str = "PETISCO_MESSAGE_CONSUMER_TYPE";
const PREFETCH: &str = "RABBITMQ_PREFETCH_COUNT";

/// What the environment says. The default is what nothing set means.
///
/// ```
/// # use std::env::VarError;
/// use tidings_domain::Environment;
///
/// let variables = |name: &str| match name {
///     "RABBITMQ_PREFETCH_COUNT" => Ok("20".to_owned()),
///     _ => Err(VarError::NotPresent),
/// };
/// let environment = Environment::from_vars(variables)?;
/// assert_eq!(environment.prefetch, Some(20));
/// assert!(environment.consumes, "unless told otherwise");
/// # Ok::<_, tidings_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// What is to be cleared before the topology is declared
    /// (`PETISCO_RABBITMQ_CONFIGURER_CLEAR_SUBSCRIBER_BEFORE`, `…_CLEAR_STORE_BEFORE`: true, 1, yes or on).
    pub clear_before: ClearBefore,
    /// Whether this process declares topology: not if `PETISCO_MESSAGE_CONFIGURER_TYPE` is `not_implemented`.
    pub declares: bool,
    /// Whether this process handles messages: not if `PETISCO_MESSAGE_CONSUMER_TYPE` is `not_implemented`.
    pub consumes: bool,
    /// How many messages of a queue are handed out before they are settled (`RABBITMQ_PREFETCH_COUNT`).
    pub prefetch: Option<u16>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            clear_before: ClearBefore::NOTHING,
            declares: true,
            consumes: true,
            prefetch: None,
        }
    }
}

impl Environment {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] naming the variable, its value and what is allowed.
    pub fn read() -> Result<Self> {
        Self::from_vars(variable)
    }

    /// As [`read`](Self::read), but reads the variables from somewhere else.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_vars(
        variable: impl Fn(&str) -> std::result::Result<String, VarError>,
    ) -> Result<Self> {
        let read = |name: &'static str| text(name, variable(name));
        Ok(Self {
            clear_before: ClearBefore {
                subscribers: is_on(read(CLEAR_SUBSCRIBERS)?.as_deref()),
                store: is_on(read(CLEAR_STORE)?.as_deref()),
            },
            declares: is_implemented(CONFIGURER, read(CONFIGURER)?.as_deref())?,
            consumes: is_implemented(CONSUMER, read(CONSUMER)?.as_deref())?,
            prefetch: read(PREFETCH)?.as_deref().map(prefetch).transpose()?,
        })
    }
}

fn text(name: &str, value: std::result::Result<String, VarError>) -> Result<Option<String>> {
    match value {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(refused(name, "not UTF-8", "text in UTF-8")),
    }
}

/// Anything else is off, as in existing systems: what deletes messages must be meant.
fn is_on(text: Option<&str>) -> bool {
    let on = |text: &str| ["true", "1", "yes", "on"].contains(&text.to_ascii_lowercase().as_str());
    text.is_some_and(on)
}

fn is_implemented(name: &str, text: Option<&str>) -> Result<bool> {
    match text {
        None | Some("default") => Ok(true),
        Some("not_implemented") => Ok(false),
        Some(other) => Err(refused(name, other, "`default` or `not_implemented`")),
    }
}

fn prefetch(text: &str) -> Result<u16> {
    let count = text.trim().parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| refused(PREFETCH, text, "a number from 1 to 65535"))
}

fn refused(name: &str, value: &str, allowed: &str) -> Error {
    let context = format!("{name} is `{value}`: it must be {allowed}, or not be set");
    Error::new(ErrorKind::Misuse, context)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the names of these variables are part of the domain wire, so they are read where they mean something"
)]
fn variable(name: &str) -> std::result::Result<String, VarError> {
    std::env::var(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Environment> {
        Environment::from_vars(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(with(&[]).unwrap(), Environment::default());
        let defaults = with(&[(CONFIGURER, "default"), (CONSUMER, "default")]);
        assert_eq!(defaults.unwrap(), Environment::default());
    }

    #[test]
    fn a_switch_is_on_for_four_words_only() {
        for (word, on) in [
            ("true", true),
            ("True", true),
            ("1", true),
            ("yes", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("", false),
            ("y", false),
        ] {
            let both = with(&[(CLEAR_SUBSCRIBERS, word), (CLEAR_STORE, word)]).unwrap();
            let expected = ClearBefore {
                subscribers: on,
                store: on,
            };
            assert_eq!(both.clear_before, expected, "{word}");
        }
        let one = with(&[(CLEAR_STORE, "on")]).unwrap().clear_before;
        assert!(one.store && !one.subscribers);
    }

    #[test]
    fn parts_are_switched_off_by_their_names() {
        let neither = with(&[
            (CONFIGURER, "not_implemented"),
            (CONSUMER, "not_implemented"),
        ])
        .unwrap();
        assert!(!neither.declares && !neither.consumes);
        assert_eq!(with(&[(PREFETCH, "7")]).unwrap().prefetch, Some(7));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_and_what_is_allowed() {
        fn check(name: &str, value: &str, allowed: &str) {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            for part in [name, value, allowed] {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
        }
        check(CONSUMER, "rabbit", "`not_implemented`");
        check(CONFIGURER, "", "`default`");
        check(PREFETCH, "0", "1 to 65535");
        check(PREFETCH, "-1", "1 to 65535");
        check(PREFETCH, "many", "1 to 65535");
    }
}
