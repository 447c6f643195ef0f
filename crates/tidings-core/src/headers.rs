//! The headers of an envelope: a small ordered map from names to values.
//!
//! Values have the types that AMQP 0.9.1 field tables have, because that is the richest set among our
//! transports; others write them as text. Every header name that Tidings itself uses is a constant here
//! and nowhere else (`cargo xtask tidy` checks it).

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

/// How often a domain message has been given back after a failure (`wire: domain messages`).
pub const REDELIVERY_COUNT: &str = "redelivery_count";
/// The main queue that a retried domain message belongs to.
pub const QUEUE: &str = "queue";
/// The broker's own history of dead-lettering: a list of tables.
pub const X_DEATH: &str = "x-death";
/// The exchange of the first dead-lettering.
pub const X_FIRST_DEATH_EXCHANGE: &str = "x-first-death-exchange";
/// The queue of the first dead-lettering.
pub const X_FIRST_DEATH_QUEUE: &str = "x-first-death-queue";
/// The reason of the first dead-lettering.
pub const X_FIRST_DEATH_REASON: &str = "x-first-death-reason";
/// How often a quorum queue has delivered a message in vain. The broker's own note, not the publisher's.
pub const X_DELIVERY_COUNT: &str = "x-delivery-count";
/// How often a quorum queue of RabbitMQ 4 has handed a message out. The broker's own note, not the publisher's.
pub const X_ACQUIRED_COUNT: &str = "x-acquired-count";
/// Why a message became a dead letter: `max_retries`, `fatal`, `undecodable`, …
pub const REASON: &str = "tidings-reason";
/// The last error, as text.
pub const ERROR: &str = "tidings-error";
/// How often its handler was tried.
pub const ATTEMPTS: &str = "tidings-attempts";
/// When the first attempt failed (RFC 3339).
pub const FIRST_FAILED_AT: &str = "tidings-first-failed-at";
/// When the last attempt failed (RFC 3339).
pub const LAST_FAILED_AT: &str = "tidings-last-failed-at";
/// Whose handler failed.
pub const SUBSCRIBER: &str = "tidings-subscriber";
/// The machine on which it failed.
pub const HOST: &str = "tidings-host";
/// Not to be handled before this time (milliseconds since the Unix epoch).
pub const NOT_BEFORE: &str = "tidings-not-before";
/// The exchange that a message kept in a spool was published to.
pub const SPOOLED_EXCHANGE: &str = "tidings-spooled-exchange";
/// The routing key that a message kept in a spool was published with.
pub const SPOOLED_KEY: &str = "tidings-spooled-key";
/// Whether a message kept in a spool may find no queue. Absent if it may not.
pub const SPOOLED_OPTIONAL: &str = "tidings-spooled-optional";
/// Whether a message kept in a spool was published as transient. Absent if it was persistent.
pub const SPOOLED_TRANSIENT: &str = "tidings-spooled-transient";
/// The expiration that a message kept in a spool was published with, in milliseconds.
pub const SPOOLED_EXPIRATION: &str = "tidings-spooled-expiration";

/// A header value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HeaderValue {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer; transports write it as narrow as it fits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Bytes that are not text.
    Bytes(Bytes),
    /// Seconds since the Unix epoch.
    Timestamp(i64),
    /// A list.
    List(Vec<Self>),
    /// A table.
    Table(Headers),
}

