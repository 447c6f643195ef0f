//! The real client, in a process that makes calls as it is told.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{CLIENT, QUEUE, bed::Bed};
use crate::{role::Role, venv};

/// A process with the deployed client in it. Dropping it ends it.
pub(super) struct Clients {
    role: Role,
    port: u16,
    host: String,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Answer {
    /// The reply, or the name of the exception.
    pub(super) outcome: Result<String, String>,
}

impl Clients {
    /// `None` where it cannot be had.
    pub(super) fn open(bed: &Bed) -> Option<Self> {
        let python = match venv::python(CLIENT) {
            Ok(python) => python,
            Err(why) => {
                venv::skip(CLIENT, &why);
                return None;
            }
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/rpc_client.py");
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(script);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        Some(Self {
            role: Role::start(command),
            port: bed.host.address().port(),
            host: bed.host.name().to_owned(),
        })
    }

    /// These calls at the same time, each with a connection of its own.
    pub(super) async fn call_all(&mut self, calls: &[(&str, Value)]) -> Vec<Answer> {
        let orders = calls
            .iter()
            .map(|(exchange, body)| json!({"exchange": exchange, "body": body}));
        self.order(orders.collect()).await
    }

    /// Calls that are told in full: `exchange`, `body`, and if wanted `timeout` and `mandatory`.
    pub(super) async fn order(&mut self, mut orders: Vec<Value>) -> Vec<Answer> {
        for order in &mut orders {
            order["port"] = self.port.into();
            order["virtual_host"] = self.host.as_str().into();
            order["queue"] = QUEUE.into();
        }
        self.role.say(&json!(orders).to_string()).await;
        let answers = self.role.line().await.unwrap();
        answers.as_array().unwrap().iter().map(Answer::of).collect()
    }
}

impl Answer {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Self {
            outcome: text("reply").ok_or_else(|| text("failed").unwrap()),
        }
    }

    /// The reply; it must be one.
    #[track_caller]
    pub(super) fn reply(&self) -> &str {
        self.outcome
            .as_deref()
            .unwrap_or_else(|failed| panic!("{failed}"))
    }
}
