//! Where the log server is, how to get in, and how much may wait for it.

use std::{fmt, time::Duration};

use http::{HeaderValue, Uri};
use tidings_core::{Error, ErrorKind, error::Result};

/// Settings of a [`Journal`](super::Journal). `Debug` hides the token.
#[derive(Clone)]
pub struct JournalConfig {
    pub(super) requests: Uri,
    pub(super) responses: Uri,
    pub(super) token: HeaderValue,
    pub(super) capacity: usize,
    pub(super) most_bytes: usize,
    pub(super) connections: usize,
    pub(super) patience: Duration,
    pub(super) longest_wait: Duration,
}

impl JournalConfig {
    /// The log server whose API begins at this URL, for example `https://logs.example.com/api/v1`, and its token.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if the URL or the token cannot be what they should be. The error does not show the token.
    pub fn new(base_url: &str, api_token: &str) -> Result<Self> {
        let mut token = HeaderValue::from_str(api_token)
            .ok()
            .filter(|_| !api_token.is_empty())
            .ok_or_else(|| {
                misuse("the token of the log server is empty, or has characters in it that no token has: correct `api_token`")
            })?;
        token.set_sensitive(true);
        Ok(Self {
            requests: endpoint(base_url, "rpc-requests")?,
            responses: endpoint(base_url, "rpc-responses")?,
            token,
            capacity: 4_096,
            most_bytes: 32 << 20,
            connections: 4,
            patience: Duration::from_secs(10),
            longest_wait: Duration::from_secs(30),
        })
    }

    /// How many records may wait, 4,096 unless said otherwise. Those of requests under way count.
    #[must_use]
    pub fn with_capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// How many bytes the waiting records may have together, 32 MiB unless said otherwise.
    #[must_use]
    pub fn with_most_bytes(mut self, bytes: usize) -> Self {
        self.most_bytes = bytes;
        self
    }

    /// How many connections are used at a time, 4 unless said otherwise. They are kept open.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long the log server may take for one record, 10 s unless said otherwise.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long to wait at most between two attempts, 30 s unless said otherwise.
    #[must_use]
    pub fn with_longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }
}

fn endpoint(base_url: &str, name: &str) -> Result<Uri> {
    let wrong = |what: &str| {
        misuse(format!(
            "the URL of the log server {what}: write `base_url` as in `https://logs.example.com/api/v1`"
        ))
    };
    if !base_url.starts_with("http://") && !base_url.starts_with("https://") {
        return Err(wrong("does not begin with `http://` or `https://`"));
    }
    let uri: Uri = format!("{}/{name}", base_url.trim_end_matches('/'))
        .parse()
        .map_err(|_| wrong("is none"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(wrong("has a user in it, and a token is all that it needs"));
    }
    if uri.query().is_some() || base_url.contains('#') {
        return Err(wrong("has a `?` or `#` in it, which has no meaning here"));
    }
    Ok(uri)
}

fn misuse(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

impl fmt::Debug for JournalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalConfig")
            .field("requests", &self.requests)
            .field("capacity", &self.capacity)
            .field("most_bytes", &self.most_bytes)
            .field("connections", &self.connections)
            .field("patience", &self.patience)
            .field("longest_wait", &self.longest_wait)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_with_one_slash() {
        for url in [
            "http://logs/api/v1",
            "http://logs/api/v1/",
            "http://logs/api/v1//",
        ] {
            let config = JournalConfig::new(url, "t").unwrap();
            assert_eq!(config.requests, "http://logs/api/v1/rpc-requests");
            assert_eq!(config.responses, "http://logs/api/v1/rpc-responses");
        }
        let bare = JournalConfig::new("https://[::1]:4194", "t").unwrap();
        assert_eq!(bare.requests, "https://[::1]:4194/rpc-requests");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        for (url, token, says) in [
            ("logs", "t", "does not begin with"),
            ("ftp://logs", "t", "does not begin with"),
            ("http://", "t", "is none"),
            ("http://logs?a=b", "t", "`?`"),
            ("http://logs/#a", "t", "`?`"),
            ("http://user:hunter2@logs", "t", "has a user"),
            ("http://logs", "", "token"),
            ("http://logs", "hunter2\n", "token"),
        ] {
            let error = JournalConfig::new(url, token).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            let text = error.to_string();
            assert!(
                text.contains(says) && !text.contains("hunter2"),
                "{url}: {text}"
            );
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let config = JournalConfig::new("http://logs", "hunter2").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
