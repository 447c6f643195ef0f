//! One virtual host, served: connected, declared, consuming.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Call, Error, ErrorKind, Reply,
    error::Result,
    lock::LockStore,
    reply_store::ReplyStore,
    transport::{Registry, Transport},
};
use tidings_layers::{CatchPanic, Idempotency, IdempotencyLayer};
use tidings_router::{RouteService, Router};
use tidings_server::{Probes, Running, Server};
use tower::util::option_layer;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{info, warn};

use crate::{
    handlers,
    journal::{Journal, JournalLayer, Source},
    notify,
    plan::Plan,
    program::Make,
    request_log::RequestLogLayer,
};

/// How many requests may wait for their locks. One lock for the whole exchange is what a contract has that says nothing,
/// so a burst of requests waits here; the deployed consumer leaves it in the queue.
const WAITING: usize = 16_384;

/// How long to wait before the broker is tried again, at first and at most.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// What the layers of a program are wrapped around.
pub type Handled = Idempotency<CatchPanic<RouteService>>;

/// What is the same for all virtual hosts of a program.
pub(crate) struct Common<'a, L> {
    pub(crate) transports: &'a Registry,
    pub(crate) states: &'a [Make],
    pub(crate) locks: Option<&'a Arc<dyn LockStore>>,
    pub(crate) replies: &'a Arc<dyn ReplyStore>,
    pub(crate) layer: &'a L,
    pub(crate) journal: Option<&'a Journal>,
    pub(crate) probes: Option<&'a Probes>,
    /// The user of the broker, as far as the file names one.
    pub(crate) username: &'a str,
    pub(crate) mock: bool,
    pub(crate) waits: bool,
    pub(crate) grace: Duration,
}

impl<L> Common<'_, L>
where
    L: Layer<Handled> + Clone + 'static,
    L::Service:
        Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    /// Serves a virtual host over the transport that a URL names; waits for the broker if it may.
    pub(crate) async fn serve(&self, plan: &Plan, url: &str) -> Result<Running> {
        let mut wait = FIRST;
        loop {
            let error = match self.attempt(plan, url).await {
                Ok(running) => return Ok(running),
                Err(error) if self.waits && is_outage(&error) => error,
                Err(error) => return Err(error),
            };
            let name = &*plan.host.name;
            let line = format!("waiting for the broker of virtual host `{name}`: {error}");
            notify::status(&line);
            if let Some(probes) = self.probes {
                probes.starting(&*line);
            }
            warn!(error = error.chain(), virtual_host = name, again_in = ?wait, "the broker cannot be reached; waiting for it");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST);
        }
    }

    async fn attempt(&self, plan: &Plan, url: &str) -> Result<Running> {
        let transport = self.transports.open(url).await?;
        self.start(plan, transport).await
    }

    async fn start(&self, plan: &Plan, transport: Arc<dyn Transport>) -> Result<Running> {
        let handled = plan.handlers.iter();
        let handled = handled.map(|handler| handler.exchange());
        let mut server = Server::builder(transport, plan.convention()?)
            .concurrency(plan.lanes())
            .waiting(WAITING)
            .serving_only(handled, handlers::no_handler)
            .grace(self.grace);
        if let Some(locks) = self.locks {
            server = server.locks(Arc::clone(locks)).lock_scope(&*plan.host.name);
        }
        if let Some(shortcoming) = plan.shortcoming() {
            server = server.shortcoming(shortcoming);
        }
        let running = server
            .layer(self.remembered(plan))
            .layer(self.layer.clone())
            .layer(option_layer(self.journal(plan)?))
            .layer(RequestLogLayer)
            .start(self.router(plan))
            .await?;
        info!(
            virtual_host = &*plan.host.name,
            queue = &*plan.host.queue,
            exchanges = plan.handlers.len(),
            "serving"
        );
        Ok(running)
    }

    fn router(&self, plan: &Plan) -> Router {
        let states = self
            .states
            .iter()
            .fold(Default::default(), |states, make| make(states));
        handlers::router(plan, states, self.mock)
    }

    fn journal(&self, plan: &Plan) -> Result<Option<JournalLayer>> {
        let Some(journal) = self.journal else {
            return Ok(None);
        };
        let source = Source::new(plan.convention()?, &*plan.host.name, self.username)
            .with_requests(plan.handlers.iter().map(|handler| handler.request));
        Ok(Some(journal.layer(source)))
    }

    fn remembered(&self, plan: &Plan) -> IdempotencyLayer {
        let layer = IdempotencyLayer::new(Arc::clone(self.replies)).within(&*plan.host.name);
        let handlers = plan.handlers.iter();
        handlers.fold(layer, |layer, handler| match handler.request.remembered {
            Some(how_long) => layer.remember(handler.exchange(), how_long),
            None => layer,
        })
    }
}

/// Whether waiting may help.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
