//! The handshake: from a configuration to a lapin connection.

use lapin::{Connection, ConnectionProperties};
use tidings_core::Result;
use tokio::time::timeout;

use super::Role;
use crate::{config::RabbitMqConfig, error};

/// Connects once.
///
/// # Errors
/// [`Unavailable`](tidings_core::ErrorKind::Unavailable) if nobody answers, [`Denied`](tidings_core::ErrorKind::Denied) if the
/// broker refuses; each names the broker, the cause and the next step.
pub(super) async fn dial(config: &RabbitMqConfig, role: Role) -> Result<Connection> {
    let name = format!("{} ({role})", config.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(config.to_uri(), properties);
    match timeout(config.connection_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(failed)) => Err(error::of_handshake(&failed, config)),
        Err(_) => Err(error::no_answer(config)),
    }
}
