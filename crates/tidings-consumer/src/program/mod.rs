//! The program: what it is given in code, beside what its file and its command line say.

mod main;

use std::{any::Any, fmt, future::Future, marker::PhantomData, sync::Arc};

use futures_util::future::try_join_all;
use tidings_core::{
    Call, Error, ErrorKind, Reply,
    error::Result,
    lock::LockStore,
    reply_store::{MemoryReplies, ReplyStore},
    transport::{BoxFuture, Registry},
};
use tidings_router::{States, registry::Registered};
use tidings_server::Probes;
use tower_layer::{Identity, Layer, Stack};
use tower_service::Service;
use tracing::{error, warn};

use crate::{
    config::{Config, File},
    flags::Flags,
    journal::{Journal, JournalConfig},
    plan::Plan,
    serve::{Common, Handled},
    served::Served,
};

/// The transports that a program can use.
pub trait Transports {
    /// A registry of them.
    fn transports() -> Registry;
}

/// Adds a value to a new set of states.
pub(crate) type Make = Box<dyn Fn(States) -> States + Send + Sync>;

/// Renders the metrics of the process.
type Render = Box<dyn Fn() -> String + Send + Sync>;

type Making = Box<dyn FnOnce() -> BoxFuture<'static, Result<Make>> + Send>;

/// Serves the handlers that are linked into it, as a file says.
///
/// It knows its handlers by itself (`#[handler]`); what they ask for with `State<T>` it is given here.
pub struct Program<T, L = Identity> {
    states: Vec<Making>,
    transport: Option<String>,
    locks: Option<Arc<dyn LockStore>>,
    replies: Arc<dyn ReplyStore>,
    metrics: Option<Render>,
    layer: L,
    transports: PhantomData<fn() -> T>,
}

impl<T: Transports> Program<T> {
    /// A program without state.
    #[must_use]
    pub fn new() -> Self {
        Self {
            states: Vec::new(),
            transport: None,
            locks: None,
            replies: Arc::new(MemoryReplies::new()),
            metrics: None,
            layer: Identity::new(),
            transports: PhantomData,
        }
    }
}

impl<T: Transports> Default for Program<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, L> Program<T, L> {
    /// Gives a value to the handlers that ask for `State<V>`.
    #[must_use]
    pub fn state<V: Any + Clone + Send + Sync>(mut self, value: V) -> Self {
        self.states
            .push(Box::new(|| Box::pin(std::future::ready(Ok(giving(value))))));
        self
    }

    /// As [`state`](Self::state), for a value that takes a runtime to make: it is made before anything is received, and
    /// not where only the file is checked.
    #[must_use]
    pub fn state_with<V, E, F>(mut self, make: impl FnOnce() -> F + Send + 'static) -> Self
    where
        V: Any + Clone + Send + Sync,
        E: Into<tidings_core::error::BoxError>,
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        self.states.push(Box::new(|| {
            Box::pin(async move {
                let made = make().await.map_err(|error| {
                    let name = std::any::type_name::<V>();
                    let context = format!("the state `{name}` cannot be made");
                    Error::new(ErrorKind::Unavailable, context).with_source(error)
                });
                made.map(giving)
            })
        }));
        self
    }

    /// Serves over this instead of the broker of the file, unless the command line names another.
    #[must_use]
    pub fn transport(mut self, url: impl Into<String>) -> Self {
        self.transport = Some(url.into());
        self
    }

    /// Keeps requests that exclude one another apart in all processes that share this store.
    #[must_use]
    pub fn lock_store(mut self, store: Arc<dyn LockStore>) -> Self {
        self.locks = Some(store);
        self
    }

    /// Remembers the answers of contracts that ask for it here, instead of in the memory of this process.
    #[must_use]
    pub fn reply_store(mut self, store: Arc<dyn ReplyStore>) -> Self {
        self.replies = store;
        self
    }

    /// Answers `/metrics` where health checks are answered (`--health`) with what this renders: the handle of the recorder
    /// that `main` has installed, for example that of `metrics-exporter-prometheus`, knows how.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Box::new(render));
        self
    }

    /// Adds a tower layer around every handler, inside all guarantees and outside the memory of answers. The layer added
    /// last is the outermost.
    #[must_use]
    pub fn layer<M>(self, layer: M) -> Program<T, Stack<L, M>> {
        Program {
            states: self.states,
            transport: self.transport,
            locks: self.locks,
            replies: self.replies,
            metrics: self.metrics,
            layer: Stack::new(self.layer, layer),
            transports: PhantomData,
        }
    }
}

