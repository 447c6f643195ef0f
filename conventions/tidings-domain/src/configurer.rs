//! Makes what a service needs exist on a broker and removes it again, as the configurer of existing systems does.
//!
//! What must exist is said by [`Domain`] alone; here it meets a transport. Every operation may be repeated, and what
//! is absent is no error. Servers declare by themselves: this is for tools, deployments and tests.

use tidings_core::{
    convention::{Attachment, Convention},
    error::{ErrorKind, Result},
    topology::{Queue, Topology},
    transport::Transport,
};

use crate::{Domain, names, refusal};

/// Configures a broker for a service, and clears what is there.
///
/// ```no_run
/// use tidings_core::{convention::Attachment, transport::Transport};
/// use tidings_domain::{ClearBefore, Configurer, Domain};
///
/// # async fn example(transport: &dyn Transport, attachments: &[Attachment]) -> tidings_core::Result<()> {
/// let domain = Domain::builder("acme", "registration").joining_existing().build()?;
/// let configurer = Configurer::new(&domain, transport);
/// configurer.configure(attachments, ClearBefore::NOTHING).await?;
/// let cleared = configurer.clear(attachments).await?;
/// assert_eq!(cleared.kept_store_of, None, "the store was ours");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Configurer<'a> {
    domain: &'a Domain,
    transport: &'a dyn Transport,
    any_store: bool,
}

/// What is deleted, with its messages, before everything is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearBefore {
    /// The queues of the subscribers.
    pub subscribers: bool,
    /// The store.
    pub store: bool,
}

impl ClearBefore {
    /// Nothing is deleted.
    pub const NOTHING: Self = Self {
        subscribers: false,
        store: false,
    };
}

/// What was left when something was cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// The organization whose store was left alone, because it is not ours.
    pub kept_store_of: Option<String>,
}

impl<'a> Configurer<'a> {
    /// A configurer of this service.
    #[must_use]
    pub fn new(domain: &'a Domain, transport: &'a dyn Transport) -> Self {
        Self {
            domain,
            transport,
            any_store: false,
        }
    }

    /// Clears the store also if it belongs to another organization, as existing systems do.
    #[must_use]
    pub fn clearing_any_store(mut self) -> Self {
        self.any_store = true;
        self
    }

    /// Declares the exchanges of the service, the store, and what these subscribers need. Clears before, if asked to.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] that names what differs and which setting of the domain would agree; else what
    /// [`Transport::declare`] and [`Transport::delete`] say.
    ///
    /// # Cancel safety
    /// What was done stays done; do it again.
    pub async fn configure(
        &self,
        attachments: &[Attachment],
        before: ClearBefore,
    ) -> Result<Cleared> {
        let mut cleared = Cleared::default();
        if before.subscribers {
            self.clear_subscribers(attachments).await?;
        }
        if before.store {
            cleared = self.clear_store(attachments).await?;
        }
        let mut topology = self.domain.topology();
        for attachment in attachments {
            topology.merge(attachment.topology.clone());
        }
        match self.transport.declare(&topology).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let differences = self.transport.compare(&topology).await.unwrap_or_default();
                Err(self.domain.explain(error, &differences))
            }
            declared => declared.map(|()| cleared),
        }
    }

    /// Deletes everything of the service, with the messages: its exchanges, the queues of these subscribers, those of
    /// subscribers that nobody names any more if the transport can list its queues, and the store, which all
    /// services of the organization share.
    ///
    /// The store of another organization is left alone, unless
    /// [`clearing_any_store`](Self::clearing_any_store) was said.
    ///
    /// # Errors
    /// What [`Transport::delete`] says; [`Transport::compare`] if it cannot be seen whose store it is.
    ///
    /// # Cancel safety
    /// What was done stays done; do it again.
    pub async fn clear(&self, attachments: &[Attachment]) -> Result<Cleared> {
        let mut ours = self.domain.clear_subscribers(attachments);
        ours.merge(Topology {
            exchanges: self.domain.topology().exchanges,
            ..Topology::new()
        });
        for queue in self.listed().await? {
            if ours.queues.iter().all(|known| known.name != queue.name) {
                ours.queues.push(queue);
            }
        }
        self.transport.delete(&ours).await?;
        self.clear_store(attachments).await
    }

    /// Deletes the queues of these subscribers, with the messages. Exchanges and the store stay, other than with the
    /// configurer of existing systems: bindings of other services would go with the exchanges.
    ///
    /// # Errors
    /// What [`Transport::delete`] says.
    ///
    /// # Cancel safety
    /// What was done stays done; do it again.
    pub async fn clear_subscribers(&self, attachments: &[Attachment]) -> Result<()> {
        let queues = self.domain.clear_subscribers(attachments);
        self.transport.delete(&queues).await
    }

    /// Deletes the store of the organization with all that is in it.
    async fn clear_store(&self, attachments: &[Attachment]) -> Result<Cleared> {
        let mut store = self.domain.clear_store(attachments);
        let mut cleared = Cleared::default();
        if !self.any_store && !store.queues.is_empty() {
            cleared.kept_store_of = self.stranger().await?;
        }
        if cleared.kept_store_of.is_some() {
            store.queues.clear();
        }
        self.transport.delete(&store).await?;
        Ok(cleared)
    }

    /// The organization whose store this is, if it is not ours.
    async fn stranger(&self) -> Result<Option<String>> {
        let mut store = self.domain.store();
        store.queues.retain(|queue| &*queue.name == names::STORE);
        store.bindings.clear();
        let differences = self.transport.compare(&store).await?;
        Ok(refusal::owner_of_store(&differences).map(str::to_owned))
    }

    /// The queues that belong to this service by their names; none if the transport cannot tell.
    async fn listed(&self) -> Result<Vec<Queue>> {
        let queues = match self.transport.queues(&[]).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Vec::new()),
            queues => queues?,
        };
        let ours = &*self.domain.names().exchange;
        let is_ours = |name: &str| {
            // Twice: queues in which failed dead letters wait have both prefixes.
            let rest = names::base(names::base(name)).strip_prefix(ours);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let names = queues.into_iter().map(|queue| queue.name);
        Ok(names.filter(|name| is_ours(name)).map(Queue::new).collect())
    }
}
