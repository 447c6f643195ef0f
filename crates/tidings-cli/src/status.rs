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

/// These queues, each of which must exist. What the transport can only tell of all queues together is added.
pub(crate) async fn named(
    transport: &dyn Transport,
    names: &[Arc<str>],
) -> Result<Vec<QueueStatus>> {
    let mut queues = transport.queues(names).await?;
    if queues.iter().all(|queue| queue.unsettled.is_some()) {
        return Ok(queues);
    }
    // Without the list they are as good as they are.
    for listed in transport.queues(&[]).await.unwrap_or_default() {
        if let Some(queue) = queues.iter_mut().find(|queue| queue.name == listed.name) {
            queue.unsettled = queue.unsettled.or(listed.unsettled);
            queue.rates = queue.rates.or(listed.rates);
        }
    }
    Ok(queues)
}

/// Of these queues those that exist, as they are now: what a list says may be some seconds old.
pub(crate) async fn existing(
    transport: &dyn Transport,
    names: impl IntoIterator<Item = Arc<str>>,
) -> Result<Vec<QueueStatus>> {
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    match transport.queues(&names).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        queues => return queues.context("cannot look at the queues"),
    }
    let mut existing = Vec::new();
    for name in names {
        match transport.queues(&[Arc::clone(&name)]).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            queue => {
                let queue = queue.with_context(|| format!("cannot look at queue `{name}`"));
                existing.extend(queue?);
            }
        }
    }
    Ok(existing)
}

/// How many messages wait in a queue at this moment.
pub(crate) async fn ready(transport: &dyn Transport, queue: &Arc<str>) -> Result<u64> {
    let status = transport.queues(std::slice::from_ref(queue)).await?;
    Ok(status.iter().map(|queue| queue.ready).sum())
}
