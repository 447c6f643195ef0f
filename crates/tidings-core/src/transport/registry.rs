//! From a URL to a transport: a value that the application fills, not a global.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    transport::{BoxFuture, Transport},
};

type Open = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Arc<dyn Transport>>> + Send + Sync>;

/// Knows how to open a transport by the scheme of its URL.
///
/// The facade's `transports()` returns one that is filled by Cargo features; users may add their own scheme.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Open>);

impl Registry {
    /// Knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens URLs of this scheme with this function, instead of any earlier one.
    #[must_use]
    pub fn with<F, Fut>(mut self, scheme: &'static str, open: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn Transport>>> + Send + 'static,
    {
        self.0
            .insert(scheme, Arc::new(move |url| Box::pin(open(url))));
        self
    }

    /// Opens the transport that a URL names.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if the URL has no scheme or one that nobody registered (the error lists those that
    /// are), else whatever the transport says.
    pub async fn open(&self, url: &str) -> Result<Arc<dyn Transport>> {
        let Some((scheme, _)) = url.split_once(':').filter(|(it, _)| is_scheme(it)) else {
            return Err(self.unknown(&format!(
                "`{}` is not a transport URL: it has no scheme",
                redact(url)
            )));
        };
        let Some(open) = self.0.get(scheme) else {
            return Err(self.unknown(&format!("no transport is registered for `{scheme}:`")));
        };
        open(url.to_owned()).await
    }

    /// The schemes, in alphabetical order.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    fn unknown(&self, problem: &str) -> Error {
        let schemes: Vec<_> = self
            .schemes()
            .map(|scheme| format!("`{scheme}:`"))
            .collect();
        let known = if schemes.is_empty() {
            "none".to_owned()
        } else {
            schemes.join(", ")
        };
        Error::new(
            ErrorKind::Misuse,
            format!("{problem}; this build knows {known} (others are Cargo features)"),
        )
    }
}

fn is_scheme(text: &str) -> bool {
    let mut letters = text.chars();
    letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// A URL without its user name and password, for messages.
///
/// Everything up to the last `@` is hidden, wherever that is: a password that should have been percent-encoded
/// may hold any character, and to hide too much costs less than to show too much. That goes for what is only meant to be a
/// URL, too; but a file of the embedded broker has no password, and its path may have an `@`.
#[must_use]
pub fn redact(url: &str) -> String {
    let Some((hidden, shown)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    if url.starts_with("embedded:") && !url.starts_with("embedded://") {
        return url.to_owned();
    }
    match hidden.split_once(':').filter(|(it, _)| is_scheme(it)) {
        Some((scheme, rest)) if rest.starts_with("//") => format!("{scheme}://***@{shown}"),
        Some((scheme, _)) => format!("{scheme}:***@{shown}"),
        None => format!("***@{shown}"),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusing(text: &'static str) -> impl Future<Output = Result<Arc<dyn Transport>>> + Send {
        std::future::ready(Err(Error::new(ErrorKind::Unavailable, text)))
    }

    fn registry() -> Registry {
        Registry::new()
            .with("nats", |_| refusing("nats refuses"))
            .with("embedded", |url| async move {
                Err(Error::new(ErrorKind::Unavailable, format!("no {url}")))
            })
    }

    async fn check(registry: &Registry, url: &str, kind: ErrorKind, expected: &str) {
        let error = registry.open(url).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), kind, "{url}");
    }

    #[tokio::test]
    async fn opens_by_scheme_with_the_whole_url() {
        let registry = registry();
        for (url, said) in [
            ("embedded:", "no embedded:"),
            ("embedded:/var/lib/a:b", "no embedded:/var/lib/a:b"),
            ("nats://localhost", "nats refuses"),
        ] {
            check(&registry, url, ErrorKind::Unavailable, said).await;
        }
        let replaced = registry.with("nats", |_| refusing("the later one"));
        check(&replaced, "nats:", ErrorKind::Unavailable, "the later one").await;
    }

    #[tokio::test]
    async fn an_unknown_scheme_lists_those_that_are_known() {
        let known = "this build knows `embedded:`, `nats:` (others are Cargo features)";
        check(
            &registry(),
            "amqp://user:secret@host",
            ErrorKind::Misuse,
            &format!("no transport is registered for `amqp:`; {known}"),
        )
        .await;
        check(
            &registry(),
            "localhost",
            ErrorKind::Misuse,
            &format!("`localhost` is not a transport URL: it has no scheme; {known}"),
        )
        .await;
        let mistyped = format!("`***@host` is not a transport URL: it has no scheme; {known}");
        let url = "amqp//u:secret@host";
        check(&registry(), url, ErrorKind::Misuse, &mistyped).await;
        let none = "this build knows none (others are Cargo features)";
        let expected = format!("no transport is registered for `nats:`; {none}");
        check(&Registry::new(), "nats:", ErrorKind::Misuse, &expected).await;
    }

    #[test]
    fn redacts_whatever_may_be_a_password() {
        for (url, shown) in [
            ("embedded:", "embedded:"),
            ("embedded:/a@b", "embedded:/a@b"),
            ("amqp://host/vhost", "amqp://host/vhost"),
            ("amqp://u:p@host:5672/v", "amqp://***@host:5672/v"),
            ("nats://token@host", "nats://***@host"),
            ("amqp://u:p@ss@host", "amqp://***@host"),
            ("amqp://u:p/ss@host", "amqp://***@host"),
            ("amqp://u:p?s#s@host", "amqp://***@host"),
            ("amqp://@host", "amqp://***@host"),
            ("amqp:/u:p@host/v", "amqp:***@host/v"),
            ("amqp:u:p@host", "amqp:***@host"),
            ("amqp:\\\\u:p@host", "amqp:***@host"),
            ("amqp//u:p@host", "***@host"),
            ("u:p@host", "u:***@host"),
            ("p@host", "***@host"),
            ("u:@host", "u:***@host"),
            ("@", "***@"),
            ("", ""),
        ] {
            assert_eq!(redact(url), shown);
        }
    }
}
