//! Topologies: compared with what exists, declared, deleted, remembered; and the state of queues.

mod create;
mod form;
mod look;
mod record;
mod refusal;
mod restore;
mod versions;
mod words;

use std::{collections::HashSet, sync::Arc, time::Duration};

use tidings_core::{
    Error, ErrorKind, Result,
    topology::{Binding, Difference, Exchange, Thing, Topology},
    transport::QueueStatus,
};
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use self::record::{Record, Restoration};
use self::{
    create::create,
    form::Form,
    look::{Depth, Found, look},
    versions::Versions,
};
use crate::{
    config::RabbitMqConfig,
    connection::{Generation, Probe, Reactor, Supervised},
    error,
    management::{Management, ManagementUrl},
};

/// How long the broker may take for one topology, or for one look at it.
const ANSWER: Duration = Duration::from_secs(60);

fn no_answer() -> Error {
    let context = format!(
        "RabbitMQ has not answered within {ANSWER:?} although the connection is up: look for queues that are stopped or stuck"
    );
    Error::new(ErrorKind::Timeout, context)
}

/// Declares over the inbound connection, to which exclusive queues belong.
#[derive(Clone, Debug)]
pub(crate) struct Declaring {
    connection: Supervised,
    config: Arc<RabbitMqConfig>,
    record: Arc<Record>,
    versions: Versions,
    /// For looking at queues.
    looking: Arc<Probe>,
    reactor: Arc<Reactor>,
}

impl Declaring {
    pub(crate) fn new(
        connection: Supervised,
        config: Arc<RabbitMqConfig>,
        record: Arc<Record>,
        reactor: Arc<Reactor>,
    ) -> Self {
        Self {
            connection,
            looking: Arc::new(Probe::new(Arc::clone(&config))),
            reactor,
            versions: Versions::new(Arc::clone(&config)),
            config,
            record,
        }
    }

    /// As [`Transport::declare`](tidings_core::transport::Transport::declare).
    ///
    /// # Cancel safety
    /// Declaring is idempotent; dropped halfway, a part of the topology may exist.
    pub(crate) async fn declare(&self, topology: &Topology) -> Result<()> {
        topology.validate()?;
        self.on_generation(|generation| self.declare_on(generation, topology))
            .await
    }

    async fn declare_on(&self, generation: Generation, topology: &Topology) -> Result<()> {
        let forms = self.forms(&generation, topology).await?;
        check_ends(&generation, &self.config, topology).await?;
        let found = look(&generation, &self.config, &forms, Depth::Settings).await?;
        let (mut declared, mut missing, mut differences) = (Vec::new(), Vec::new(), Vec::new());
        for (form, found) in forms.into_iter().zip(found) {
            match found {
                Found::Missing => missing.push(form),
                Found::Same(form) => declared.push(*form),
                Found::Differs(some) => differences.extend(some),
                Found::Locked => return Err(error::exclusive(&form.thing)),
            }
        }
        if !differences.is_empty() {
            return Err(error::conflict(&differences));
        }
        let to_create: Vec<_> = missing.iter().collect();
        create(&generation, &to_create, &topology.bindings, true).await?;
        declared.append(&mut missing);
        self.record.add(declared, &topology.bindings);
        Ok(())
    }

    /// Declares an exchange, and binds a queue that belongs to this generation to it, by the queue's name. The exchange is
    /// remembered; the binding is not, since the queue goes with the connection.
    ///
    /// # Errors
    /// As [`declare`](Self::declare).
    ///
    /// # Cancel safety
    /// It is idempotent; dropped halfway, the exchange may exist without the binding.
    pub(crate) async fn route(
        &self,
        generation: &Generation,
        exchange: &Exchange,
        queue: &Arc<str>,
    ) -> Result<()> {
        let topology = Topology::new().exchange(exchange.clone());
        topology.validate()?;
        let form = Form::of_exchange(exchange)?;
        let binding = Binding::new(
            Arc::clone(&exchange.name),
            Arc::clone(queue),
            Arc::clone(queue),
        );
        // Nearly always it is as wanted, or not there. Only what differs is worth a closer look, which names all of it.
        let created = create(generation, &[&form], &[binding], false).await;
        match created {
            Ok(()) => self.record.add(vec![form], &[]),
            Err(failed) if failed.kind() == ErrorKind::Conflict => {
                self.declare(&topology).await?;
                return Err(failed);
            }
            Err(failed) => return Err(failed),
        }
        Ok(())
    }

