//! What must exist on a broker: the exchanges of a service, the store, and the queues of each subscriber.
//!
//! The wire fixes names, arguments and bindings; what we add to it (queues for steps of a retry policy, and
//! queues in which failed dead letters wait) is addressed by queue name, so it needs no binding and no
//! existing system can meet it.

use std::time::Duration;

use tidings_core::{
    Kind,
    convention::{Attachment, Interest},
    error::Result,
    retry_policy::RetryPolicy,
    topology::{Exchange, Queue, Topology},
};

use crate::{
    Domain, names,
    names::{DEAD_LETTER_STORE, Names, RETRY_STORE, STORE},
    place::{self, Place},
};

/// The routing keys that the store gets copies of: organization, service, version, kind, name.
const STORED: [&str; 2] = ["*.*.*.event.*", "*.*.*.command.*"];

impl Domain {
    /// The queues of these subscribers **with the messages in them**, for [`Transport::delete`](tidings_core::transport::Transport::delete).
    /// Exchanges and the store stay. A queue that a subscriber attached to by name is not its own and stays too.
    #[must_use]
    pub fn clear_subscribers(&self, attachments: &[Attachment]) -> Topology {
        let mut queues = Topology::new();
        for attachment in attachments {
            let waiting = self.waiting_places(&attachment.queue, &attachment.retry);
            queues.queues.extend(waiting.queues);
            if is_by_name(&attachment.interest) {
                continue;
            }
            queues.queues.extend(attachment.topology.queues.clone());
            // Made by whoever handles these dead letters, which need not be one of these subscribers.
            let dead = names::dead_letter(&attachment.queue);
            queues.queues.push(self.pause_queue(Place::of(&dead)));
        }
        queues.queues.retain(|queue| !is_of_store(&queue.name));
        let mut unique = Topology::new();
        unique.merge(queues);
        unique
    }

    /// Everything of these subscribers, of this service **and of the store**, messages included.
    ///
    /// This is what existing systems call clear. The store belongs to all services of the organization: deleting it
    /// deletes what the others have stored. [`Configurer`](crate::Configurer) does it with more care.
    #[must_use]
    pub fn clear(&self, attachments: &[Attachment]) -> Topology {
        let mut all = Self::exchanges(self.names());
        all.merge(self.clear_subscribers(attachments));
        all.merge(self.clear_store(attachments));
        all
    }

    /// The store with the messages in it, and what failures of these subscribers have added beside it.
    pub(crate) fn clear_store(&self, attachments: &[Attachment]) -> Topology {
        if !self.has_store() {
            return Topology::new();
        }
        let mut store = self.store();
        store.bindings.clear();
        store
            .queues
            .push(self.pause_queue(Place::of(DEAD_LETTER_STORE)));
        for attachment in attachments {
            let waiting = self
                .waiting_places(&attachment.queue, &attachment.retry)
                .queues;
            let of_store = waiting.into_iter().filter(|queue| is_of_store(&queue.name));
            store.merge(of_store.fold(Topology::new(), Topology::queue));
        }
        store
    }

    /// Exchanges and the store: what exists whether or not anybody subscribes.
    pub(crate) fn base_topology(&self) -> Topology {
        let mut topology = Self::exchanges(self.names());
        if self.has_store() {
            topology.merge(self.store());
        }
        topology
    }

    /// The queue of an interest, and what must exist for it.
    pub(crate) fn place(
        &self,
        subscriber: &str,
        interest: &Interest,
        retry: &RetryPolicy,
    ) -> Result<(String, Topology)> {
        let (queue, mut topology) = match interest {
            Interest::Contract(contract) => self.subscriber(
                subscriber,
                contract.name,
                i64::from(contract.version),
                contract.kind,
            )?,
            Interest::Named {
                name,
                version,
                kind,
            } => self.subscriber(subscriber, name, *version, *kind)?,
            Interest::All => (STORE.to_owned(), self.required_store()?),
            Interest::DeadLetters(of) => self.dead_letters(subscriber, of, retry)?,
            Interest::Queue { name, .. } => self.named_queue(name)?,
            other => {
                return Err(names::misuse(format!(
                    "{other:?} has no queue on the domain wire: subscribe to a contract, to all, to dead letters or to a queue"
                )));
            }
        };
        topology.merge(self.waiting_places(&queue, retry));
        Ok((queue, topology))
    }

    /// The queues beside this one that only we know: those in which its messages wait for the steps of a policy, or
    /// dead letters after their handler has failed.
    pub(crate) fn waiting_places(&self, queue: &str, retry: &RetryPolicy) -> Topology {
        let place = Place::of(queue);
        if place.dead {
            Topology::new().queue(self.pause_queue(place))
        } else {
            self.steps(place, retry)
        }
    }

    fn exchanges(names: &Names) -> Topology {
        Topology::new()
            .exchange(Exchange::topic(names.exchange.clone()))
            .exchange(Exchange::topic(names.retry_exchange.clone()))
            .exchange(Exchange::topic(names.dead_letter_exchange.clone()))
    }

    fn subscriber(
        &self,
        subscriber: &str,
        name: &str,
        version: i64,
        kind: Kind,
    ) -> Result<(String, Topology)> {
        names::check_message(name)?;
        let key = self.names().routing_key(kind, version, name)?;
        let queue = format!("{key}.{subscriber}");
        let names = self.names();
        let main = Queue::new(queue.as_str())
            .with_ttl(self.queues().main_ttl(&queue))
            .with_dead_letter(
                names.dead_letter_exchange.clone(),
                names::dead_letter(&queue),
            );
        let topology =
            Self::exchanges(names)
                .queue(main)
                .bind(names.exchange.clone(), queue.as_str(), key);
        Ok((queue.clone(), self.with_recovery(topology, &queue)))
    }

