//! A connection to ask questions on whose answer may be a closed channel.
//!
//! lapin does not use the number of a channel again that the broker has closed: whoever gets it later receives the old
//! error. A connection has 2,047 numbers at most, and a topology that is declared for the first time has a closed
//! channel for everything in it. So such questions are asked on connections that are thrown away.

use std::sync::Arc;

use lapin::{Channel, Connection};
use tidings_core::Result;
use tokio::sync::Mutex;

use super::dial::dial;
use crate::{config::RabbitMqConfig, error};

/// Makes a connection when the first channel is asked for, and another one when the numbers of that are used up.
#[derive(Debug)]
pub(crate) struct Probe {
    config: Arc<RabbitMqConfig>,
    connection: Mutex<Option<Connection>>,
}

impl Probe {
    pub(crate) fn new(config: Arc<RabbitMqConfig>) -> Self {
        Self {
            config,
            connection: Mutex::new(None),
        }
    }

    /// A channel that nobody has used. It keeps its connection.
    ///
    /// # Errors
    /// As for every connection.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref()
            && let Ok(channel) = open.create_channel().await
        {
            return Ok(channel);
        }
        let open = dial(&self.config, "looking").await?;
        let channel = open.create_channel().await;
        let channel = channel.map_err(|failed| error::of_connection(&failed))?;
        *connection = Some(open);
        Ok(channel)
    }

    /// Says goodbye. A connection that cannot be closed is closed.
    pub(crate) async fn close(self) {
        if let Some(open) = self.connection.into_inner() {
            let _closed = open.close(200, "done".into()).await.is_ok();
        }
    }
}
