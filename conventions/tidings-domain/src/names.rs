//! Every name on the domain wire: messages, subscribers, routing keys, exchanges and queues.
//!
//! A name has a dotted form (the JSON `type`) and an underscore form (routing keys and queues); both come
//! from the name of a class by one rule. Nothing here knows what the names are used for.

use std::sync::Arc;

use tidings_core::{
    Kind,
    error::{Error, ErrorKind, Result},
};

/// The queue that gets a copy of every message. Its name is global to a broker's virtual host.
pub const STORE: &str = "store";
/// Where failed messages of the store wait.
pub const RETRY_STORE: &str = "retry.store";
/// Where messages of the store end up that could not be handled.
pub const DEAD_LETTER_STORE: &str = "dead_letter.store";

/// What begins the name of a queue in which failed messages wait.
pub const RETRY_PREFIX: &str = "retry.";
/// What begins the name of a queue of dead letters.
pub const DEAD_LETTER_PREFIX: &str = "dead_letter.";

/// The longest name a broker accepts, in bytes.
pub const LONGEST: usize = 255;

/// The underscore form of a class-like name, which is also the form of subscriber names.
///
/// Only ASCII capitals split, every one of them does, and the result is lower case.
///
/// ```
/// assert_eq!(tidings_domain::names::snake("SendMailOnUserCreated"), "send_mail_on_user_created");
/// assert_eq!(tidings_domain::names::snake("HTTPServer"), "h_t_t_p_server");
/// ```
#[must_use]
pub fn snake(class: &str) -> String {
    let mut split = String::with_capacity(class.len() + 8);
    for (index, c) in class.chars().enumerate() {
        if index > 0 && c.is_ascii_uppercase() {
            split.push('_');
        }
        split.push(c);
    }
    split.to_lowercase()
}

/// The dotted name of a message from its class-like name: the underscore form with a dot for every underscore.
///
/// ```
/// assert_eq!(tidings_domain::names::dotted("UserCreated"), "user.created");
/// ```
#[must_use]
pub fn dotted(class: &str) -> String {
    snake(class).replace('_', ".")
}

/// How a kind is spelled in routing keys; `None` for kinds that this wire does not have.
#[must_use]
pub fn segment(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Event => Some("event"),
        Kind::Command => Some("command"),
        _ => None,
    }
}

/// How a kind is spelled in a message; `message` for any.
#[must_use]
pub fn type_message(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Event) => "domain_event",
        Some(Kind::Command) => "command",
        _ => "message",
    }
}

/// The name without its leading `retry.` or `dead_letter.`; one of them, once.
#[must_use]
pub fn base(name: &str) -> &str {
    name.strip_prefix(RETRY_PREFIX)
        .or_else(|| name.strip_prefix(DEAD_LETTER_PREFIX))
        .unwrap_or(name)
}

/// The name of the queue (and of its routing key) in which failed messages of this queue wait.
#[must_use]
pub fn retry(name: &str) -> String {
    format!("{RETRY_PREFIX}{}", base(name))
}

/// The name of the queue (and of its routing key) of this queue's dead letters.
#[must_use]
pub fn dead_letter(name: &str) -> String {
    format!("{DEAD_LETTER_PREFIX}{}", base(name))
}

/// The names that belong to one organization and service.
#[derive(Clone, Debug)]
pub struct Names {
    /// The exchange to which messages are published: `organization.service`.
    pub exchange: Arc<str>,
    /// The exchange behind which failed messages wait.
    pub retry_exchange: Arc<str>,
    /// The exchange of dead letters.
    pub dead_letter_exchange: Arc<str>,
    /// The exchange behind which failed messages of the store wait.
    pub store_retry_exchange: Arc<str>,
    /// The exchange to which expired messages of the store go.
    pub store_dead_letter_exchange: Arc<str>,
}

