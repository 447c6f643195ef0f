//! What decoding by a shape costs over plain serde: nanoseconds per message, each way in turn.
//!
//! Run with `cargo run --release -p tidings-core --example decode_cost`. It measures and asserts nothing.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::{hint::black_box, time::Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{
    Command, Contract, Result,
    codec::Format,
    contract::{Rules, Shape},
    schema,
};

#[derive(Command, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[command(crate = tidings_core)]
#[garde(allow_unvalidated)]
struct CreateSite {
    #[garde(length(min = 3, max = 253))]
    domain: String,
    #[garde(range(min = 1, max = 65_535))]
    port: u32,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    quota: Option<f64>,
    enabled: bool,
}

static LAX: Shape = Shape::new(schema::of_input::<CreateSite>, Rules::Lax);

const PLAIN: &[u8] = br#"{"domain":"www.example.com","port":8443,"aliases":["example.com","a.example.com"],"quota":2.5,"enabled":true}"#;
const FORGIVEN: &[u8] = br#"{"domain":"www.example.com","port":"8443","aliases":["example.com","a.example.com"],"quota":2.5,"enabled":true}"#;
const REFUSED: &[u8] = br#"{"domain":"w","port":"x","aliases":[1,2],"quota":"","enabled":7}"#;

fn main() {
    const ROUNDS: u32 = 5;
    for round in 1..=ROUNDS {
        let serde = cost(|| Format::Json.decode::<CreateSite>(PLAIN));
        let serde_and_rules = cost(|| {
            let message: CreateSite = Format::Json.decode(PLAIN)?;
            black_box(message.validate().is_ok());
            Ok(message)
        });
        let shape = cost(|| LAX.decode::<CreateSite>(Format::Json, PLAIN));
        let forgiven = cost(|| LAX.decode::<CreateSite>(Format::Json, FORGIVEN));
        let refused = cost(|| LAX.decode::<CreateSite>(Format::Json, REFUSED));
        println!(
            "{round}: serde {serde} ns, serde and rules {serde_and_rules} ns, shape {shape} ns; \
             forgiven {forgiven} ns, refused {refused} ns"
        );
    }
}

fn cost(decode: impl Fn() -> Result<CreateSite>) -> u128 {
    const TIMES: u32 = 200_000;
    let start = Instant::now();
    for _ in 0..TIMES {
        drop(black_box(decode()));
    }
    start.elapsed().as_nanos() / u128::from(TIMES)
}