    /// As [`Transport::compare`](tidings_core::transport::Transport::compare).
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn compare(&self, topology: &Topology) -> Result<Vec<Difference>> {
        topology.validate()?;
        self.on_generation(|generation| self.compare_on(generation, topology))
            .await
    }

    async fn compare_on(
        &self,
        generation: Generation,
        topology: &Topology,
    ) -> Result<Vec<Difference>> {
        let forms = self.forms(&generation, topology).await?;
        check_ends(&generation, &self.config, topology).await?;
        let found = look(&generation, &self.config, &forms, Depth::Settings).await?;
        let mut differences = Vec::new();
        for (form, found) in forms.into_iter().zip(found) {
            match found {
                Found::Missing => differences.push(Difference::Missing(form.thing)),
                Found::Same(_) => {}
                Found::Differs(some) => differences.extend(some),
                Found::Locked => differences.push(Difference::Unknown {
                    thing: form.thing,
                    why: "it belongs exclusively to another connection".to_owned(),
                }),
            }
        }
        let bindings = self
            .compare_bindings(&topology.bindings, &differences)
            .await?;
        differences.extend(bindings);
        Ok(differences)
    }

    /// Bindings of what is missing are missing; the others only the HTTP API knows.
    async fn compare_bindings(
        &self,
        bindings: &[Binding],
        differences: &[Difference],
    ) -> Result<Vec<Difference>> {
        let missing: HashSet<_> = differences
            .iter()
            .filter(|it| matches!(it, Difference::Missing(_)))
            .map(Difference::thing)
            .collect();
        let has_ends = |binding: &Binding| {
            !missing.contains(&Thing::Queue(Arc::clone(&binding.queue)))
                && !missing.contains(&Thing::Exchange(Arc::clone(&binding.exchange)))
        };
        let known = match &self.config.management {
            Some(url) if bindings.iter().any(has_ends) => Some(
                Management::new(url.clone(), &self.config)
                    .bindings()
                    .await?,
            ),
            _ => None,
        };
        let of = |binding: &Binding| match &known {
            _ if !has_ends(binding) => Some(Difference::Missing(binding.into())),
            Some(known) => (!known.contains(binding)).then(|| Difference::Missing(binding.into())),
            None => Some(Difference::Unknown {
                thing: binding.into(),
                why:
                    "AMQP does not tell of bindings, name the HTTP API with the option `management`"
                        .to_owned(),
            }),
        };
        Ok(bindings.iter().filter_map(of).collect())
    }

    /// As [`Transport::delete`](tidings_core::transport::Transport::delete).
    ///
    /// # Cancel safety
    /// Dropped halfway, a part may be deleted; asked again it deletes the rest.
    pub(crate) async fn delete(&self, topology: &Topology) -> Result<()> {
        self.record.forget(topology);
        let queues: Vec<_> = topology
            .queues
            .iter()
            .map(|queue| Arc::clone(&queue.name))
            .collect();
        let exchanges: Vec<_> = topology
            .exchanges
            .iter()
            .map(|exchange| Arc::clone(&exchange.name))
            .collect();
        let (queues, exchanges) = (&queues, &exchanges);
        self.on_generation(|generation| async move {
            create::delete(&generation, queues, exchanges).await
        })
        .await
    }

    /// As [`Transport::queues`](tidings_core::transport::Transport::queues).
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn status(&self, named: &[Arc<str>]) -> Result<Vec<QueueStatus>> {
        if named.is_empty() {
            return self.list().await;
        }
        let looked = self
            .on_generation(|generation| async move {
                look::status(&generation, &self.looking, named).await
            })
            .await;
        self.rest_later().await;
        looked
    }

    /// Closes the connection for looking once nobody has looked for a while: whoever looks often makes it once.
    async fn rest_later(&self) {
        let (looking, uses) = (Arc::clone(&self.looking), self.looking.uses().await);
        self.reactor.spawn("rest from looking", async move {
            sleep(IDLE).await;
            looking.rest(uses).await;
        });
    }

