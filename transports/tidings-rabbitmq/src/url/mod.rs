//! The URL of a broker, and what may follow its `?`.
//!
//! Read by hand and not by a URL library: what is wrong is said with the name of the part and with what is allowed
//! there, and without quoting a password that somebody forgot to encode.

mod options;
mod place;
#[cfg(test)]
mod tests;

use tidings_core::{Error, Result, transport::redact};

pub(crate) use self::place::{Place, decode};
use crate::{
    SCHEME, TLS_SCHEME,
    config::{AuthMechanism, RabbitMqConfig, TlsConfig},
    error::misuse,
};

const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;

/// Reads `amqp[s]://user:password@host:port/vhost?option=value&…`.
pub(crate) fn read(url: &str) -> Result<RabbitMqConfig> {
    let (is_tls, rest) = match url.split_once("://") {
        Some((SCHEME, rest)) => (false, rest),
        Some((TLS_SCHEME, rest)) => (true, rest),
        _ => {
            return Err(wrong(url, "no scheme `amqp` or `amqps` followed by `://`"));
        }
    };
    let (main, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = main.split_at(main.find('/').unwrap_or(main.len()));
    if main.contains('#')
        || path.contains('@')
        || !authority.contains('@') && hides_password(options)
    {
        return Err(wrong(
            url,
            "a `#`, or a `/`, `?` or `@` where it cannot be: in a user name, a password or a virtual host write `%23`, `%2F`, `%3F` and `%40`",
        ));
    }
    let mut config = RabbitMqConfig::default();
    if is_tls {
        config.tls = Some(TlsConfig::default());
    }
    read_authority(authority, &mut config).map_err(|what| wrong(url, what))?;
    config.vhost = vhost(path).map_err(|what| wrong(url, what))?;
    options::read(options, &mut config)?;
    // A client that shows a certificate and names no user is who the certificate says.
    let has_certificate = config
        .tls
        .as_ref()
        .is_some_and(|tls| tls.certificate.is_some());
    if has_certificate && !authority.contains('@') && !options.contains("auth_mechanism") {
        config.auth_mechanism = AuthMechanism::External;
    }
    Ok(config)
}

/// Whether an `@` among the options may be the end of a password with a `?` in it.
fn hides_password(options: &str) -> bool {
    let mut with_at = options.split('&').filter(|option| option.contains('@'));
    with_at.any(|option| !option.starts_with("management=") && !option.starts_with("name="))
}

fn read_authority(authority: &str, config: &mut RabbitMqConfig) -> Result<(), &'static str> {
    let place = match authority.rsplit_once('@') {
        Some((credentials, place)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            if user.is_empty() {
                return Err("an `@` without a user before it");
            }
            config.user = decode(user)?;
            config.password = decode(password)?.into();
            place
        }
        None => authority,
    };
    let port = if config.tls.is_some() { TLS_PORT } else { PORT };
    let Place { host, port } = Place::read(place, "localhost", port)?;
    (config.host, config.port) = (host, port);
    Ok(())
}

/// No path is the virtual host `/`, and anything after the slash is the name.
fn vhost(path: &str) -> Result<String, &'static str> {
    match path.strip_prefix('/') {
        None => Ok("/".to_owned()),
        Some("") => Err(
            "a slash at its end, which names the virtual host with the empty name: leave the slash out for the virtual host `/`",
        ),
        Some(name) if name.contains('/') => {
            Err("a virtual host with a slash in it: write `%2F` for a slash in the name")
        }
        Some(name) => decode(name),
    }
}

fn wrong(url: &str, what: &str) -> Error {
    misuse(format!(
        "`{}` is not a RabbitMQ URL, it has {what}: write `amqp://USER:PASSWORD@HOST:5672/VHOST`",
        redact(url)
    ))
}
