//! The real petisco and we on one RabbitMQ, on the same queues.
//!
//! petisco knows one virtual host only, so each test has a node of its own; its scenarios follow one another, each
//! in a virtual host that is made anew. What is printed says which one it was.

mod competing;
mod configuring;
mod dead_letters;
mod desk;
mod dying;
mod failing;
mod publishing;

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use tidings_testkit::rabbitmq::Node;

use self::desk::Desk;
use crate::{
    bed::{At, Bed},
    role::Role,
    venv,
};

/// The exchange of the service, and those for failed messages.
const EXCHANGE: &str = "petacc.registration";
const RETRY_EXCHANGE: &str = "retry.petacc.registration";
const DEAD_LETTER_EXCHANGE: &str = "dead_letter.petacc.registration";
const STORE_RETRY_EXCHANGE: &str = "retry.petacc.store";

/// Retries after a moment; fresh messages wait as long as it takes.
const QUICK: &[&str] = &["--retry-ttl", "60", "--main-ttl", "0"];

/// A broker that petisco and we share.
struct Shared {
    /// Our side.
    ours: Bed,
    /// Their side.
    desk: Desk,
    python: PathBuf,
    node: Node,
    address: SocketAddr,
}

impl Shared {
    /// `None` where there is no petisco or no RabbitMQ.
    async fn new(name: &str) -> Option<Self> {
        let python = match venv::python(venv::PETISCO) {
            Ok(python) => python,
            Err(why) => {
                venv::skip(venv::PETISCO, &why);
                return None;
            }
        };
        let node = Node::start(name).await?;
        let address = node.virtual_host("/").await.address();
        Some(Self {
            ours: Bed::new(&At::Node(address)),
            desk: Desk::open(&python, &node, address),
            python,
            node,
            address,
        })
    }

    /// Begins a scenario: the broker is empty.
    async fn begin(&mut self, scenario: &str) {
        println!("scenario: {scenario}");
        self.desk.ask("wipe", json!({})).await;
    }

    /// The same with the topology of the captured subscribers, declared by us.
    async fn begin_configured(&mut self, scenario: &str, options: &[&str]) {
        self.begin(scenario).await;
        self.ours.configure(options).await;
    }

    /// Starts a consumer of petisco's and waits until it is ready.
    async fn theirs(&self, options: Value) -> Role {
        let arguments = ["consume", &options.to_string()];
        let mut role = Role::start(desk::script(&self.python, self.address, &arguments));
        assert_eq!(role.line().await, Some(json!({"ready": true})));
        role
    }

    /// A new desk, after the broker of the old one was away.
    fn reopen_desk(&mut self) {
        self.desk = Desk::open(&self.python, &self.node, self.address);
    }
}

#[tokio::test]
async fn petisco_and_tidings_share_their_queues() {
    let Some(mut shared) = Shared::new("sharing").await else {
        return;
    };
    publishing::all(&mut shared).await;
    competing::all(&mut shared).await;
    configuring::all(&mut shared).await;
    failing::all(&mut shared).await;
    dead_letters::all(&mut shared).await;
}

#[tokio::test]
async fn nothing_is_lost_when_one_of_them_or_the_broker_ends() {
    let Some(mut shared) = Shared::new("dying").await else {
        return;
    };
    dying::all(&mut shared).await;
}
