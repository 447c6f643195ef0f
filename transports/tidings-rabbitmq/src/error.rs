//! The errors of this transport: every text names the thing, the cause and the next step.
//!
//! What the broker says is kept: its texts name queues and reasons better than we could guess them. Passwords are
//! never part of a text.

use lapin::protocol::AMQPError;
use tidings_core::{
    Error, ErrorKind, Outcome,
    topology::{Binding, Difference, ExchangeKind, Thing},
};

use crate::config::{AuthMechanism, RabbitMqConfig};

pub(crate) fn misuse(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the RabbitMQ transport has been closed: open it again to go on",
    )
}

pub(crate) fn no_answer(config: &RabbitMqConfig) -> Error {
    let context = format!(
        "RabbitMQ at `{}` does not answer within {:?}: check host, port and firewall, or raise `connection_timeout`",
        config.at(),
        config.connection_timeout
    );
    Error::new(ErrorKind::Unavailable, context)
}

/// An error of the AMQP handshake: there is a server, and TLS is done.
pub(crate) fn of_handshake(error: &lapin::Error, config: &RabbitMqConfig) -> Error {
    let refusal = match error.kind() {
        lapin::ErrorKind::ProtocolError(said) => refused_handshake(said, config),
        _ => None,
    };
    refusal.unwrap_or_else(|| {
        let (at, said) = (config.at(), said(error));
        if config.auth_mechanism == AuthMechanism::External {
            // A broker says nothing to somebody whom it does not know yet.
            let context = format!(
                "`{at}` ended the connection when we logged in with our certificate: enable the plugin `rabbitmq_auth_mechanism_ssl` and \
                 the mechanism EXTERNAL on the broker, or give a user and a password ({said})"
            );
            return for_good(ErrorKind::Unauthenticated, context);
        }
        let context = format!(
            "`{at}` ended the connection while it was being made: see RabbitMQ's log, or check that it is RabbitMQ ({said})"
        );
        Error::new(ErrorKind::Unavailable, context)
    })
}

/// What the broker refuses for good, if that is what it said.
fn refused_handshake(said: &AMQPError, config: &RabbitMqConfig) -> Option<Error> {
    let (at, user, vhost) = (config.at(), &config.user, &config.vhost);
    let text = said.get_message().as_str();
    let (kind, context) = match said.get_id() {
        ACCESS_REFUSED if config.auth_mechanism == AuthMechanism::External => (
            ErrorKind::Unauthenticated,
            format!(
                "RabbitMQ at `{at}` refuses our certificate as a login: create a user with the certificate's name and enable the \
                 mechanism EXTERNAL on the broker, or give a user and a password ({text})"
            ),
        ),
        ACCESS_REFUSED => (
            ErrorKind::Unauthenticated,
            format!(
                "RabbitMQ at `{at}` refuses user `{user}`: correct user and password{} ({text})",
                guest_rule(config)
            ),
        ),
        NOT_ALLOWED if text.contains("not found") => (
            ErrorKind::NotFound,
            format!(
                "virtual host `{vhost}` does not exist on RabbitMQ at `{at}`: create it (`rabbitmqctl add_vhost`) or correct the URL"
            ),
        ),
        NOT_ALLOWED if text.contains("connection limit (") || text.contains("is down") => {
            return None;
        }
        NOT_ALLOWED => (
            ErrorKind::Denied,
            format!(
                "user `{user}` may not use virtual host `{vhost}` on RabbitMQ at `{at}`: grant it (`rabbitmqctl set_permissions`) \
                 or use another one ({text})"
            ),
        ),
        _ => return None,
    };
    Some(for_good(kind, context))
}

/// RabbitMQ's own rule, and far from its machine the most frequent reason by far.
fn guest_rule(config: &RabbitMqConfig) -> &'static str {
    let is_near = matches!(config.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    if config.user == "guest" && !is_near {
        "; `guest` may only connect from the broker's own machine"
    } else {
        ""
    }
}

/// What does not become better by trying again.
pub(crate) fn for_good(kind: ErrorKind, context: String) -> Error {
    Error::new(kind, context).with_outcome(Outcome::Fatal)
}

