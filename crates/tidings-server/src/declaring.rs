//! What must exist before a server starts: all of it declared, or most of it left to others.

use std::sync::Arc;

use tidings_core::{
    ErrorKind,
    convention::{Attachment, Convention},
    error::Result,
    topology::Topology,
    transport::Transport,
};
use tidings_router::Route;
use tracing::warn;

use crate::server::plan;

/// Declares everything that the routes need.
pub(crate) async fn everything(
    transport: &dyn Transport,
    convention: &dyn Convention,
    routes: &[(Route, Arc<Attachment>)],
) -> Result<()> {
    declare(transport, convention, &plan::topology(routes, convention)).await
}

/// Declares what nobody but this convention knows, and warns of what others should have declared.
pub(crate) async fn additions(
    transport: &dyn Transport,
    convention: &dyn Convention,
    routes: &[(Route, Arc<Attachment>)],
) -> Result<()> {
    for (_, attachment) in routes {
        let ours = convention.additions(attachment);
        // Looking first: whoever leaves the topology to others may have no right to declare what is there already.
        let there = transport.compare(&ours).await;
        if !there.is_ok_and(|differences| differences.is_empty()) {
            declare(transport, convention, &ours)
                .await
                .map_err(|error| {
                    error.within(format_args!(
                    "cannot declare what failures of subscriber `{}` need and nobody else declares",
                    attachment.subscriber
                ))
                })?;
        }
        warn_of_missing(transport, attachment, &ours).await;
    }
    Ok(())
}

async fn declare(
    transport: &dyn Transport,
    convention: &dyn Convention,
    topology: &Topology,
) -> Result<()> {
    match transport.declare(topology).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let differences = transport.compare(topology).await.unwrap_or_default();
            Err(convention.explain(error, &differences))
        }
        declared => declared,
    }
}

/// A failed message whose detour does not exist stays in its queue and comes again at once, for ever. That the
/// queue to consume exists is not asked here: subscribing tells.
async fn warn_of_missing(transport: &dyn Transport, attachment: &Attachment, ours: &Topology) {
    for queue in &attachment.topology.queues {
        if queue.name == attachment.queue || ours.queues.contains(queue) {
            continue;
        }
        let seen = transport.queues(std::slice::from_ref(&queue.name)).await;
        if seen.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            warn!(
                queue = &*queue.name,
                subscriber = &*attachment.subscriber,
                "a queue that failures need does not exist: until somebody declares it, messages that fail \
                 stay in their queue and come again at once"
            );
        }
    }
}
