//! One address for answers, as long as it lasts: who waits there, and through which exchanges answers come to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::Histogram;
use tidings_core::{
    Delivery, Settlement,
    call::Message,
    error::Result,
    topology::Exchange,
    transport::{Publisher, Returned, Subscriber, Transport, Vanished},
};
use tracing::debug;

use super::{
    observed::{self, Observed},
    pending::{Answer, Pending},
};

/// An open inbox, without the reading end.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) reply_to: Arc<str>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) pending: Arc<Pending>,
    routes: Mutex<HashMap<Arc<str>, Arc<Route>>>,
    /// Held by the one who routes, so that many first calls route an exchange once.
    routing: tokio::sync::Mutex<()>,
}

/// An exchange through which answers come to this line.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) exchange: Arc<str>,
    pub(super) answered: Histogram,
}

impl Line {
    pub(super) fn new(
        reply_to: Arc<str>,
        publisher: Arc<dyn Publisher>,
        pending: Arc<Pending>,
    ) -> Self {
        Self {
            reply_to,
            publisher,
            pending,
            routes: Mutex::default(),
            routing: tokio::sync::Mutex::default(),
        }
    }

    /// The way back through this exchange, which is made if it is not known.
    ///
    /// # Cancel safety
    /// Yes: what is half made is made again by the next one.
    pub(super) async fn route(
        &self,
        transport: &dyn Transport,
        name: &str,
        exchange: Option<&Exchange>,
    ) -> Result<Arc<Route>> {
        if let Some(route) = self.known(name) {
            return Ok(route);
        }
        let _one_at_a_time = self.routing.lock().await;
        if let Some(route) = self.known(name) {
            return Ok(route);
        }
        if let Some(exchange) = exchange {
            transport.route_replies(&self.reply_to, exchange).await?;
        }
        let route = Arc::new(Route {
            exchange: name.into(),
            answered: observed::answered(name),
        });
        let exchange = Arc::clone(&route.exchange);
        self.routes().insert(exchange, Arc::clone(&route));
        Ok(route)
    }

    /// This way back does not exist any more; a newer one through the same exchange stays.
    pub(super) fn forget(&self, route: &Arc<Route>) {
        let mut routes = self.routes();
        let is_this = |known: &Arc<Route>| Arc::ptr_eq(known, route);
        if routes.get(&route.exchange).is_some_and(is_this) {
            routes.remove(&route.exchange);
        }
    }

    /// The exchange of this way is gone: whoever has called it will get no answer, and the next call makes another way.
    pub(super) fn vanished(&self, route: &Arc<Route>, why: &str) {
        self.forget(route);
        self.pending.vanished(&route.exchange, &why.into());
    }

    pub(super) fn has_ended(&self) -> bool {
        self.pending.ended().is_some()
    }

    /// Why no answer can come any more.
    pub(super) fn reason(&self) -> Arc<str> {
        self.pending.ended().unwrap_or_default()
    }

    fn known(&self, name: &str) -> Option<Arc<Route>> {
        self.routes().get(name).cloned()
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out answers until there can be no more. However it ends, nobody waits here any longer.
pub(super) async fn read(
    mut replies: Box<dyn Subscriber>,
    pending: Arc<Pending>,
    observed: Arc<Observed>,
) {
    let end = Ends(pending);
    let over = end.0.over();
    tokio::pin!(over);
    loop {
        let next = tokio::select! {
            biased;
            next = replies.next() => next, // Cancel-safe: promised by `Subscriber::next`.
            () = &mut over => return, // Cancel-safe: polled again by the next round.
        };
        match next {
            Some(Ok(delivery)) => hand_out(delivery, &end.0, &observed),
            Some(Err(error)) => return end.0.end(&error.to_string()),
            None => return,
        }
        // A flood of answers must not keep the other tasks of its thread waiting.
        tokio::task::consume_budget().await;
    }
}

fn hand_out(delivery: Delivery, pending: &Pending, observed: &Observed) {
    let (call, acker) = delivery.split();
    // Before it is handed out: whoever gets it may end everything.
    drop(acker.settle(Settlement::Ack));
    if let Some(Vanished { why }) = call.extensions.get() {
        return pending.vanished(&call.address.exchange, why);
    }
    let is_returned = call.extensions.get::<Returned>().is_some();
    let Message { address, envelope } = Arc::unwrap_or_clone(call.into_message());
    let id = envelope.properties.correlation_id();
    let answer = match is_returned {
        false => Answer::Reply(envelope.payload),
        true => Answer::Unroutable,
    };
    if !pending.answer(id.map(|id| &**id), answer) {
        observed.unexpected.increment(1);
        debug!(exchange = %address.exchange, "an answer came that nobody waits for");
    }
}

struct Ends(Arc<Pending>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end("the address for answers was closed");
    }
}
