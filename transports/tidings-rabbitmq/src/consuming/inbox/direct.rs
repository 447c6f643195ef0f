//! Replies without a queue: RabbitMQ's direct reply-to.
//!
//! A channel that consumes from a pseudo-queue without acks gets every reply that is addressed to it, and the requests
//! have to be published on that same channel. So such an inbox is a channel, and it ends with it.

use std::sync::{Arc, Weak};

use lapin::options::BasicCancelOptions;
use tidings_core::{Result, transport::Inbox};

use super::Line;
use crate::{
    config::RabbitMqConfig,
    connection::{Generation, Reactor, Supervised},
    error,
    publisher::RabbitMqPublisher,
    publishing::Publishing,
};

/// Where the broker delivers replies to; it puts an address of ours in its place on the way to whoever replies.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Opens an inbox on this connection, which publishes as well.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the connection is lost meanwhile or blocked by the broker, or if it takes
/// longer than ten seconds, else what the broker says.
///
/// # Cancel safety
/// Yes: an inbox that nobody receives is closed.
pub(crate) async fn open(
    connection: &Supervised,
    config: &Arc<RabbitMqConfig>,
    reactor: &Arc<Reactor>,
) -> Result<Inbox> {
    let config = Arc::clone(config);
    super::open(connection, reactor, move |generation, reactor| {
        let config = Arc::clone(&config);
        async move { consume(generation, &config, &reactor).await }
    })
    .await
}

async fn consume(
    generation: Generation,
    config: &RabbitMqConfig,
    reactor: &Weak<Reactor>,
) -> Result<Inbox> {
    let channel = generation.channel().await?;
    let line = Line::consume(generation.clone(), channel.clone(), REPLY_TO.into()).await?;
    let reactor = reactor.upgrade().ok_or_else(error::closed)?;
    let publishing = Publishing::over(channel, generation, config, &reactor).await?;
    let reply_to: Arc<str> = REPLY_TO.into();
    let replies = line.serve(&reply_to, &reactor, |channel, tag| async move {
        channel
            .basic_cancel(tag, BasicCancelOptions::default())
            .await
    });
    Ok(Inbox {
        reply_to,
        publisher: Arc::new(RabbitMqPublisher::new(publishing)),
        replies: Box::new(replies),
    })
}
