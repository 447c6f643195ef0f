//! What a server needs before it can start: attachments, topology, capabilities.

use std::{collections::BTreeMap, sync::Arc};

use tidings_core::{
    Error, ErrorKind,
    convention::{Attachment, Convention},
    error::Result,
    topology::Topology,
    transport::{Capability, Transport},
};
use tidings_router::{Route, Router};

/// Routes and the places where they stand.
pub(crate) type Attached = Vec<(Route, Arc<Attachment>)>;

/// Finds every route's queue, and joins the handlers that share one.
pub(crate) fn attach(routes: Vec<Route>, convention: &dyn Convention) -> Result<Attached> {
    let mut places: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut groups: Vec<(Attachment, Vec<Route>)> = Vec::with_capacity(routes.len());
    for route in routes {
        route.check()?;
        let retry = route
            .options()
            .retry
            .clone()
            .unwrap_or_else(|| convention.retry_policy());
        let attachment = convention.attach(route.subscriber(), route.interest(), &retry)?;
        let Some(place) = places.get(&attachment.queue) else {
            places.insert(Arc::clone(&attachment.queue), groups.len());
            groups.push((attachment, vec![route]));
            continue;
        };
        let (shared, handlers) = &mut groups[*place];
        if !convention.shares_queues() || shared.subscriber != attachment.subscriber {
            return Err(twice(&attachment, &shared.subscriber));
        }
        shared.topology.merge(attachment.topology);
        handlers.push(route);
    }
    let groups = groups.into_iter();
    groups
        .map(|(attachment, handlers)| one_route(attachment, handlers, convention))
        .collect()
}

/// Also a handler that is alone is joined where queues are shared: it must not get what others are meant to handle.
fn one_route(
    mut attachment: Attachment,
    mut handlers: Vec<Route>,
    convention: &dyn Convention,
) -> Result<(Route, Arc<Attachment>)> {
    let route = match handlers.pop() {
        Some(route) if !convention.shares_queues() => route,
        last => {
            handlers.extend(last);
            Route::join(handlers)?
        }
    };
    if let Some(retry) = &route.options().retry {
        attachment.retry = retry.clone();
    }
    Ok((route, Arc::new(attachment)))
}

fn twice(attachment: &Attachment, other: &str) -> Error {
    let (queue, name) = (&attachment.queue, &attachment.subscriber);
    let context = format!(
        "subscribers `{other}` and `{name}` would both consume queue `{queue}`, so each message would reach only one of \
         them: give them different names, or raise the concurrency of one"
    );
    Error::new(ErrorKind::Misuse, context)
}

/// Everything that must exist.
pub(crate) fn topology(
    routes: &[(Route, Arc<Attachment>)],
    convention: &dyn Convention,
) -> Topology {
    let mut topology = convention.topology();
    for (_, attachment) in routes {
        topology.merge(attachment.topology.clone());
    }
    topology
}

/// Refuses a subscriber that would never receive anything.
pub(crate) fn check_router(router: &Router) -> Result<()> {
    match router.idle().first() {
        None => Ok(()),
        Some(name) => {
            let context = format!(
                "subscriber `{name}` has no handler: add one with `.on(…)`, or leave it out"
            );
            Err(Error::new(ErrorKind::Misuse, context))
        }
    }
}

/// Refuses what the transport would silently do worse than promised.
pub(crate) fn check_capabilities(
    routes: &[(Route, Arc<Attachment>)],
    convention: &dyn Convention,
    transport: &dyn Transport,
) -> Result<()> {
    let (can, scheme) = (transport.capabilities(), transport.scheme());
    let require = |wanted, feature: &str| can.require(wanted, feature, scheme);
    let topology = topology(routes, convention);
    require(
        Capability::UnroutableDetection,
        "publishing without losing what nobody receives",
    )?;
    if !topology.exchanges.is_empty() {
        require(Capability::Exchanges, "the topology of this convention")?;
    }
    if topology
        .queues
        .iter()
        .any(|queue| queue.message_ttl.is_some())
    {
        require(Capability::QueueTtl, "a retry with a delay")?;
    }
    if topology
        .queues
        .iter()
        .any(|queue| queue.dead_letter.is_some())
    {
        require(Capability::DeadLettering, "dead letters")?;
    }
    let ordered = routes
        .iter()
        .find(|(route, _)| route.options().ordered_by.is_some());
    ordered.map_or(Ok(()), |(route, _)| {
        require(
            Capability::Ordered,
            &format!("the order per key of subscriber `{}`", route.subscriber()),
        )
    })
}
