//! One of two processes on one file: publishes orders. Run `consume` in another terminal, before or after.
//!
//! `cargo run --example publish -- [FILE] [COUNT]`

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Client, Contract as _, Domain, Event,
    convention::{Convention as _, Interest},
};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    number: u32,
}

#[tokio::main]
async fn main() -> tidings::Result<()> {
    let mut arguments = env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "orders.db".to_owned());
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(10);

    let transport = tidings::open(&format!("embedded:{file}")).await?;
    let domain = Domain::new("acme", "shop")?;
    // The exchanges, the store, and the queue of the one subscriber, so that orders can wait for it.
    let ship = domain.attach(
        "ship",
        &Interest::Contract(OrderPlaced::info()),
        &domain.retry_policy(),
    )?;
    transport.declare(&domain.topology()).await?;
    transport.declare(&ship.topology).await?;
    let client = Client::new(Arc::new(domain), transport.publisher().await?);
    for number in 1..=count {
        client.publish(&OrderPlaced { number }).await?;
        println!("order {number} is safe in {file}");
    }
    transport.close(tidings::Deadline::NEVER).await
}