/// An error on a connection that was up.
pub(crate) fn of_connection(error: &lapin::Error) -> Error {
    if matches!(error.kind(), lapin::ErrorKind::ChannelsLimitReached) {
        return of_channel(error, "cannot open a channel");
    }
    let context = format!(
        "the connection to RabbitMQ failed, it is being made again: {}",
        said(error)
    );
    Error::new(ErrorKind::Unavailable, context)
}

/// For a connection on which no channel can be opened any more.
pub(crate) fn used_up() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the channels of the connection to RabbitMQ are used up, it is being made again",
    )
}

/// An error that closed a channel, or that the broker answered an operation with; `doing` says what was tried,
/// for example "cannot publish to exchange `a`".
pub(crate) fn of_channel(error: &lapin::Error, doing: &str) -> Error {
    let (kind, next) = match error.kind() {
        lapin::ErrorKind::ProtocolError(said) => classify(said),
        lapin::ErrorKind::ChannelsLimitReached => (
            ErrorKind::Full,
            "raise `channel_max` here and on the broker, or subscribe to fewer queues",
        ),
        lapin::ErrorKind::SerialisationError(_) => (
            ErrorKind::Misuse,
            "a name or a header does not fit into a frame, shorten it",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the connection or the channel is gone and being made again",
        ),
    };
    Error::new(kind, format!("{doing}: {} ({next})", said(error)))
}

/// What was tried, as far as permissions are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act<'a> {
    /// Declaring or binding.
    Make(&'a Thing),
    /// Deleting.
    Delete,
    /// Consuming.
    Consume,
}

/// As [`of_channel`], and says which permission is missing, which brokers before 4.0 do not.
pub(crate) fn of_act(error: &lapin::Error, act: Act<'_>, doing: &str) -> Error {
    let text = said(error);
    if code(error) != Some(ACCESS_REFUSED) || text.contains("exclusive use") {
        return of_channel(error, doing);
    }
    let context = format!(
        "{doing}: {text} (grant the user the permission to {} with `rabbitmqctl set_permissions`)",
        act.permission(&text)
    );
    Error::new(ErrorKind::Denied, context)
}

impl Act<'_> {
    /// What the user may not do, where the broker's text names the exchange or the queue that it is about.
    fn permission(self, text: &str) -> &'static str {
        let is_about_queue = text.contains("access to queue '");
        match self {
            Self::Delete | Self::Make(Thing::Exchange(_)) => "configure it",
            Self::Make(Thing::Queue(_)) if is_about_queue => {
                "configure it, and with a dead-letter exchange also to read from it"
            }
            Self::Make(Thing::Queue(_)) => "write to its dead-letter exchange",
            Self::Make(_) if is_about_queue => "write to the queue",
            Self::Make(_) => "read from the exchange",
            Self::Consume => "read from it",
        }
    }
}

/// Names every difference, so that a definition need not be corrected one refusal at a time.
pub(crate) fn conflict(differences: &[Difference]) -> Error {
    let all: Vec<_> = differences.iter().map(ToString::to_string).collect();
    let next = match differences {
        [one] => format!("change the setting or delete the {}", one.thing().kind()),
        _ => "change the settings or delete what has others".to_owned(),
    };
    Error::new(ErrorKind::Conflict, format!("{}: {next}", all.join("; ")))
}

pub(crate) fn unbindable(binding: &Binding, missing: &Thing) -> Error {
    misuse(format!(
        "cannot bind queue `{}` to exchange `{}`: {missing} does not exist, declare it in the same topology or before",
        binding.queue, binding.exchange
    ))
}

pub(crate) fn unknown_kind(exchange: &str, kind: ExchangeKind) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "exchange `{exchange}` has the kind {kind}, which is not known here: use direct, fanout or topic"
        ),
    )
}

pub(crate) fn no_queue(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("queue `{name}` does not exist: declare it first"),
    )
}

pub(crate) fn exclusive(thing: &Thing) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!("{thing} belongs exclusively to another connection: use a name of your own"),
    )
}

