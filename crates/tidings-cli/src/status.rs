//! How queues are, also where a transport can only look at those that are named.

use std::sync::Arc;

use anyhow::{Context, Result};
use tidings::{
    ErrorKind,
    transport::{QueueStatus, Transport},
};

/// Every queue of the broker, by name.
pub(crate) async fn all(transport: &dyn Transport) -> Result<Vec<QueueStatus>> {
    let mut all = transport
        .queues(&[])
        .await
        .context("cannot list the queues")?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Of these queues those that exist.
pub(crate) async fn existing(
    transport: &dyn Transport,
    names: impl IntoIterator<Item = Arc<str>>,
) -> Result<Vec<QueueStatus>> {
    let mut existing = Vec::new();
    for name in names {
        match transport.queues(&[Arc::clone(&name)]).await {
            Ok(found) => existing.extend(found),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("cannot look at queue `{name}`")),
        }
    }
    Ok(existing)
}

/// How many messages wait in a queue at this moment.
pub(crate) async fn ready(transport: &dyn Transport, queue: &Arc<str>) -> Result<u64> {
    let status = transport.queues(std::slice::from_ref(queue)).await?;
    Ok(status.iter().map(|queue| queue.ready).sum())
}
