//! The options of a URL: RabbitMQ's own names where it has them (its manual: "Query parameters of AMQP URIs"), ours for the rest.

use std::time::Duration;

use tidings_core::{Error, Result};

use super::decode;
use crate::{
    config::{AuthMechanism, QueueType, RabbitMqConfig, TlsConfig},
    error::misuse,
    management::ManagementUrl,
};

const ALLOWED: &str = "`name` (of the connection), `heartbeat` (1 to 65535, seconds), `connection_timeout` (1 or more, milliseconds), \
`channel_max` (1 to 65535), `auth_mechanism` (`plain`, `amqplain` or `external`), `confirm_timeout_ms` (1 or more), `window` (1 to 65535), \
`queue_type` (`classic` or `quorum`), `management` (URL of the HTTP API), `wait_s` (0 or more), and for `amqps:` \
`cacertfile`, `certfile`, `keyfile` (PEM files), `verify` (`verify_peer`) and `server_name_indication` (a host name)";

/// Reads `option=value&…`.
pub(super) fn read(text: &str, config: &mut RabbitMqConfig) -> Result<()> {
    let mut names = Vec::new();
    let mut keyfile = None;
    for option in text.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if names.contains(&name) {
            return Err(misuse(format!(
                "option `{name}` is given twice: keep one of them"
            )));
        }
        names.push(name);
        let value = decode(value)
            .map_err(|what| misuse(format!("the value of option `{name}` has {what}")))?;
        match (name, &mut config.tls) {
            ("keyfile", Some(_)) => keyfile = Some(value),
            ("cacertfile" | "certfile" | "keyfile" | "verify" | "server_name_indication", None) => {
                return Err(misuse(format!(
                    "option `{name}` is about TLS, and the URL begins with `amqp:`: begin it with `amqps:`"
                )));
            }
            ("cacertfile" | "certfile" | "verify" | "server_name_indication", Some(tls)) => {
                set_tls(tls, name, value)?;
            }
            _ => set(config, name, &value)?,
        }
    }
    let certificate = config.tls.as_mut().and_then(|tls| tls.certificate.as_mut());
    match (certificate, keyfile) {
        (Some(certificate), Some(keyfile)) => certificate.key = keyfile.into(),
        (None, Some(_)) => {
            return Err(misuse(
                "option `keyfile` needs `certfile`: name the file with the certificate of this key"
                    .to_owned(),
            ));
        }
        (_, None) => {}
    }
    Ok(())
}

fn set_tls(tls: &mut TlsConfig, name: &str, value: String) -> Result<()> {
    if value.is_empty() {
        return Err(refused(name, &value));
    }
    match name {
        "cacertfile" => tls.ca_file = Some(value.into()),
        // Where no other file is named, the key is in the file of the certificate.
        "certfile" => *tls = tls.clone().with_certificate(value.clone(), value),
        "verify" if value == "verify_peer" => {}
        "verify" => {
            return Err(misuse(format!(
                "option `verify={value}` is refused, because without verification anybody can pose as the broker: \
                 name the broker's authority with `cacertfile`, and its name with `server_name_indication` if that differs from the host"
            )));
        }
        _ => tls.server_name = Some(value),
    }
    Ok(())
}

fn set(config: &mut RabbitMqConfig, name: &str, value: &str) -> Result<()> {
    let no = || refused(name, value);
    match name {
        "name" if !value.is_empty() => value.clone_into(&mut config.name),
        "heartbeat" => {
            config.heartbeat = Duration::from_secs(number(value, 1, 65_535).ok_or_else(no)?);
        }
        "connection_timeout" => {
            config.connection_timeout =
                Duration::from_millis(number(value, 1, DAY_MS).ok_or_else(no)?);
        }
        "confirm_timeout_ms" => {
            config.confirm_timeout =
                Duration::from_millis(number(value, 1, DAY_MS).ok_or_else(no)?);
        }
        "wait_s" => config.wait = Duration::from_secs(number(value, 0, DAY_MS).ok_or_else(no)?),
        "channel_max" => {
            let channels = value.parse().ok().filter(|channels| *channels > 0);
            config.channel_max = Some(channels.ok_or_else(no)?);
        }
        "window" => {
            let window = value
                .parse()
                .ok()
                .filter(|window| (1..=65_535).contains(window));
            config.window = window.ok_or_else(no)?;
        }
        "auth_mechanism" => config.auth_mechanism = auth_mechanism(value).ok_or_else(no)?,
        "queue_type" => {
            config.queue_type = match value {
                "classic" => QueueType::Classic,
                "quorum" => QueueType::Quorum,
                _ => return Err(no()),
            };
        }
        "management" => config.management = Some(ManagementUrl::from_url(value)?),
        "name" => return Err(no()),
        _ => return Err(unknown(name)),
    }
    Ok(())
}

/// Longer times are mistakes, and could not be added to an instant.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn number(value: &str, least: u64, most: u64) -> Option<u64> {
    let number = value.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// In RabbitMQ's own URLs these are written in lower case.
fn auth_mechanism(value: &str) -> Option<AuthMechanism> {
    match value.to_ascii_lowercase().as_str() {
        "plain" => Some(AuthMechanism::Plain),
        "amqplain" => Some(AuthMechanism::AmqPlain),
        "external" => Some(AuthMechanism::External),
        _ => None,
    }
}

fn refused(name: &str, value: &str) -> Error {
    misuse(format!(
        "option `{name}={value}` has no such value: allowed are {ALLOWED}"
    ))
}

/// Without its value: what we do not know may be a secret.
fn unknown(name: &str) -> Error {
    misuse(format!(
        "option `{name}` is not known: allowed are {ALLOWED}"
    ))
}
