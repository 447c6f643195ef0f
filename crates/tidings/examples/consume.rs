//! The other of two processes on one file: ships orders until Ctrl-C. Start several: they share the work.
//!
//! `cargo run --example consume -- [FILE]`
//!
//! Kill one with `kill -9` while it packs an order: another one, or the next start, gets that order again and is
//! told so.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Domain, Error, ErrorKind, Event, Origin, Router, Server, Subscriber};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    number: u32,
}

async fn ship(origin: Origin, order: OrderPlaced) {
    let number = order.number;
    if origin.redelivered {
        println!("packing order {number} (perhaps again: a process has ended in between)");
    } else {
        println!("packing order {number}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("shipped order {number}");
}

#[tokio::main]
async fn main() -> tidings::Result<()> {
    let file = file(env::args().skip(1))?;
    let transport = tidings::open(&format!("embedded:{file}")).await?;
    println!("waiting for orders in {file}; Ctrl-C lets the order at hand be shipped, and ends");
    let subscriber = Subscriber::new("ship").on(ship).concurrency(1);
    Server::builder(transport, Domain::new("acme", "shop")?)
        .run(Router::new().subscriber(subscriber))
        .await?;
    println!("done; what is not shipped waits in {file}");
    Ok(())
}

/// The file that the command line names.
fn file(mut arguments: impl Iterator<Item = String>) -> tidings::Result<String> {
    let file = arguments.next().unwrap_or_else(|| "orders.db".to_owned());
    if file.starts_with('-') || arguments.next().is_some() {
        let usage = "usage: consume [FILE], where FILE is `orders.db` unless given";
        return Err(Error::new(ErrorKind::Misuse, usage));
    }
    Ok(file)
}
