//! Where the broker's HTTP API is.

use std::fmt;

use tidings_core::{Result, transport::redact};

use crate::{
    error::misuse,
    secret::Secret,
    url::{Place, decode},
};

/// The URL of the management API, `http[s]://[user:password@]host[:port][/prefix]`.
///
/// Without a user it is asked with the credentials of the AMQP connection. `Debug` and `Display` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ManagementUrl {
    pub(crate) place: Place,
    pub(crate) is_tls: bool,
    /// Before `/api`, without a slash at its end; empty unless a proxy or the broker's settings put it there.
    pub(crate) prefix: String,
    pub(crate) credentials: Option<(String, Secret)>,
}

impl ManagementUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) that says what is wrong with it.
    pub fn from_url(url: &str) -> Result<Self> {
        Self::read(url).map_err(|what| {
            misuse(format!(
                "the management URL `{}` has {what}: write `http://HOST:15672` or `https://HOST:15671`",
                redact(url)
            ))
        })
    }

    /// Where the HTTP API of a broker is that nobody has moved it away from. Who encrypts AMQP does not send the same
    /// password in the clear.
    pub(crate) fn beside(host: &str, is_tls: bool) -> Self {
        Self {
            place: Place {
                host: host.to_owned(),
                port: if is_tls { 15671 } else { 15672 },
            },
            is_tls,
            prefix: String::new(),
            credentials: None,
        }
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        let (is_tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err("no scheme `http` or `https`"),
        };
        if rest.contains(['?', '#']) {
            return Err("a `?` or `#`, which has no meaning in it");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => {
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                (Some((decode(user)?, decode(password)?.into())), place)
            }
            None => (None, authority),
        };
        if place.is_empty() || path.contains('@') {
            return Err("no host, or a `/` in its password (write `%2F`)");
        }
        let port = if is_tls { 15671 } else { 15672 };
        let prefix = path.trim_end_matches('/');
        Ok(Self {
            place: Place::read(place, "", port)?,
            is_tls,
            // What the manual of the API gives as its address ends in `/api`.
            prefix: prefix.strip_suffix("/api").unwrap_or(prefix).to_owned(),
            credentials,
        })
    }
}

impl fmt::Display for ManagementUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let Place { host, port } = &self.place;
        let (open, close) = if host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(f, "{scheme}://{open}{host}{close}:{port}{}", self.prefix)
    }
}

impl fmt::Debug for ManagementUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::ErrorKind;

    use super::*;

    fn check(url: &str, shown: &str, user: Option<&str>) {
        let read = ManagementUrl::from_url(url).unwrap();
        assert_eq!(format!("{read:?}"), shown, "{url}");
        let found = read.credentials.as_ref().map(|(user, _)| user.as_str());
        assert_eq!(found, user, "{url}");
    }

    #[test]
    fn addresses_are_read_and_shown_without_credentials() {
        check("http://mq", "http://mq:15672", None);
        check("http://mq:80/", "http://mq:80", None);
        check(
            "https://[::1]/rabbit/api/",
            "https://[::1]:15671/rabbit",
            None,
        );
        check(
            "http://us%40er:p%2Fw@mq/api",
            "http://mq:15672",
            Some("us@er"),
        );
        check("http://user@mq", "http://mq:15672", Some("user"));
    }

    #[test]
    fn a_guess_is_encrypted_when_amqp_is() {
        let guess = |is_tls| ManagementUrl::beside("mq", is_tls).to_string();
        assert_eq!(guess(true), "https://mq:15671");
        assert_eq!(guess(false), "http://mq:15672");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "mq:15672",
            "ftp://mq",
            "http://",
            "http://u:s3cret@",
            "http://u:s3cret@mq:x",
            "http://u:s3cr/et@mq",
            "http://u:s3cret%@mq",
            "http://mq?x",
        ] {
            let error = ManagementUrl::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{url}");
            let text = error.to_string();
            assert!(text.contains("15672") && !text.contains("s3cr"), "{text}");
        }
    }
}
