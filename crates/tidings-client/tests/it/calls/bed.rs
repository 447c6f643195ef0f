//! What the tests ask, and the broker that they ask through.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_client::Caller;
use tidings_core::{
    Contract, Kind,
    contract::{Invalid, Lock, Request, Response, Violation},
    transport::Transport,
};
use tidings_embedded::Embedded;
use tidings_rpc::Rpc;

use super::responder::Responder;

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The queue that everything is sent to.
pub(super) const QUEUE: &str = "web1";

/// What the tests ask.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Greet {
    pub(super) name: String,
}

/// What they are answered.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Greeting {
    pub(super) text: String,
}

impl Contract for Greet {
    const NAME: &'static str = "greet";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Call;
    type Reply = Response<Greeting>;

    fn validate(&self) -> Result<(), Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::new(vec![Violation::new(
                Vec::new(),
                "has no name",
                "value_error",
            )]));
        }
        Ok(())
    }
}

impl Request for Greet {
    const LOCK: Lock = Lock::Off;
    const SECRETS: &'static [&'static str] = &[];
    const REMEMBERED: Option<Duration> = None;

    fn lock_value(&self) -> Option<String> {
        None
    }

    fn validate_reply(reply: &Response<Greeting>) -> Result<(), Invalid> {
        match &reply.data {
            Some(greeting) if greeting.text.is_empty() => Err(Invalid::new(vec![Violation::new(
                Vec::new(),
                "says nothing",
                "value_error",
            )])),
            _ => Ok(()),
        }
    }
}

/// A request of this name.
pub(super) fn greet(name: &str) -> Greet {
    Greet {
        name: name.to_owned(),
    }
}

/// Calls over this transport.
pub(super) fn caller(transport: Arc<dyn Transport>) -> Caller {
    Caller::new(Arc::new(Rpc::new(QUEUE).unwrap()), transport)
}

/// A broker in memory with somebody who answers, and a caller with a connection of its own.
pub(super) async fn embedded() -> (Caller, Responder) {
    let broker = Embedded::memory();
    let ours = broker.connect().await.unwrap();
    let responder = Responder::start(Arc::new(broker)).await;
    (caller(Arc::new(ours)), responder)
}