/// The class of what the broker said, and the next step.
fn classify(said: &AMQPError) -> (ErrorKind, &'static str) {
    let text = said.get_message().as_str();
    match said.get_id() {
        NOT_FOUND => (ErrorKind::NotFound, "declare it first"),
        ACCESS_REFUSED if text.contains("exclusive use") => (
            ErrorKind::Denied,
            "another consumer has the queue for itself",
        ),
        ACCESS_REFUSED => (
            ErrorKind::Denied,
            "grant the user this permission with `rabbitmqctl set_permissions`",
        ),
        RESOURCE_LOCKED => (
            ErrorKind::Denied,
            "it belongs exclusively to another connection, use a name of your own",
        ),
        PRECONDITION_FAILED if text.contains("message size ") => (
            ErrorKind::Invalid,
            "make the message smaller, or raise `max_message_size` on the broker",
        ),
        PRECONDITION_FAILED if text.contains("inequivalent") => (
            ErrorKind::Conflict,
            "change the setting or delete what exists",
        ),
        PRECONDITION_FAILED if text.contains("timed out") => (
            ErrorKind::Timeout,
            "settle faster, or raise `consumer_timeout` on the broker",
        ),
        PRECONDITION_FAILED if text.contains("unknown delivery tag") => (
            ErrorKind::Closed,
            "the delivery is no longer ours and will come again",
        ),
        PRECONDITION_FAILED => (ErrorKind::Misuse, "the broker refuses it as it is"),
        CONTENT_TOO_LARGE | FRAME_ERROR => (
            ErrorKind::Invalid,
            "make the message or its headers smaller",
        ),
        NOT_ALLOWED | NOT_IMPLEMENTED | COMMAND_INVALID => {
            (ErrorKind::Unsupported, "this broker does not do that")
        }
        RESOURCE_ERROR => (
            ErrorKind::Full,
            "the broker is out of a resource, its log says which",
        ),
        _ => (ErrorKind::Unavailable, "the connection is being made again"),
    }
}

/// What the broker or lapin said, in the broker's own words where there are some: they begin with the name of the code.
pub(crate) fn said(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(said) => said.get_message().to_string(),
        _ => error.to_string(),
    }
}

/// The code that the broker gave, if it gave one.
pub(crate) fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(said) => Some(said.get_id()),
        _ => None,
    }
}

/// The broker's codes, as the AMQP 0.9.1 specification numbers them.
pub(crate) const CONTENT_TOO_LARGE: u16 = 311;
pub(crate) const CONNECTION_FORCED: u16 = 320;
pub(crate) const ACCESS_REFUSED: u16 = 403;
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const RESOURCE_LOCKED: u16 = 405;
pub(crate) const PRECONDITION_FAILED: u16 = 406;
pub(crate) const FRAME_ERROR: u16 = 501;
pub(crate) const COMMAND_INVALID: u16 = 503;
pub(crate) const RESOURCE_ERROR: u16 = 506;
pub(crate) const NOT_ALLOWED: u16 = 530;
pub(crate) const NOT_IMPLEMENTED: u16 = 540;

#[cfg(test)]
mod tests {
    use super::*;

    fn said_by_broker(code: u16, text: &str) -> lapin::Error {
        let said = AMQPError::from_id(code, text.into()).unwrap();
        lapin::ErrorKind::ProtocolError(said).into()
    }