    /// Adds the two queues beside a main queue, and the three paths of a failed message.
    fn with_recovery(&self, topology: Topology, queue: &str) -> Topology {
        let place = Place::of(queue);
        let names = place.names(self.names());
        let (retry, dead) = (names::retry(queue), names::dead_letter(queue));
        topology
            .queue(self.waiting(place, &retry, self.queues().retry_ttl(queue)))
            .queue(Queue::new(dead.as_str()))
            .bind(names.exchange.clone(), queue, retry.as_str())
            .bind(names.retry_exchange.clone(), retry.as_str(), retry.as_str())
            .bind(
                names.dead_letter_exchange.clone(),
                dead.as_str(),
                dead.as_str(),
            )
    }

    /// A queue in which messages wait until they go back to the main queue of this place.
    fn waiting(&self, back_to: Place<'_>, name: &str, ttl: Option<Duration>) -> Queue {
        let names = back_to.names(self.names());
        let queue = Queue::new(name).with_ttl(ttl);
        if back_to.is_store() {
            queue.with_dead_letter(names.store_retry_exchange.clone(), STORE)
        } else {
            queue.with_dead_letter(names.exchange.clone(), names::retry(back_to.base))
        }
    }

    /// One waiting queue for each step of a retry policy.
    fn steps(&self, place: Place<'_>, retry: &RetryPolicy) -> Topology {
        let mut topology = Topology::new();
        for step in retry.steps() {
            let step = place::whole(*step);
            let queue = self.waiting(place, &place.step_queue(step), Some(step));
            topology.merge(Topology::new().queue(queue));
        }
        topology
    }

    /// The queue in which dead letters wait after their handler failed.
    fn pause_queue(&self, place: Place<'_>) -> Queue {
        Queue::new(place.pause_queue())
            .with_ttl(place.dead_letter_pause(self.queues()))
            .with_dead_letter(
                place.names(self.names()).dead_letter_exchange.clone(),
                names::dead_letter(place.base),
            )
    }

    fn dead_letters(
        &self,
        subscriber: &str,
        of: &Interest,
        retry: &RetryPolicy,
    ) -> Result<(String, Topology)> {
        let (queue, topology) = self.place(subscriber, of, retry)?;
        if Place::of(&queue).dead {
            return Err(names::misuse(format!(
                "queue `{queue}` holds dead letters already: subscribe to it by name, or to the dead letters of its main queue"
            )));
        }
        Ok((names::dead_letter(&queue), topology))
    }

    /// What failures of a queue need that somebody else declares.
    fn named_queue(&self, name: &str) -> Result<(String, Topology)> {
        names::check_length("queue", name)?;
        let place = Place::of(name);
        if place.base.is_empty() {
            return Err(names::misuse(format!(
                "queue `{name}` has no name: say which queue to subscribe to"
            )));
        }
        if place.is_store() {
            return Ok((name.to_owned(), self.required_store()?));
        }
        let names = place.names(self.names());
        let topology = Self::exchanges(&names);
        let topology = if place.dead {
            topology.bind(names.dead_letter_exchange.clone(), name, name)
        } else {
            self.with_recovery(topology, place.base)
        };
        Ok((name.to_owned(), topology))
    }

    fn required_store(&self) -> Result<Topology> {
        if self.has_store() {
            return Ok(self.base_topology());
        }
        Err(names::misuse(
            "this domain is built without a store: build it with one to subscribe to all messages"
                .into(),
        ))
    }

    pub(crate) fn store(&self) -> Topology {
        let names = self.names();
        let (main, retry, dead) = (
            &names.exchange,
            &names.store_retry_exchange,
            &names.store_dead_letter_exchange,
        );
        let place = Place::of(STORE);
        let mut topology = Topology::new()
            .exchange(Exchange::topic(retry.clone()))
            .exchange(Exchange::topic(dead.clone()))
            .queue(
                Queue::new(STORE)
                    .with_ttl(self.queues().main_ttl(STORE))
                    .with_dead_letter(dead.clone(), DEAD_LETTER_STORE),
            )
            .queue(self.waiting(place, RETRY_STORE, place.retry_ttl(self.queues())))
            .queue(Queue::new(DEAD_LETTER_STORE));
        for pattern in STORED {
            topology = topology
                .bind(main.clone(), STORE, pattern)
                .bind(retry.clone(), STORE, pattern)
                .bind(
                    names.dead_letter_exchange.clone(),
                    DEAD_LETTER_STORE,
                    names::dead_letter(pattern),
                );
        }
        topology
            .bind(main.clone(), STORE, RETRY_STORE)
            .bind(main.clone(), STORE, STORE)
            .bind(retry.clone(), STORE, STORE)
            .bind(retry.clone(), RETRY_STORE, RETRY_STORE)
            .bind(dead.clone(), DEAD_LETTER_STORE, DEAD_LETTER_STORE)
            .bind(
                names.dead_letter_exchange.clone(),
                DEAD_LETTER_STORE,
                DEAD_LETTER_STORE,
            )
    }
}

/// Whether it asks for a queue that somebody else has made.
fn is_by_name(interest: &Interest) -> bool {
    match interest {
        Interest::Queue { .. } => true,
        Interest::DeadLetters(of) => is_by_name(of),
        _ => false,
    }
}

/// Whether a queue belongs to the store and so to all services.
fn is_of_store(queue: &str) -> bool {
    let rest = names::base(names::base(queue));
    rest == STORE
        || rest
            .strip_prefix("store.")
            .is_some_and(|step| step.bytes().all(|b| b.is_ascii_digit()))
}
