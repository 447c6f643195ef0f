//! Exclusion across processes: who holds a key, and the token that proves it.
//!
//! Inside one process the runtime keeps messages with equal keys apart by itself. A [`LockStore`] does it between
//! processes, with leases: a holder that dies is forgotten after a while, and a holder that was only slow is found out
//! by its [`FencingToken`], which is smaller than that of whoever came after it.

use std::fmt;

use crate::{
    Deadline, Error, ErrorKind,
    error::Result,
    extract::{FromCall, Scope},
    transport::BoxFuture,
};

/// Keys that one holder in all processes can hold at a time.
pub trait LockStore: fmt::Debug + Send + Sync + 'static {
    /// Waits until the key is free and takes it, in the order of asking as far as the store can tell.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) if it was not free before the deadline,
    /// [`Unavailable`](ErrorKind::Unavailable) if the store cannot be reached.
    ///
    /// # Cancel safety
    /// Yes: a lease that nobody receives is released.
    fn acquire<'a>(&'a self, key: &'a str, deadline: Deadline) -> BoxFuture<'a, Result<Lease>>;
}

/// A key that is held until this is released or dropped.
pub struct Lease {
    token: FencingToken,
    held: Box<dyn Held>,
}

/// What a [`LockStore`] does with a lease.
pub trait Held: Send + Sync + 'static {
    /// Resolves when the lease was lost although nobody released it: somebody else may hold the key now.
    fn lost(&self) -> BoxFuture<'_, ()>;

    /// Gives the key back. Called once, also when the lease is dropped: must not block.
    fn release(&self);
}

impl Lease {
    /// A lease with this token.
    #[must_use]
    pub fn new(token: FencingToken, held: Box<dyn Held>) -> Self {
        Self { token, held }
    }

    /// The proof of holding the key.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Resolves when the lease was lost although nobody released it.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub async fn lost(&self) {
        self.held.lost().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.release();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A number that grows with every holder of a key, for resources that refuse whoever comes with a smaller one than
/// they have seen.
///
/// A handler asks for it as an argument; `Option<FencingToken>` where the service may run without a lock store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S> FromCall<S> for FencingToken {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        scope.call.extensions.get().copied().ok_or_else(|| {
            let context = "this message holds no lock of a lock store: give the server one, and its subscriber a key";
            Error::new(ErrorKind::Misuse, context)
        })
    }
}
