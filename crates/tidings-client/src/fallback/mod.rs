//! What happens to a publish while the broker is away: it is kept, and replayed when the broker is back.
//!
//! A [`FallbackPublisher`] tries the broker first and gives what it cannot take to a [`Spool`]: a file
//! ([`FileSpool`]) or a queue on a second transport ([`QueueSpool`]). A [`Replayer`] empties the spool once the
//! broker is back. [`Client::with_fallback`](crate::Client::with_fallback) joins the three.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_client::{Client, fallback::FileSpool};
//! use tidings_core::{error::Result, tasks::Tasks};
//!
//! fn with_fallback(client: &Client, tasks: &Tasks) -> Result<Client> {
//!     let spool = FileSpool::open("registration.spool")?;
//!     Ok(client.with_fallback(Arc::new(spool), tasks))
//! }
//! ```
//!
//! What it deliberately does not do: keep messages in order across an outage (a message published while
//! others are still in the spool overtakes them), and recognise duplicates (a message whose confirm was lost may be
//! at the broker and in the spool; both copies carry the same id).

mod file;
mod outage;
mod publisher;
mod queue;
mod record;
mod replayer;
mod tally;

use std::fmt;

use tidings_core::{
    Call, Completion, ErrorKind,
    error::Result,
    transport::{BoxFuture, Publisher},
};

pub use self::{
    file::FileSpool, publisher::FallbackPublisher, queue::QueueSpool, replayer::Replayer,
};

/// How many publishes of a replay are under way at a time, and so how many a crash may repeat.
const WINDOW: usize = 256;

/// A place that keeps calls until they can be published.
///
/// A call that nobody waits for any more is still kept: deadlines and extensions do not survive a spool, because
/// they mean something in one process only.
pub trait Spool: fmt::Debug + Send + Sync + 'static {
    /// Keeps a call. The completion resolves once it survives a crash.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] if there is no room, [`ErrorKind::Unavailable`] if the place cannot be reached.
    ///
    /// # Cancel safety
    /// Dropping the completion gives up the answer; the call is kept all the same.
    fn store(&self, call: Call) -> Completion;

    /// Publishes what was kept when it was called, oldest first, and forgets each call only after its confirm.
    /// Returns how many. Storing goes on meanwhile.
    ///
    /// # Errors
    /// The first failed publish; what was not confirmed stays kept. It stops at the first call that finds the
    /// broker away. A call that the broker refuses stays kept without holding up those behind it.
    ///
    /// # Cancel safety
    /// Yes: what was not confirmed, or not yet noted as confirmed, is published again by the next replay.
    fn replay<'a>(&'a self, to: &'a dyn Publisher) -> BoxFuture<'a, Result<u64>>;

    /// How many calls are kept.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the place cannot be reached.
    fn kept(&self) -> BoxFuture<'_, Result<u64>>;
}

/// Whether an error means that the broker is away or full, so that another place, or another time, may do better.
/// All other errors would be the same tomorrow and belong to the caller.
fn is_away(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::Unconfirmed
            | ErrorKind::Closed
            | ErrorKind::Timeout
            | ErrorKind::Full
    )
}
