//! petisco at a desk: it does what it is told, and answers.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tidings_testkit::rabbitmq::Node;
use tokio::process::Command;

use crate::{bed::variables, role::Role};

/// A process in which petisco takes orders. Dropping it ends it.
pub(super) struct Desk {
    role: Role,
}

impl Desk {
    pub(super) fn open(python: &Path, node: &Node, address: SocketAddr) -> Self {
        let mut command = script(python, address, &["desk"]);
        let (_, management) = node.url().split_once("management=").unwrap();
        command.env("RABBITMQ_MANAGEMENT", management);
        Self {
            role: Role::start(command),
        }
    }

    /// Has an order done.
    pub(super) async fn ask(&mut self, order: &str, options: Value) -> Value {
        match self.try_ask(order, options).await {
            Ok(done) => done,
            Err(why) => panic!("{order}: {why}"),
        }
    }

    /// Has an order done, or learns why it could not be.
    pub(super) async fn try_ask(
        &mut self,
        order: &str,
        mut options: Value,
    ) -> Result<Value, String> {
        options["order"] = order.into();
        self.role.say(&options.to_string()).await;
        let answer = self.role.line().await.expect("the desk answers");
        match answer["failed"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer["done"].clone()),
        }
    }

    /// Publishes these lines as petisco; what it has sent.
    pub(super) async fn publish(&mut self, lines: &[&str]) -> Vec<Value> {
        let lines: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let sent = self.ask("publish", json!({ "messages": lines })).await;
        sent.as_array().unwrap().clone()
    }

    /// Takes so many messages out of a queue, in the form of the captured vectors.
    pub(super) async fn take(&mut self, queue: &str, count: usize) -> Vec<Value> {
        let taken = self
            .ask("take", json!({"queue": queue, "count": count}))
            .await;
        taken.as_array().unwrap().clone()
    }

    /// From now on, [`tapped`](Self::tapped) has a copy of what is published to these exchanges.
    pub(super) async fn tap(&mut self, exchanges: &[&str]) {
        self.ask("tap", json!({ "exchanges": exchanges })).await;
    }

    /// So many copies.
    pub(super) async fn tapped(&mut self, count: usize) -> Vec<Value> {
        self.take("tap", count).await
    }

    /// Waits until exactly these messages wait in exactly these queues.
    pub(super) async fn sees_waiting(&mut self, expected: &[(&str, u64)]) {
        let expected: Value = expected
            .iter()
            .map(|(queue, count)| (*queue, *count))
            .collect();
        let found = self.ask("waiting", json!({ "expected": expected })).await;
        assert_eq!(found, expected);
    }
}

/// The script with these arguments and this broker.
pub(super) fn script(python: &Path, address: SocketAddr, arguments: &[&str]) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python/service.py");
    let mut command = Command::new(python);
    command
        .args(["-W", "ignore"])
        .arg(script)
        .args(arguments)
        .envs(variables(address))
        // Its log says nothing here that the test does not know.
        .env("LOGURU_LEVEL", "CRITICAL")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true);
    command
}
