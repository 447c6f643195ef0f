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
        let Some((scheme, _)) = url.split_once(':') else {
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

/// A URL without its user name and password, for messages.
#[must_use]
pub fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes()).finish()
    }
}
