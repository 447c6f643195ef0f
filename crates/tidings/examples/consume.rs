//! The other of two processes on one file: handles orders until Ctrl-C. Start several: they share the work.
//!
//! `cargo run --example consume -- [FILE]`

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::env;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Domain, Event, Origin, Router, Server};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    number: u32,
}

async fn ship(origin: Origin, order: OrderPlaced) {
    let again = if origin.redelivered {
        " (perhaps again: a process ended before it had acked)"
    } else {
        ""
    };
    println!("shipped order {}{again}", order.number);
}

#[tokio::main]
async fn main() -> tidings::Result<()> {
    let file = env::args().nth(1).unwrap_or_else(|| "orders.db".to_owned());
    let transport = tidings::open(&format!("embedded:{file}")).await?;
    println!("waiting for orders in {file}; Ctrl-C drains and ends");
    Server::builder(transport, Domain::new("acme", "shop")?)
        .run(Router::new().on("ship", ship))
        .await
}
