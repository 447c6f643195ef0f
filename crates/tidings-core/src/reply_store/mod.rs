//! Answers that are remembered: a request that is delivered again gets the answer that it got before.
//!
//! A message is delivered at least once, so a request may come again after its work has been done. A [`ReplyStore`]
//! knows which requests are being handled and how those that were handled have been answered; the idempotency layer
//! of `tidings-layers` asks it. A store keeps replies as they were sent, so it may hold secrets: protect it as you
//! protect what the replies are about.

mod memory;

use std::{fmt, time::Duration};

pub use self::memory::MemoryReplies;
use crate::{Payload, error::Result, transport::BoxFuture};

/// The answers to requests, by a key that is the same for every delivery of one request.
pub trait ReplyStore: fmt::Debug + Send + Sync + 'static {
    /// Asks for a request, and claims it if nobody else has.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached.
    ///
    /// # Cancel safety
    /// Yes: a claim that nobody receives is given back, or runs out.
    fn claim<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Claim>>;
}

/// What is known of a request.
pub enum Claim {
    /// Nothing: whoever asked handles it now.
    Fresh(Claimed),
    /// Somebody is handling it. The future resolves when it is worth asking again, and sometimes too early.
    Taken(BoxFuture<'static, ()>),
    /// It was handled, and this is its reply; `None` for a reply that says nothing.
    Known(Option<Payload>),
}

/// The right to handle a request and to say how it was answered. Dropping it lets somebody else handle the request.
///
/// A store in which a claim runs out renews it as long as this lives.
pub struct Claimed(Option<Box<dyn Keep>>);

/// What a [`ReplyStore`] does with a claim.
pub trait Keep: Send + 'static {
    /// Keeps the reply for this long, and ends the claim. Goes on if the future is dropped.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full) if the reply is larger than what the store keeps,
    /// [`Conflict`](crate::ErrorKind::Conflict) if the claim ran out and somebody else has it,
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached.
    fn keep(
        self: Box<Self>,
        reply: Option<Payload>,
        how_long: Duration,
    ) -> BoxFuture<'static, Result<()>>;

    /// Gives the claim back. Must not block.
    fn release(self: Box<Self>);
}

impl Claimed {
    /// A claim that is given back or turned into an answer in this way.
    #[must_use]
    pub fn new(keep: Box<dyn Keep>) -> Self {
        Self(Some(keep))
    }

    /// Keeps the reply for this long, and ends the claim.
    ///
    /// # Errors
    /// As [`Keep::keep`]. The claim is given back, so that the next delivery is handled again.
    ///
    /// # Cancel safety
    /// Yes: the reply is kept although nobody waits for it.
    pub async fn keep(mut self, reply: Option<Payload>, how_long: Duration) -> Result<()> {
        match self.0.take() {
            Some(keep) => keep.keep(reply, how_long).await,
            None => Ok(()),
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(keep) = self.0.take() {
            keep.release();
        }
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed").finish_non_exhaustive()
    }
}

/// Shows the size of a reply, never the reply.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh(_) => f.write_str("Fresh"),
            Self::Taken(_) => f.write_str("Taken"),
            Self::Known(reply) => f.debug_tuple("Known").field(reply).finish(),
        }
    }
}
