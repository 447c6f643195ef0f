//! What the stores need of a database: few statements, each of which is whole by itself.

use std::{borrow::Cow, fmt, time::Duration};

use tidings_core::{Payload, error::Result, transport::BoxFuture};

/// One of the two tables in which keys are held by leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Keys of locks.
    Locks,
    /// Keys of requests that are handled, or have been.
    Replies,
}

/// A row of the replies that is valid.
#[derive(Debug)]
pub(crate) enum Found {
    /// Somebody handles the request.
    Claimed,
    /// Its reply.
    Kept(Option<Payload>),
}

/// A reply on its way into the table.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) token: i64,
    pub(crate) reply: Option<Payload>,
    pub(crate) how_long: Duration,
}

/// A database with both tables. Times are by its own clock, which all processes share.
pub(crate) trait Database: fmt::Debug + Send + Sync + 'static {
    /// Takes a key that nobody holds, or whose lease has run out; returns a token that is larger than all before it.
    fn take<'a>(
        &'a self,
        table: Table,
        key: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<i64>>>;

    /// Lets leases last this long from now; returns the tokens of those that are still held.
    fn renew(
        &self,
        table: Table,
        tokens: Vec<i64>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<i64>>>;

    /// Gives keys back, as far as these tokens still hold them.
    fn give_back(&self, table: Table, tokens: Vec<i64>) -> BoxFuture<'_, Result<()>>;

    /// What is known of a request.
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Found>>>;

    /// Turns a claim into a reply; `false` if somebody else has the claim.
    fn keep(&self, kept: Kept) -> BoxFuture<'_, Result<bool>>;

    /// Removes what has expired, and the oldest replies beyond this number.
    fn sweep(&self, replies: u32) -> BoxFuture<'_, Result<()>>;

    /// Ends the connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Milliseconds, as both databases take them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// A reply in the columns of its content type and its bytes; both are null where there was nothing to say.
pub(crate) fn to_columns(reply: Option<Payload>) -> (Option<String>, Option<Vec<u8>>) {
    let Some(reply) = reply else {
        return (None, None);
    };
    let content_type = reply.content_type.map(Cow::into_owned);
    (content_type, Some(reply.bytes.to_vec()))
}

/// As [`to_columns`], the other way round.
pub(crate) fn from_columns(
    content_type: Option<String>,
    bytes: Option<Vec<u8>>,
) -> Option<Payload> {
    bytes.map(|bytes| Payload {
        bytes: bytes.into(),
        content_type: content_type.map(Into::into),
    })
}
