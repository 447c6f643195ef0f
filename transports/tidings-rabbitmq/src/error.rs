//! The errors of this transport: every text names the thing, the cause and the next step.

use tidings_core::{Error, ErrorKind};

use crate::config::RabbitMqConfig;

pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the RabbitMQ transport has been closed: open it again to go on",
    )
}

pub(crate) fn no_answer(config: &RabbitMqConfig) -> Error {
    let context = format!(
        "RabbitMQ does not answer within {:?}",
        config.connection_timeout
    );
    Error::new(ErrorKind::Unavailable, context)
}

pub(crate) fn of_handshake(error: &lapin::Error, _config: &RabbitMqConfig) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("cannot connect to RabbitMQ: {error}"),
    )
}

/// An error on a connection that was up.
pub(crate) fn of_connection(error: &lapin::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the connection to RabbitMQ failed: {error}"),
    )
}

/// An error that closed a channel, or that the broker answered an operation with; `doing` says what was tried.
pub(crate) fn of_channel(error: &lapin::Error, doing: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{doing}: {error}"))
}
