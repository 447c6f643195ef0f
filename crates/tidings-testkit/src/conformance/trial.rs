//! One behaviour's own broker, and the first connection to it.

use std::{ops::Deref, time::Duration};

use tidings_core::{Deadline, transport::Capability};

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

    /// Restarts the broker and connects again.
    ///
    /// # Errors
    /// [`Stop::Skipped`] if it keeps nothing over a restart.
    pub async fn restart(&mut self) -> Verdict {
        let Some(restarting) = self.broker.restart() else {
            return Err(Stop::Skipped("restart".to_owned()));
        };
        restarting.await?;
        self.connection = Connection::new(self.broker.connect().await?, self.pace);
        Ok(())
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
