//! Who is at the other end: what a server says first, on a connection of its own that ends right after.
//!
//! lapin keeps the server's properties to itself, and of a peer that is no broker it only says that it could not
//! parse it. Both are in the first bytes that a server answers.

use std::time::Duration;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    protocol::{AMQPClass, connection::AMQPMethod, parse_class},
    types::{AMQPValue, FieldTable},
};
use tidings_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use super::dial::{Stream, stream};
use crate::{config::RabbitMqConfig, error};

/// How a client of AMQP 0.9.1 begins.
const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// What every kind of server answers to at once: one that speaks HTTP with HTTP, one that speaks TLS with an alert, and a
/// broker with the header that it would like better.
const QUESTION: &[u8] = b"HEAD / HTTP/1.0\r\n\r\n";
/// More than any broker says about itself.
const MOST: usize = 64 * 1024;
/// How long a peer may take to say something when we only want to know who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// A version of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u16,
    pub(crate) minor: u16,
}

impl Version {
    /// Reads `3.10.8`, `4.3.0-beta.1` and the like.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '-', '+']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The version that the broker gives.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if it cannot be reached or does not say.
pub(crate) async fn version(config: &RabbitMqConfig) -> Result<Version> {
    let asked = async {
        let mut stream = stream(&config.host, config.port, config.tls.as_ref(), "RabbitMQ").await?;
        Ok(greet(&mut stream, HEADER).await)
    };
    let said = timeout(config.connection_timeout, asked).await;
    let said = said.unwrap_or_else(|_| Err(error::no_answer(config)))?;
    version_in(&said).ok_or_else(|| {
        let context = format!(
            "RabbitMQ at `{}` does not say which version it is",
            config.at()
        );
        Error::new(ErrorKind::Unavailable, context)
    })
}

/// Says something and returns what is answered: one frame, or what comes until the peer ends.
async fn greet(stream: &mut Stream, greeting: &[u8]) -> Vec<u8> {
    let mut said = vec![0; MOST];
    let mut length = 0;
    if stream.write_all(greeting).await.is_err() || stream.flush().await.is_err() {
        return Vec::new();
    }
    while !is_enough(&said[..length]) {
        match stream.read(&mut said[length..]).await {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    said.truncate(length);
    said
}

/// Whether the first frame is complete, or it is none.
fn is_enough(said: &[u8]) -> bool {
    match (frame_size(said), said.first()) {
        (Some(size), _) => said.len() >= size || said.len() >= MOST,
        (None, Some(1)) | (None, None) => false,
        _ => said.len() >= 8,
    }
}

/// The size of the method frame that this begins with: type, channel, size, payload, end.
fn frame_size(said: &[u8]) -> Option<usize> {
    let [1, 0, 0, size @ ..] = said.get(..7)? else {
        return None;
    };
    let size = u32::from_be_bytes(size.try_into().ok()?);
    Some(usize::try_from(size).ok()?.saturating_add(8))
}

fn version_in(said: &[u8]) -> Option<Version> {
    let (_, class) = parse_class(said.get(7..)?).ok()?;
    let AMQPClass::Connection(AMQPMethod::Start(start)) = class else {
        return None;
    };
    Version::read(&text(&start.server_properties, "version")?)
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// What a peer is that does not answer as a broker, as an error; `None` if it does, or says nothing.
pub(super) async fn identify(config: &RabbitMqConfig) -> Option<Error> {
    let asked = async {
        let stream = stream(&config.host, config.port, config.tls.as_ref(), "RabbitMQ").await;
        greet(&mut stream.ok()?, QUESTION).await.into()
    };
    let said = timeout(PATIENCE, asked).await.ok().flatten()?;
    let what = stranger(&said)?;
    let context = format!("`{}` is not RabbitMQ's AMQP port: {what}", config.at());
    Some(error::for_good(ErrorKind::Misuse, context))
}

fn stranger(said: &[u8]) -> Option<&'static str> {
    match said {
        [b'H', b'T', b'T', b'P', ..] => Some(
            "it speaks HTTP, which is how the management API looks (AMQP has port 5672 unless changed)",
        ),
        // A TLS alert: type, and major version 3.
        [0x15, 3, ..] => Some("it speaks TLS, begin the URL with `amqps:`"),
        // Brokers of several protocols answer with the header of any of them.
        [b'A', b'M', b'Q', b'P', ..] | [] | [1, ..] => None,
        _ => Some("it answers with something that is not AMQP, correct host and port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let check = |text, expected: Option<(u16, u16)>| {
            let expected = expected.map(|(major, minor)| Version { major, minor });
            assert_eq!(Version::read(text), expected, "{text}");
        };
        check("3.10.8", Some((3, 10)));
        check("4.3.0-rc.1", Some((4, 3)));
        check("4.0+git", Some((4, 0)));
        check("four", None);
        check("4", None);
        assert!(
            Version {
                major: 3,
                minor: 13
            } < Version { major: 4, minor: 0 }
        );
    }

    #[test]
    fn strangers_are_known_by_what_they_say_first() {
        let check = |said: &[u8], mentions: Option<&str>| {
            let found = stranger(said);
            assert_eq!(found.is_some(), mentions.is_some(), "{said:?}");
            assert!(
                found
                    .unwrap_or_default()
                    .contains(mentions.unwrap_or_default()),
                "{said:?}"
            );
        };
        check(b"HTTP/1.1 400 Bad Request", Some("management"));
        check(&[0x15, 3, 1, 0, 2, 2, 80], Some("amqps:"));
        check(b"AMQP\x03\x01\x00\x00", None);
        check(b"SSH-2.0-OpenSSH", Some("not AMQP"));
        check(HEADER, None);
        check(b"\x01\x00\x00", None);
        check(b"", None);
    }

    #[test]
    fn a_frame_is_waited_for_and_nothing_else() {
        assert!(!is_enough(b""));
        assert!(!is_enough(&[1, 0, 0, 0]));
        assert!(!is_enough(&[1, 0, 0, 0, 0, 0, 2, 9, 9]));
        assert!(is_enough(&[1, 0, 0, 0, 0, 0, 2, 9, 9, 0xCE]));
        assert!(is_enough(b"HTTP/1.1"));
        assert!(!is_enough(b"HTTP"));
    }
}