    fn check(error: &Error, kind: ErrorKind, mentions: &[&str]) {
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        for word in mentions {
            assert!(text.contains(word), "`{text}` does not say `{word}`");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_handshake_is_refused_for_a_reason() {
        let config = RabbitMqConfig::from_url("amqp://guest:s3cret@mq/shop").unwrap();
        let of = |code, text| of_handshake(&said_by_broker(code, text), &config);
        let refused = of(ACCESS_REFUSED, "ACCESS_REFUSED - Login was refused");
        check(
            &refused,
            ErrorKind::Unauthenticated,
            &["mq:5672", "`guest`", "own machine", "Login"],
        );
        assert!(!refused.is_retryable());
        let missing = of(NOT_ALLOWED, "NOT_ALLOWED - vhost shop not found");
        check(&missing, ErrorKind::NotFound, &["`shop`", "add_vhost"]);
        let barred = of(
            NOT_ALLOWED,
            "NOT_ALLOWED - access to vhost 'shop' refused for user 'guest'",
        );
        check(&barred, ErrorKind::Denied, &["`shop`", "set_permissions"]);
        let full = of(
            NOT_ALLOWED,
            "NOT_ALLOWED - access to vhost 'shop' refused for user 'guest': connection limit (1) is reached",
        );
        check(&full, ErrorKind::Unavailable, &["connection limit"]);
        assert!(full.is_retryable(), "somebody may leave");
        let forced = of(
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        );
        check(&forced, ErrorKind::Unavailable, &["reason 'shutdown'"]);
    }

    #[test]
    fn the_permission_that_is_missing_is_named() {
        let queue = Thing::Queue("q".into());
        let binding = Thing::from(&Binding::new("x", "q", "k"));
        let exchange = Thing::Exchange("x".into());
        let check_act = |act, about: &str, permission: &str| {
            let text =
                format!("ACCESS_REFUSED - access to {about} in vhost '/' refused for user 'u'");
            let error = of_act(&said_by_broker(ACCESS_REFUSED, &text), act, "cannot do it");
            check(
                &error,
                ErrorKind::Denied,
                &[about, permission, "set_permissions"],
            );
        };
        check_act(Act::Make(&queue), "queue 'q'", "to configure it, and");
        check_act(
            Act::Make(&queue),
            "exchange 'dead'",
            "to write to its dead-letter",
        );
        check_act(Act::Make(&exchange), "exchange 'x'", "to configure it with");
        check_act(Act::Make(&binding), "queue 'q'", "to write to the queue");
        check_act(
            Act::Make(&binding),
            "exchange 'x'",
            "to read from the exchange",
        );
        check_act(Act::Delete, "queue 'q'", "to configure it with");
        check_act(Act::Consume, "queue 'q'", "to read from it");
        let taken = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        let taken = of_act(&said_by_broker(ACCESS_REFUSED, taken), Act::Consume, "");
        check(&taken, ErrorKind::Denied, &["another consumer"]);
    }

    #[test]
    fn a_channel_is_closed_for_a_reason() {
        let check_code = |code, text: &str, kind| {
            let error = of_channel(&said_by_broker(code, text), "cannot do it");
            check(&error, kind, &["cannot do it", text]);
        };
        check_code(
            NOT_FOUND,
            "NOT_FOUND - no queue 'q' in vhost '/'",
            ErrorKind::NotFound,
        );
        check_code(
            ACCESS_REFUSED,
            "ACCESS_REFUSED - access to queue 'q' refused",
            ErrorKind::Denied,
        );
        check_code(
            RESOURCE_LOCKED,
            "RESOURCE_LOCKED - locked queue",
            ErrorKind::Denied,
        );
        check_code(
            PRECONDITION_FAILED,
            "PRECONDITION_FAILED - inequivalent arg 'x'",
            ErrorKind::Conflict,
        );
        check_code(
            PRECONDITION_FAILED,
            "PRECONDITION_FAILED - message size 9 is larger than configured max size 8",
            ErrorKind::Invalid,
        );
        check_code(
            PRECONDITION_FAILED,
            "PRECONDITION_FAILED - unknown delivery tag 7",
            ErrorKind::Closed,
        );
        check_code(
            PRECONDITION_FAILED,
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
            ErrorKind::Timeout,
        );
        check_code(
            FRAME_ERROR,
            "FRAME_ERROR - type 2, all octets = <<>>: frame_too_large",
            ErrorKind::Invalid,
        );
        check_code(
            RESOURCE_ERROR,
            "RESOURCE_ERROR - out of file descriptors",
            ErrorKind::Full,
        );
        check_code(320, "CONNECTION_FORCED - shutdown", ErrorKind::Unavailable);
        let full = of_connection(&lapin::ErrorKind::ChannelsLimitReached.into());
        check(&full, ErrorKind::Full, &["channel_max"]);
    }
}