    /// Closes what belongs to it alone.
    pub(crate) async fn close(&self) {
        self.looking.close().await;
    }

    /// AMQP does not list. Where no HTTP API is named, it is looked for where it is unless somebody moved it.
    async fn list(&self) -> Result<Vec<QueueStatus>> {
        if let Some(url) = &self.config.management {
            return Management::new(url.clone(), &self.config).queues().await;
        }
        let url = ManagementUrl::beside(&self.config.host, self.config.tls.is_some());
        let tried = url.to_string();
        let listed = Management::new(url, &self.config)
            .with_patience(GUESS)
            .queues()
            .await;
        listed.map_err(|failed| {
            let context = format!(
                "AMQP does not list queues, and the HTTP API was looked for at {tried} in vain: name it with the option `management`, or name the queues"
            );
            Error::new(ErrorKind::Unsupported, context).with_source(failed)
        })
    }

    /// Does something on the connection that is up, and once more if that one ends meanwhile: everything here is idempotent.
    async fn on_generation<T, F>(&self, work: impl Fn(Generation) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let deadline = Instant::now() + self.config.connection_timeout;
        loop {
            let Ok(up) = timeout_at(deadline, self.connection.up()).await else {
                let why = self
                    .connection
                    .impairment()
                    .unwrap_or_else(|| "the connection comes and goes".to_owned());
                return Err(Error::new(ErrorKind::Unavailable, why));
            };
            let generation = up?;
            // Named in the docs of the functions; a broker that answers nothing is found by heartbeats later.
            let patience = Instant::now() + ANSWER;
            let worked = timeout_at(patience, work(generation.clone())).await;
            match worked.unwrap_or_else(|_| Err(no_answer())) {
                Err(failed) if generation.is_over() && Instant::now() < deadline => {
                    tracing::debug!(error = %failed.chain(), "the connection ended, asking again on the next one");
                }
                done => return done,
            }
        }
    }

    async fn forms(&self, generation: &Generation, topology: &Topology) -> Result<Vec<Form>> {
        let exchanges = topology.exchanges.iter().map(Form::of_exchange);
        let queues = topology
            .queues
            .iter()
            .map(|queue| Form::of_queue(queue, self.config.queue_type));
        let mut forms: Vec<_> = exchanges.chain(queues).collect::<Result<_>>()?;
        self.versions.adapt(&mut forms, generation.number()).await?;
        Ok(forms)
    }
}

/// How long the connection for looking at queues stays open after the last look.
const IDLE: Duration = Duration::from_secs(10);

/// How long the HTTP API may take to answer where nobody said that it is.
const GUESS: Duration = Duration::from_secs(2);

/// Both ends of a binding must exist or be declared with it.
async fn check_ends(
    generation: &Generation,
    config: &Arc<RabbitMqConfig>,
    topology: &Topology,
) -> Result<()> {
    let exchanges: HashSet<_> = topology.exchanges.iter().map(|it| &it.name).collect();
    let queues: HashSet<_> = topology.queues.iter().map(|it| &it.name).collect();
    let mut asked = HashSet::new();
    let (mut forms, mut bindings) = (Vec::new(), Vec::new());
    for binding in &topology.bindings {
        let exchange = (!exchanges.contains(&binding.exchange))
            .then(|| Thing::Exchange(Arc::clone(&binding.exchange)));
        let queue =
            (!queues.contains(&binding.queue)).then(|| Thing::Queue(Arc::clone(&binding.queue)));
        for (thing, name) in exchange
            .map(|it| (it, &binding.exchange))
            .into_iter()
            .chain(queue.map(|it| (it, &binding.queue)))
        {
            if asked.insert(thing.clone()) {
                forms.push(Form::named(thing, name, true)?);
                bindings.push(binding);
            }
        }
    }
    let found = look(generation, config, &forms, Depth::Name).await?;
    for ((form, binding), found) in forms.iter().zip(bindings).zip(found) {
        match found {
            Found::Missing => return Err(error::unbindable(binding, &form.thing)),
            Found::Locked => return Err(error::exclusive(&form.thing)),
            Found::Same(_) | Found::Differs(_) => {}
        }
    }
    Ok(())
}