impl Names {
    pub(crate) fn new(organization: &str, service: &str) -> Self {
        let exchange = format!("{organization}.{service}");
        Self {
            retry_exchange: format!("{RETRY_PREFIX}{exchange}").into(),
            dead_letter_exchange: format!("{DEAD_LETTER_PREFIX}{exchange}").into(),
            store_retry_exchange: format!("{RETRY_PREFIX}{organization}.{STORE}").into(),
            store_dead_letter_exchange: format!("{DEAD_LETTER_PREFIX}{organization}.{STORE}")
                .into(),
            exchange: exchange.into(),
        }
    }

    /// The routing key under which a message is published.
    ///
    /// The name is used as it is but for its dots: a received name that follows no rule is published again
    /// under the same text.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] for a kind that this wire does not have, and if the key is too long for a broker.
    pub fn routing_key(&self, kind: Kind, version: i64, name: &str) -> Result<String> {
        let Some(segment) = segment(kind) else {
            return Err(misuse(format!(
                "message `{name}` is a {kind}: the domain wire carries events and commands only"
            )));
        };
        let name = name.replace('.', "_");
        let key = format!("{}.{version}.{segment}.{name}", self.exchange);
        check_length("routing key", &key)?;
        Ok(key)
    }

    /// The main queue of a subscriber for one message.
    ///
    /// # Errors
    /// As [`routing_key`](Self::routing_key).
    pub fn queue(&self, kind: Kind, version: i64, name: &str, subscriber: &str) -> Result<String> {
        let key = self.routing_key(kind, version, name)?;
        Ok(format!("{key}.{subscriber}"))
    }
}

/// Checks a subscriber's name. It becomes the last word of its queues' names.
pub(crate) fn check_subscriber(name: &str) -> Result<()> {
    check_word("subscriber", name).map_err(misuse)
}

/// Checks the name of a message that is subscribed to: it becomes a binding pattern, in which a wildcard
/// would subscribe to more than it says.
pub(crate) fn check_message(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(misuse("a message needs a name to be subscribed to".into()));
    }
    match name.chars().find(|c| is_forbidden(*c)) {
        Some(c) => Err(misuse(format!(
            "message name `{name}` contains {c:?}: use letters, digits, dots and underscores"
        ))),
        None => Ok(()),
    }
}

/// Checks that a name is one word, and says what is wrong.
pub(crate) fn check_word(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the {what} has no name: give it one"));
    }
    if name.contains('.') {
        return Err(format!(
            "{what} `{name}` contains a dot: routing keys are matched word by word, so it must be one word \
             (with two, copies for the store would silently stop)"
        ));
    }
    match name.chars().find(|c| is_forbidden(*c)) {
        Some(c) => Err(format!(
            "{what} `{name}` contains {c:?}: use letters, digits, underscores and hyphens"
        )),
        None => Ok(()),
    }
}

pub(crate) fn check_length(what: &str, name: &str) -> Result<()> {
    if name.len() <= LONGEST {
        return Ok(());
    }
    Err(misuse(format!(
        "{what} `{name}` is {} bytes long: shorten its parts, brokers accept at most {LONGEST}",
        name.len()
    )))
}

pub(crate) fn misuse(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '*' | '#') || c.is_whitespace() || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_prefix_off() {
        assert_eq!(base("retry.dead_letter.q"), "dead_letter.q");
        assert_eq!(base("dead_letter.retry.q"), "retry.q");
        assert_eq!(base("retrying.q"), "retrying.q");
    }

    #[test]
    fn publishes_a_received_name_as_it_is() {
        let names = Names::new("o", "s");
        let key = names.routing_key(Kind::Event, 1, "UserCreated").unwrap();
        assert_eq!(key, "o.s.1.event.UserCreated");
    }

    #[test]
    fn refuses_what_the_wire_does_not_have() {
        let names = Names::new("o", "s");
        let error = names.routing_key(Kind::Call, 1, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        let long = "x".repeat(300);
        let error = names.routing_key(Kind::Event, 1, &long).unwrap_err();
        assert!(error.to_string().contains("at most 255"), "{error}");
    }
}
