//! `cargo xtask bench rabbitmq`: what Tidings costs on top of the RabbitMQ client that it uses.
//!
//! Confirmed publishes, consuming with acks, and both at once, on classic and on quorum queues. Beside ours, in the
//! same run and in turns: lapin used well, which is the yardstick, amqprs, and petisco. Absolute figures say
//! something about the machine and its broker; the ratios are what we watch. See `docs/performance.md`.

mod case;
mod children;
mod load;
mod measure;
mod options;
mod petisco;
mod raw_amqprs;
mod raw_lapin;
mod report;
mod service;
mod stage;
mod transport;

use std::env;

use anyhow::Result;
use tidings_benches::command;

use crate::{
    case::Case,
    children::CHILD,
    options::{HELP, Options},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [CHILD, contender, work, kind, messages] => {
            let case = Case {
                contender: contender.parse()?,
                work: work.parse()?,
                kind: kind.parse()?,
                messages: messages.parse()?,
            };
            let outcome = children::serve(&command::url()?, case)?;
            println!("{}", serde_json::to_string(&outcome)?);
        }
        ["--help" | "-h"] => print!("{HELP}"),
        _ => {
            let options = Options::parse(&arguments)?;
            let report = measure::all(&options)?;
            if options.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                println!("{report}");
            }
        }
    }
    Ok(())
}
