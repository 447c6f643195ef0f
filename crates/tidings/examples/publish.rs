//! One of two processes on one file: places orders. Run `consume` in another terminal, before or after.
//!
//! `cargo run --example publish -- [FILE] [COUNT]`

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Client, Contract as _, Deadline, Domain, Error, ErrorKind, Event,
    convention::{Convention as _, Interest},
};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    number: u32,
}

#[tokio::main]
async fn main() -> tidings::Result<()> {
    let (file, count) = arguments(env::args().skip(1))?;
    let transport = tidings::open(&format!("embedded:{file}")).await?;
    let domain = Domain::new("acme", "shop")?;
    // The exchanges and the store; and the queue of the one subscriber, so that orders wait for it even if it
    // has never run.
    transport.declare(&domain.topology()).await?;
    let orders = Interest::Contract(OrderPlaced::info());
    let ship = domain.attach("ship", &orders, &domain.retry_policy())?;
    transport.declare(&ship.topology).await?;

    let client = Client::new(Arc::new(domain), transport.publisher().await?);
    for number in 1..=count {
        client.publish(&OrderPlaced { number }).await?;
        println!("order {number} is safe in {file}");
    }
    transport.close(Deadline::NEVER).await
}

/// The file and the count that the command line names.
fn arguments(mut given: impl Iterator<Item = String>) -> tidings::Result<(String, u32)> {
    let usage =
        "usage: publish [FILE] [COUNT], where FILE is `orders.db` and COUNT is 10 unless given";
    let misuse = || Error::new(ErrorKind::Misuse, usage);
    let file = given.next().unwrap_or_else(|| "orders.db".to_owned());
    let count = match given.next() {
        Some(count) => count.parse().map_err(|_| misuse())?,
        None => 10,
    };
    if file.starts_with('-') || given.next().is_some() {
        return Err(misuse());
    }
    Ok((file, count))
}
