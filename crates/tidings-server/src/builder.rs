//! The settings of a server, and how it starts.

use std::{fmt, sync::Arc, time::Duration};

use tidings_client::Client;
use tidings_core::{
    Call, Error, Reply,
    clock::Clock,
    convention::{Attachment, Convention},
    error::Result,
    extensions::Extensions,
    lock::LockStore,
    tasks::Tasks,
    transport::{Capability, Publisher, Subscription, Transport},
};
use tidings_layers::{AnswerLayer, ChaosLayer, ConcurrencyLayer, Recovery, RetryConfig};
use tidings_router::{Route, Router};
use tower_layer::{Identity, Layer, Stack};
use tower_service::Service;

use crate::{
    control::{self, Handle},
    declaring,
    intake::{Intake, Source},
    order::{Order, Served},
    policy::Policy,
    server::{
        Running,
        plan::{self, Attached},
    },
    stack::{self, Innermost},
    worker::Worker,
};

/// How long a signal's drain waits for handlers unless said otherwise.
const GRACE: Duration = Duration::from_secs(30);

/// Settings of a [`Server`](crate::Server). Made by [`Server::builder`](crate::Server::builder).
pub struct ServerBuilder<L = Identity> {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) convention: Arc<dyn Convention>,
    pub(crate) policy: Policy,
    pub(crate) grace: Duration,
    services: Extensions,
    publish_through: Option<Wrap>,
    /// Whether everything that is published has to go through that.
    is_wrapped: bool,
    clock: Clock,
    declares: bool,
    shortcomings: Vec<String>,
    layer: L,
}

type Wrap = Box<dyn FnOnce(Arc<dyn Publisher>) -> Arc<dyn Publisher> + Send>;

impl ServerBuilder {
    pub(crate) fn new(transport: Arc<dyn Transport>, convention: Arc<dyn Convention>) -> Self {
        Self {
            transport,
            convention,
            policy: Policy::default(),
            grace: GRACE,
            services: Extensions::default(),
            publish_through: None,
            is_wrapped: false,
            clock: Clock::SYSTEM,
            declares: true,
            shortcomings: Vec::new(),
            layer: Identity::new(),
        }
    }
}

