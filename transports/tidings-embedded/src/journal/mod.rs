//! What must survive a crash: the changes that the broker hands over and the thread that commits them.
//!
//! Everything that is queued when the thread comes round goes into one transaction, so one `fsync` confirms as
//! many publishes as are waiting (group commit). Changes take effect in the broker only after their commit and
//! in the order in which they were handed over.

mod batch;
mod failure;
mod inbox;
mod inspection;
mod log;
mod promised;
mod recovery;
mod schema;
mod store;
mod writer;

pub(crate) use self::{inbox::Inbox, writer::Writer};
