//! A way to ask: messages go out with a reply address, and the replies come in here.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use super::{Capability, Publisher, Subscriber, Subscription, Transport};
use crate::{
    error::Result,
    topology::{Queue, Topology},
};

/// How many replies may be handed out and unsettled at a time.
const PREFETCH: u16 = 1_024;

/// A reply address of our own, and the two ends that belong to it.
///
/// An inbox lives as long as its connection: when that ends, [`replies`](Self::replies) yields one error and then
/// `None`, and replies on their way are lost. Whoever waits for one opens another inbox and asks again, or gives up.
pub struct Inbox {
    /// What a request carries as its `reply_to`.
    pub reply_to: Arc<str>,
    /// Requests must be published through this publisher: some brokers tie the address to a connection.
    pub publisher: Arc<dyn Publisher>,
    /// The replies. They are settled like other deliveries. A request that no queue has received may come back here,
    /// marked with [`Returned`], instead of failing when it is published; so may word of an exchange that has [`Vanished`].
    pub replies: Box<dyn Subscriber>,
}

/// In the extensions of a call that an inbox yields: it is no reply, but a request of ours that no queue has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned;

/// In the extensions of a call that an inbox yields: it is no reply. The exchange in its address is gone, or closed to us, and no
/// request that was sent to it until now will be answered; some may have been handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// What the broker says.
    pub why: Arc<str>,
}

impl Inbox {
    /// An inbox over a queue that belongs to this connection, for transports without something better.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the transport has no exclusive queues, else what it says.
    pub async fn over_exclusive_queue<T: Transport + ?Sized>(transport: &T) -> Result<Self> {
        let can = transport.capabilities();
        can.require(
            Capability::ExclusiveQueues,
            "an inbox for replies",
            transport.scheme(),
        )?;
        let reply_to: Arc<str> = format!("replies.{}", Uuid::new_v4()).into();
        let queue = Queue::exclusive(Arc::clone(&reply_to));
        transport.declare(&Topology::new().queue(queue)).await?;
        let to = Subscription::to(Arc::clone(&reply_to)).with_prefetch(PREFETCH);
        Ok(Self {
            replies: transport.subscribe(to).await?,
            publisher: transport.publisher().await?,
            reply_to,
        })
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("reply_to", &self.reply_to)
            .finish_non_exhaustive()
    }
}