impl<T, L> Program<T, L>
where
    T: Transports,
    L: Layer<Handled> + Clone + 'static,
    L::Service:
        Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    /// Reads the file, waits for the broker, and serves.
    ///
    /// # Errors
    /// What is wrong with the file; [`ErrorKind::NoRoute`] if an exchange has no handler and that is not allowed;
    /// [`ErrorKind::Misuse`] if two handlers are linked for one exchange, or one asks for state that is not there;
    /// [`ErrorKind::Conflict`] if the port for health checks is in use; what the transport says, unless it is worth
    /// waiting for.
    ///
    /// # Cancel safety
    /// Dropping the future stops what has been started.
    pub async fn start(self, flags: &Flags) -> Result<Served> {
        let (config, plans) = plans(flags)?;
        let transport = flags.transport.as_ref().or(self.transport.as_ref());
        check_transport(transport, &plans)?;
        plans.iter().for_each(announce);
        let probes = match &flags.health {
            Some(address) => Some(Probes::listen(address).await?),
            None => None,
        };
        if let (Some(probes), Some(render)) = (&probes, self.metrics) {
            probes.metrics(render);
        }
        let transports = T::transports();
        let mut states = Vec::with_capacity(self.states.len());
        for make in self.states {
            states.push(make().await?);
        }
        let journal = config.log_server.as_ref().map(|log_server| {
            let config = JournalConfig::new(&log_server.base_url, log_server.api_token.reveal())?;
            Journal::start(&config)
        });
        let journal = journal.transpose()?;
        let common = Common {
            transports: &transports,
            states: &states,
            locks: self.locks.as_ref(),
            replies: &self.replies,
            layer: &self.layer,
            journal: journal.as_ref(),
            probes: probes.as_ref(),
            username: &config.server.username,
            mock: config.mock,
            waits: !flags.no_wait,
            grace: flags.grace(),
        };
        let hosts = plans.iter().map(async |plan| {
            let url = match transport {
                Some(url) => url.clone(),
                None => config.server.url(&plan.host.name).reveal().to_owned(),
            };
            let running = common.serve(plan, &url).await?;
            Ok::<_, Error>((plan.host.name.clone(), running))
        });
        let hosts = try_join_all(hosts).await?;
        Ok(Served::new(hosts, journal, probes))
    }
}

/// What the file asks for, and who handles it. Says in the log what is odd.
pub(crate) fn plans(flags: &Flags) -> Result<(Config, Vec<Plan>)> {
    let (mut config, odd) = File::open(&flags.config)?.select(flags.wanted())?;
    for line in odd {
        warn!("{line}");
    }
    let registered = Registered::all()?;
    for package in registered.idle_packages() {
        warn!(
            package = package.name,
            at = package.at,
            "this package was to bring handlers, and has none"
        );
    }
    let hosts = std::mem::take(&mut config.virtual_hosts).into_iter();
    let plans: Vec<_> = hosts.map(|host| Plan::new(host, &registered)).collect();
    for plan in &plans {
        if flags.strict {
            plan.check_complete()?;
        }
        // A key that is none is told before anything is connected.
        plan.convention()?;
    }
    Ok((config, plans))
}

/// Says in the log what will not be served.
fn announce(plan: &Plan) {
    for exchange in &plan.missing {
        error!(
            exchange,
            virtual_host = &*plan.host.name,
            hint = plan.hint(&[exchange]),
            "no handler for a configured exchange: its callers are told so"
        );
    }
}

/// Two virtual hosts over one broker that has none would take each other's requests.
fn check_transport(transport: Option<&String>, plans: &[Plan]) -> Result<()> {
    if transport.is_none() || plans.len() <= 1 {
        return Ok(());
    }
    let context = "only one virtual host can be served over another transport: name one with --virtual-host-name";
    Err(Error::new(ErrorKind::Misuse, context))
}

fn giving<V: Any + Clone + Send + Sync>(value: V) -> Make {
    Box::new(move |states| states.with(value.clone()))
}

impl<T, L> fmt::Debug for Program<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("states", &self.states.len())
            .field(
                "transport",
                &self
                    .transport
                    .as_deref()
                    .map(tidings_core::transport::redact),
            )
            .field("locks", &self.locks)
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}
