//! Whose fault it is that the broker closed the channel, and what the publisher is told.
//!
//! The broker closes the channel under everything that is on its way and names the cause in a sentence. Publishes that
//! the sentence does not concern must not suffer from it.

use tidings_core::{Address, Error, ErrorKind, call::Message};

use super::line::Refusal;
use crate::error::{ACCESS_REFUSED, CONNECTION_FORCED, NOT_FOUND, RESOURCE_ERROR};

/// The longest exchange name and routing key of AMQP.
const LONGEST: usize = 255;

const CHANNEL_ERROR: u16 = 504;
const INTERNAL_ERROR: u16 = 541;

/// Who may have caused a refusal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Blame {
    /// Nobody who publishes.
    Nobody,
    /// Everything for the exchange that the text names: see [`Refusal::names`].
    Exchange,
    /// Everything with a payload of more bytes.
    Larger(usize),
    /// One of those on their way.
    Somebody,
}

impl Refusal {
    /// Who may have caused it.
    pub(super) fn blame(&self) -> Blame {
        match self.code {
            // An operator closed the connection; the client wrote to a channel that the broker had just closed; or the
            // broker has troubles of its own.
            CONNECTION_FORCED | CHANNEL_ERROR | RESOURCE_ERROR | INTERNAL_ERROR => Blame::Nobody,
            NOT_FOUND => Blame::Exchange,
            ACCESS_REFUSED if !self.text.contains("to topic '") => Blame::Exchange,
            _ => self.size_limit().map_or(Blame::Somebody, Blame::Larger),
        }
    }

    /// Whether something in the broker has crashed, which a publish may be the cause of, although it rarely is.
    pub(super) fn is_crash(&self) -> bool {
        self.code == INTERNAL_ERROR
    }

    /// Whether the text names this exchange.
    pub(super) fn names(&self, exchange: &str) -> bool {
        let quoted = format!("exchange '{exchange}' in vhost");
        self.text.contains(&quoted)
    }

    /// The limit in `message size 2000 is larger than configured max size 1000`.
    fn size_limit(&self) -> Option<usize> {
        let (_, after) = self.text.split_once("message size ")?;
        let (_, limit) = after.split_once("max size ")?;
        let digits = limit.find(|c: char| !c.is_ascii_digit());
        limit[..digits.unwrap_or(limit.len())].parse().ok()
    }

    /// What the publisher of the message is told.
    pub(super) fn error(&self, address: &Address) -> Error {
        let (code, text) = (self.code, &self.text);
        match code {
            NOT_FOUND => Error::new(
                ErrorKind::NotFound,
                format!(
                    "cannot publish to `{address}`: exchange `{}` does not exist: declare it, or check its name and the virtual host",
                    address.exchange
                ),
            ),
            ACCESS_REFUSED => Error::new(
                ErrorKind::Denied,
                format!(
                    "cannot publish to `{address}`: {text}: give the user permission to write, or use another"
                ),
            ),
            _ => Error::new(
                ErrorKind::Misuse,
                format!("RabbitMQ refuses this publish to `{address}`: {text} ({code})"),
            ),
        }
    }
}

/// Whether it answers a request that was sent with direct reply-to. RabbitMQ delivers such a reply past all queues, and
/// returns it as unroutable nevertheless (measured with 3.10).
pub(crate) fn is_direct_reply(address: &Address) -> bool {
    address.is_queue() && address.key.starts_with("amq.rabbitmq.reply-to.")
}

/// For a direct reply that nobody would get, or that makes the broker crash: see `readers`.
pub(super) fn no_such_reader(address: &Address) -> Error {
    let context = format!(
        "nobody waits for a reply at `{address}`: whoever did is gone, or the address was made up"
    );
    Error::new(ErrorKind::NotFound, context)
}

/// What can be told without asking the broker.
pub(crate) fn impossible(message: &Message) -> Option<Error> {
    let Address { exchange, key } = &message.address;
    let (what, name) = match (exchange.len() > LONGEST, key.len() > LONGEST) {
        (false, false) => return None,
        (true, _) => ("exchange name", exchange),
        (_, true) => ("routing key", key),
    };
    let context = format!(
        "the {what} `{}…` has {} bytes, AMQP allows {LONGEST}: use a shorter one",
        name.chars().take(40).collect::<String>(),
        name.len()
    );
    Some(Error::new(ErrorKind::Misuse, context))
}

pub(super) fn too_large(message: &Message, limit: usize) -> Error {
    let context = format!(
        "a payload of {} bytes for `{}` is larger than RabbitMQ accepts: send less, or raise `max_message_size` from {limit} there",
        message.envelope.payload.len(),
        message.address
    );
    Error::new(ErrorKind::Misuse, context)
}