impl HeaderValue {
    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(int) = self {
            Some(*int)
        } else {
            None
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self {
            Some(list)
        } else {
            None
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Headers> {
        if let Self::Table(table) = self {
            Some(table)
        } else {
            None
        }
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}
impl From<Arc<str>> for HeaderValue {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for HeaderValue {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}
impl From<bool> for HeaderValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// Header names and values, in the order they were set; brokers may change the order, so it does not count when two
/// are compared. An empty one holds no memory.
#[derive(Default)]
pub struct Headers(Vec<(Cow<'static, str>, HeaderValue)>);

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The text of a header, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(HeaderValue::as_str)
    }

    /// The integer of a header, if it is one.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(HeaderValue::as_int)
    }

    /// Sets a header, replacing its value in place if it is there.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<HeaderValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a header and returns the headers, for building them in one expression.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<HeaderValue>,
    ) -> Self {
        self.set(name, value);
        self
    }

    /// Removes a header.
    pub fn remove(&mut self, name: &str) -> Option<HeaderValue> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    /// Keeps only the headers whose name passes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        // Most messages have none and are cloned several times on their way; an empty `Vec` has its price.
        if self.is_empty() {
            return Self::new();
        }
        Self(self.0.clone())
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        // Nearly always the order is the same, and then looking for names is not needed.
        let same_place = || self.0 == other.0;
        let any_place = || {
            let mut theirs: Vec<_> = other.iter().collect();
            let mut ours: Vec<_> = self.iter().collect();
            theirs.sort_by_key(|(name, _)| *name);
            ours.sort_by_key(|(name, _)| *name);
            ours == theirs
        };
        self.len() == other.len() && (same_place() || any_place())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<Cow<'static, str>>, V: Into<HeaderValue>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in pairs {
            headers.set(name, value);
        }
        headers
    }
}

/// Text headers as a map, for transports and tools that know nothing richer.
impl From<BTreeMap<String, String>> for Headers {
    fn from(map: BTreeMap<String, String>) -> Self {
        map.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn keep_the_order_in_which_they_were_set() {
        let mut headers = Headers::new().with("b", 1).with("a", "x").with("c", true);
        assert_eq!(names(&headers), ["b", "a", "c"]);
        headers.set("b", 2);
        assert_eq!(names(&headers), ["b", "a", "c"], "replaced in place");
        assert_eq!((headers.int("b"), headers.len()), (Some(2), 3));

        assert_eq!(headers.remove("a"), Some("x".into()));
        assert_eq!(headers.remove("a"), None);
        assert_eq!(names(&headers), ["b", "c"]);
        headers.retain(|name| name != "b");
        assert_eq!(names(&headers), ["c"]);
        headers.remove("c");
        assert!(headers.is_empty());
        assert_eq!(headers, Headers::new());
    }

    #[test]
    fn a_value_of_another_type_is_not_there() {
        let list = HeaderValue::List(vec![1.into()]);
        let table = HeaderValue::Table(Headers::new().with("x", 1));
        let headers = Headers::new()
            .with("text", "7")
            .with("int", 7)
            .with("list", list)
            .with("table", table);
        assert_eq!(
            (headers.text("text"), headers.int("text")),
            (Some("7"), None)
        );
        assert_eq!((headers.text("int"), headers.int("int")), (None, Some(7)));
        assert_eq!(headers.text("Text"), None, "names are exact");
        let get = |name| headers.get(name).unwrap();
        assert_eq!(get("list").as_list().unwrap().len(), 1);
        assert_eq!(get("table").as_table().unwrap().int("x"), Some(1));
        assert!(get("table").as_list().is_none() && get("list").as_table().is_none());
        assert!(get("list").as_str().is_none() && get("table").as_int().is_none());
    }

    #[test]
    fn the_order_does_not_count_when_two_are_compared() {
        let (one, two) = (
            Headers::new().with("a", 1).with("b", 2),
            Headers::new().with("b", 2).with("a", 1),
        );
        assert_eq!(one, two);
        assert_ne!(one, two.with("c", 3));
        assert_ne!(one, Headers::new().with("b", 1).with("a", 2));
    }

    #[test]
    fn of_a_name_given_twice_the_last_value_counts() {
        let headers: Headers = [("a", 1), ("b", 2), ("a", 3)].into_iter().collect();
        assert_eq!(names(&headers), ["a", "b"]);
        assert_eq!(headers.int("a"), Some(3));
        let map = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert_eq!(Headers::from(map).text("k"), Some("v"));
    }
}
