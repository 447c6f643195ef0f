//! A connection to ask questions on whose answer may be a closed channel.
//!
//! lapin does not use the number of a channel again that the broker has closed: whoever gets it later receives the old
//! error. A connection has 2,047 numbers at most, and a topology that is declared for the first time has a closed
//! channel for everything in it. So such questions are asked on connections that are thrown away.

use std::{sync::Arc, time::Duration};

use lapin::{Channel, Connection};
use tidings_core::Result;
use tokio::{sync::Mutex, time::timeout};

use super::dial::dial;
use crate::{config::RabbitMqConfig, error};

/// How long the broker may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Makes a connection when the first channel is asked for, and another one when the numbers of that are used up.
#[derive(Debug)]
pub(crate) struct Probe {
    config: Arc<RabbitMqConfig>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connection: Option<Connection>,
    /// How many channels have been asked for.
    uses: u64,
}

impl Probe {
    pub(crate) fn new(config: Arc<RabbitMqConfig>) -> Self {
        Self {
            config,
            open: Mutex::default(),
        }
    }

    /// A channel that nobody has used. It keeps its connection.
    ///
    /// # Errors
    /// As for every connection.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let mut open = self.open.lock().await;
        open.uses += 1;
        if let Some(connection) = &open.connection
            && let Ok(channel) = connection.create_channel().await
        {
            return Ok(channel);
        }
        let connection = dial(&self.config, "looking").await?.connection;
        let channel = connection.create_channel().await;
        let channel = channel.map_err(|failed| error::of_connection(&failed))?;
        open.connection = Some(connection);
        Ok(channel)
    }

    /// How many channels have been asked for: who finds the same number later knows that nobody has come since.
    pub(crate) async fn uses(&self) -> u64 {
        self.open.lock().await.uses
    }

    /// Says goodbye, unless somebody has asked for a channel since there were so many `uses`.
    pub(crate) async fn rest(&self, uses: u64) {
        let mut open = self.open.lock().await;
        if open.uses == uses {
            goodbye(open.connection.take()).await;
        }
    }

    /// Says goodbye. The next channel has another connection.
    pub(crate) async fn close(&self) {
        let connection = self.open.lock().await.connection.take();
        goodbye(connection).await;
    }
}

/// A connection that cannot be closed is closed.
async fn goodbye(connection: Option<Connection>) {
    if let Some(connection) = connection {
        let closing = connection.close(200, "done".into());
        let _closed = timeout(GOODBYE, closing).await.is_ok();
    }
}
