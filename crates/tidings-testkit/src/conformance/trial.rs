//! One behaviour's own broker, and the first connection to it.

use std::{ops::Deref, time::Duration};

use tidings_core::{
    Deadline,
    topology::{Queue, Topology},
    transport::Capability,
};

use super::{
    connection::{Connection, Pace},
    harness::{Broker, Harness},
    verdict::{Stop, Verdict},
};

/// A fresh broker with a connection to it. It can be used like the [`Connection`].
#[derive(Debug)]
pub struct Trial {
    // Before the broker, so that it is dropped first.
    connection: Connection,
    broker: Box<dyn Broker>,
    pace: Pace,
    settlements_are_confirmed: bool,
    nacked_messages_keep_their_place: bool,
}

impl Trial {
    /// Starts a broker and connects to it.
    ///
    /// # Errors
    /// [`Stop::Failed`] if it does not start.
    pub(super) async fn open(harness: &dyn Harness, pace: Pace) -> Result<Self, Stop> {
        let broker = harness.open().await?;
        let connection = Connection::new(broker.connect().await?, pace);
        Ok(Self {
            connection,
            broker,
            pace,
            settlements_are_confirmed: harness.settlements_are_confirmed(),
            nacked_messages_keep_their_place: harness.nacked_messages_keep_their_place(),
        })
    }

    /// Skips the behaviour unless the transport can do all of this.
    ///
    /// # Errors
    /// [`Stop::Skipped`] naming the first that it cannot.
    pub fn needs(&self, wanted: &[Capability]) -> Verdict {
        let has = self.connection.transport().capabilities();
        match wanted.iter().find(|capability| !has.has(**capability)) {
            Some(missing) => Err(Stop::lacks(*missing)),
            None => Ok(()),
        }
    }

    /// Connects once more, as another process would.
    ///
    /// # Errors
    /// [`Stop::Skipped`] if there can only be one connection.
    pub async fn another(&self) -> Result<Connection, Stop> {
        let Some(connecting) = self.broker.connect_another() else {
            return Err(Stop::Skipped("second connection".to_owned()));
        };
        Ok(Connection::new(connecting.await?, self.pace))
    }

    /// Makes a topology exist that is still there after a restart, however soon that comes.
    ///
    /// It is the declaration that is waited for, and nothing after it: a message that is confirmed now is safe now.
    ///
    /// # Errors
    /// As [`Transport::declare`](tidings_core::transport::Transport::declare).
    pub async fn declare_to_last(&self, topology: Topology) -> Verdict {
        self.connection.declare(topology).await?;
        self.broker.settle_declarations().await?;
        Ok(())
    }

    /// Makes a plain queue exist that is still there after a restart.
    ///
    /// # Errors
    /// As [`declare_to_last`](Self::declare_to_last).
    pub async fn lasting_queue(&self, name: &str) -> Verdict {
        self.declare_to_last(Topology::new().queue(Queue::new(name)))
            .await
    }

    /// Restarts the broker and connects again. The connection from before is closed: one that mends itself would take
    /// messages away.
    ///
    /// # Errors
    /// [`Stop::Skipped`] if it keeps nothing over a restart.
    pub async fn restart(&mut self) -> Verdict {
        let before = self.restart_beside().await?;
        // It may have ended with the broker, and its publishes with it.
        drop(before.close().await);
        Ok(())
    }

    /// Restarts the broker, connects again, and returns the connection from before, which may have mended itself.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    pub async fn restart_beside(&mut self) -> Result<Connection, Stop> {
        let Some(restarting) = self.broker.restart() else {
            return Err(Stop::Skipped("restart".to_owned()));
        };
        restarting.await?;
        let next = Connection::new(self.broker.connect().await?, self.pace);
        Ok(std::mem::replace(&mut self.connection, next))
    }

    /// Whether a settlement whose completion has resolved survives a restart.
    #[must_use]
    pub fn settlements_are_confirmed(&self) -> bool {
        self.settlements_are_confirmed
    }

    /// Whether a message that is nacked goes back to where it was.
    #[must_use]
    pub fn nacked_messages_keep_their_place(&self) -> bool {
        self.nacked_messages_keep_their_place
    }

    /// Closes the connection and connects again.
    ///
    /// # Errors
    /// [`Stop::Skipped`] if the broker ends with its only connection.
    pub async fn reconnect(&mut self) -> Verdict {
        let next = self.another().await?;
        self.connection.close().await?;
        self.connection = next;
        Ok(())
    }

    /// Closes the connection at the end of the behaviour.
    pub(super) async fn finish(self) -> Verdict {
        let deadline = Deadline::after(Duration::from_secs(10));
        self.connection.transport().close(deadline).await?;
        Ok(())
    }
}

impl Deref for Trial {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}