impl<L> ServerBuilder<L> {
    /// Handles this many messages of each queue at a time; 0 counts as 1, 16 unless set.
    #[must_use]
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.policy.lanes = concurrency.max(1);
        self
    }

    /// Lets the broker hand out this many messages of each queue before they are settled, unless a subscriber says
    /// otherwise; twice the concurrency unless set, eight times that where there is an order per key.
    #[must_use]
    pub fn prefetch(mut self, prefetch: u16) -> Self {
        self.policy.prefetch = Some(prefetch.max(1));
        self
    }

    /// Lets no request wait for its key or its lock for longer than this, whatever its caller says; unless set, only until
    /// its caller has stopped waiting. Who has waited too long is answered so at once. Counts only where messages
    /// are answered.
    #[must_use]
    pub fn lock_wait(mut self, patience: Duration) -> Self {
        self.policy.patience.wait = Some(patience);
        self
    }

    /// Lets this many requests of each queue wait for their keys and locks, and as many for a free lane; 1,024 unless
    /// set. Who finds no place is answered so at once. Counts only where messages are answered.
    #[must_use]
    pub fn waiting(mut self, most: usize) -> Self {
        self.policy.patience.most = most;
        self
    }

    /// Keeps messages with equal keys apart across processes, too: whoever handles one holds a lease of this store, whose
    /// name begins with the queue's. Its token is an argument for handlers:
    /// [`FencingToken`](tidings_core::lock::FencingToken).
    ///
    /// A message whose lease cannot be had is not handled: it is answered so, and where nobody waits for an answer it
    /// comes again.
    #[must_use]
    pub fn locks(mut self, store: Arc<dyn LockStore>) -> Self {
        self.policy.locks = Some(store);
        self
    }

    /// Begins the names of leases with this, for example with a virtual host: queues of the same name in different places
    /// would share their locks in one [store](Self::locks).
    #[must_use]
    pub fn lock_scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.policy.lock_scope = Some(scope.into());
        self
    }

    /// Says what is handled here. Requests of any other name are answered with the text that `otherwise` makes of it as soon
    /// as they arrive, however busy the handlers are.
    #[must_use]
    pub fn serving_only<N: Into<Arc<str>>>(
        mut self,
        names: impl IntoIterator<Item = N>,
        otherwise: fn(&str) -> String,
    ) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.policy.served = Some(Arc::new(Served { names, otherwise }));
        self
    }

    /// Says of what the server falls short from the start, for example a handler that is missing: a reason why it is
    /// not ready.
    #[must_use]
    pub fn shortcoming(mut self, reason: impl Into<String>) -> Self {
        self.shortcomings.push(reason.into());
        self
    }

    /// Runs at most this many handlers at a time in all subscriptions together; unlimited unless set.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.policy.limit = Some(ConcurrencyLayer::new(limit));
        self
    }

    /// Ends an attempt that takes longer than this; unlimited unless set.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.policy.timeout = Some(limit);
        self
    }

    /// Tries again in the process before the broker is asked to bring a message again; off unless set.
    #[must_use]
    pub fn attempts(mut self, attempts: RetryConfig) -> Self {
        self.policy.attempts = attempts;
        self
    }

    /// Breaks things on purpose; off unless set. See [`ChaosConfig::from_env`](tidings_layers::ChaosConfig::from_env).
    #[must_use]
    pub fn chaos(mut self, chaos: ChaosLayer) -> Self {
        self.policy.chaos = chaos;
        self
    }

    /// Waits this long for handlers to finish when a signal drains the server; 30 seconds unless set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes the wall time from this clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Leaves exchanges and queues to somebody else: they must exist. What is missing of them is logged as a warning.
    ///
    /// Only what nobody else knows is still declared, if it does not exist: the queues in which messages wait for
    /// the steps of a retry policy, and those in which dead letters wait after their handler has failed.
    #[must_use]
    pub fn without_declaring(mut self) -> Self {
        self.declares = false;
        self
    }

    /// Offers a value to extractors, by its type.
    #[must_use]
    pub fn service<T: std::any::Any + Clone + Send + Sync>(mut self, service: T) -> Self {
        self.services.insert(service);
        self
    }

    /// Sends everything that this server publishes through a wrapper of the transport's publisher, for
    /// example one with a fallback.
    #[must_use]
    pub fn publish_through<P: Publisher>(
        mut self,
        wrap: impl FnOnce(Arc<dyn Publisher>) -> P + Send + 'static,
    ) -> Self {
        self.publish_through = Some(Box::new(|publisher| Arc::new(wrap(publisher))));
        self.is_wrapped = true;
        self
    }

    /// Adds a tower layer around every handler, inside all guarantees and outside `catch_panic`. The layer
    /// added last is the outermost.
    #[must_use]
    pub fn layer<T>(self, layer: T) -> ServerBuilder<Stack<L, T>> {
        ServerBuilder {
            transport: self.transport,
            convention: self.convention,
            policy: self.policy,
            grace: self.grace,
            services: self.services,
            publish_through: self.publish_through,
            is_wrapped: self.is_wrapped,
            clock: self.clock,
            declares: self.declares,
            shortcomings: self.shortcomings,
            layer: Stack::new(self.layer, layer),
        }
    }

    /// Declares what the router's subscribers need, subscribes, and returns once every subscription has been
    /// tried; a subscription that failed goes on trying and keeps the server from being ready.
    ///
    /// # Errors
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) if subscribers contradict one another,
    /// [`Unsupported`](tidings_core::ErrorKind::Unsupported) if the transport cannot do what they need, and what
    /// [`Transport::declare`] says.
    ///
    /// # Cancel safety
    /// Dropping the future stops what has been started; declared topology stays.
    pub async fn start(mut self, router: Router) -> Result<Running>
    where
        L: Layer<Innermost> + 'static,
        L::Service:
            Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        plan::check_router(&router)?;
        let routes = plan::attach(router.into_routes(), &*self.convention)?;
        plan::check_capabilities(&routes, &*self.convention, &*self.transport)?;
        let routes = self.declare(routes).await?;
        let publisher = self.publisher().await?;
        let client = Client::new(Arc::clone(&self.convention), Arc::clone(&publisher));
        self.services.insert(client.clone());
        let services = Arc::new(std::mem::take(&mut self.services));
        let tasks = Tasks::new();
        let transport = Arc::clone(&self.transport);
        let running = Running::new(client, tasks.clone(), transport, self.grace)
            .with_shortcomings(std::mem::take(&mut self.shortcomings));
        let start = |(route, attachment): (Route, Arc<Attachment>)| {
            self.start_one(&route, &attachment, &publisher, &services, &tasks)
        };
        let running = running.with_subscriptions(routes.into_iter().map(start).collect());
        running.tried().await;
        Ok(running)
    }

    /// Makes what the routes need exist, as far as that is not somebody else's business.
    async fn declare(&self, mut routes: Attached) -> Result<Attached> {
        let (transport, convention) = (&*self.transport, &*self.convention);
        if self.declares {
            declaring::everything(transport, convention, &routes).await?;
            return Ok(routes);
        }
        declaring::additions(transport, convention, &routes).await?;
        for (_, attachment) in &mut routes {
            let undeclared = Attachment {
                topology: convention.additions(attachment),
                ..Attachment::clone(attachment)
            };
            *attachment = Arc::new(undeclared);
        }
        Ok(routes)
    }

    async fn publisher(&mut self) -> Result<Arc<dyn Publisher>> {
        let publisher = self.transport.publisher().await?;
        Ok(match self.publish_through.take() {
            Some(wrap) => wrap(publisher),
            None => publisher,
        })
    }

    fn start_one(
        &self,
        route: &Route,
        attachment: &Arc<Attachment>,
        publisher: &Arc<dyn Publisher>,
        services: &Arc<Extensions>,
        tasks: &Tasks,
    ) -> Handle
    where
        L: Layer<Innermost> + 'static,
        L::Service:
            Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        let queue = Arc::clone(&attachment.queue);
        let policy = self.policy.of(Arc::clone(&queue), route.options());
        let delayed_nack = self.transport.capabilities().has(Capability::DelayedNack);
        let convention = Arc::clone(&self.convention);
        let recovery = Recovery::new(
            Arc::clone(&convention),
            Arc::clone(attachment),
            Arc::clone(publisher),
        )
        .with_delayed_nack(delayed_nack)
        .with_clock(self.clock);
        let service = route
            .service(
                Arc::clone(&convention),
                Arc::clone(attachment),
                Arc::clone(services),
            )
            .with_clock(self.clock);
        let answer = AnswerLayer::new(Arc::clone(&queue), &convention, publisher);
        let refusing = stack::refusing(&policy, recovery.clone(), answer.clone());
        let stack = stack::build(&policy, recovery, answer, &self.layer, service);
        let (handle, switch) =
            control::pair(Arc::clone(&attachment.subscriber), Arc::clone(&queue));
        let subscription = Subscription::to(Arc::clone(&queue))
            .with_name(Arc::clone(&attachment.subscriber))
            .with_prefetch(policy.prefetch(route.options(), convention.answers()));
        let order = Arc::new(Order::new(
            policy.rules(route.options()),
            convention,
            Arc::clone(attachment),
            tasks.clone(),
        ));
        let source = Source::new(
            Arc::clone(&self.transport),
            subscription,
            Arc::clone(attachment),
            switch,
            Arc::clone(&order),
        );
        let worker = Arc::new(Worker {
            intake: Intake::new(tasks.clone(), source),
            order,
            queue,
            delayed_nack,
            answers: self.convention.answers() && !self.is_wrapped,
            tasks: tasks.clone(),
        });
        worker.start(policy.lanes, &stack, refusing);
        handle
    }
}

impl<L> fmt::Debug for ServerBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("transport", &self.transport)
            .field("convention", &self.convention)
            .field("policy", &self.policy)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