pub(super) fn unroutable(address: &Address) -> Error {
    Error::new(
        ErrorKind::Unroutable,
        format!("no queue would receive `{address}`: bind a queue, or say that this is fine"),
    )
}

pub(super) fn nacked(address: &Address) -> Error {
    Error::new(
        ErrorKind::Full,
        format!(
            "RabbitMQ has not taken `{address}`: a queue is full (it has a length limit and rejects what is beyond) or has failed: look at the queues, then publish again"
        ),
    )
}

pub(super) fn crowded(limit: usize) -> Error {
    Error::new(
        ErrorKind::Full,
        format!(
            "{limit} publishes wait for RabbitMQ already: wait for the answers of earlier ones, or publish less"
        ),
    )
}

pub(super) fn drained(left: usize) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "{left} publishes were still unconfirmed at the deadline: whether RabbitMQ has them is not known"
        ),
    )
}

pub(super) fn unconfirmed(address: &Address, trouble: &str) -> Error {
    Error::new(
        ErrorKind::Unconfirmed,
        format!(
            "RabbitMQ has not confirmed `{address}` ({trouble}): it may have arrived, publish it again if that does no harm"
        ),
    )
}

pub(super) fn never_sent(address: &Address, trouble: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("`{address}` could not be sent to RabbitMQ ({trouble}): try again later"),
    )
}

/// What publishers are told once the publish task has panicked.
pub(super) fn failed() -> Error {
    Error::new(ErrorKind::Closed, ENDED)
}

/// What is said of a publish task that has ended although nobody closed it.
pub(super) const ENDED: &str = "the publishing task has ended unexpectedly: restart the process";

#[cfg(test)]
mod tests {
    use tidings_core::Envelope;

    use super::*;

    fn refusal(code: u16, text: &str) -> Refusal {
        Refusal {
            code,
            text: text.to_owned(),
        }
    }

    fn check(code: u16, text: &str, expected: &Blame) {
        assert_eq!(refusal(code, text).blame(), *expected, "{code} {text}");
    }

    #[test]
    fn the_text_tells_who_may_have_caused_it() {
        check(
            404,
            "NOT_FOUND - no exchange 'shop' in vhost '/'",
            &Blame::Exchange,
        );
        check(
            403,
            "ACCESS_REFUSED - access to exchange 'shop' in vhost '/' refused for user 'u'",
            &Blame::Exchange,
        );
        check(
            403,
            "ACCESS_REFUSED - access to topic 'a.b' in exchange 'shop' in vhost '/' refused for user 'u'",
            &Blame::Somebody,
        );
        check(
            406,
            "PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000",
            &Blame::Larger(1000),
        );
        check(
            406,
            "PRECONDITION_FAILED - message size 2000 larger than max size 1000, sorry",
            &Blame::Larger(1000),
        );
        check(
            406,
            "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was 'b'",
            &Blame::Somebody,
        );
        check(406, "message size of max size enormous", &Blame::Somebody);
        check(501, "FRAME_ERROR - type 2", &Blame::Somebody);
        check(
            504,
            "CHANNEL_ERROR - expected 'channel.open'",
            &Blame::Nobody,
        );
        check(506, "RESOURCE_ERROR - out of something", &Blame::Nobody);
        check(541, "INTERNAL_ERROR", &Blame::Nobody);
        check(
            320,
            "CONNECTION_FORCED - Closed via management plugin",
            &Blame::Nobody,
        );
    }

    #[test]
    fn an_exchange_is_named_with_its_quotes() {
        let refusal = refusal(404, "NOT_FOUND - no exchange 'shop.a' in vhost '/'");
        assert!(refusal.names("shop.a"));
        for other in ["shop", "a", "shop.a' in vhost '/", ""] {
            assert!(!refusal.names(other), "{other}");
        }
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let address = Address::new("shop", "a.b");
        for (code, kind) in [
            (404, ErrorKind::NotFound),
            (403, ErrorKind::Denied),
            (406, ErrorKind::Misuse),
            (501, ErrorKind::Misuse),
        ] {
            let error = refusal(code, "TEXT").error(&address);
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("`shop/a.b`"), "{error}");
        }
    }

    #[test]
    fn names_longer_than_amqp_allows_are_refused_at_once() {
        let message = |exchange: usize, key: usize| Message {
            address: Address::new("x".repeat(exchange), "ü".repeat(key)),
            envelope: Envelope::default(),
        };
        assert!(impossible(&message(255, 127)).is_none());
        for (message, what) in [
            (message(256, 1), "exchange name"),
            (message(1, 128), "routing key"),
        ] {
            let error = impossible(&message).expect("it is too long");
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains(what), "{error}");
            assert!(error.to_string().len() < 200, "{error}");
        }
    }
}
