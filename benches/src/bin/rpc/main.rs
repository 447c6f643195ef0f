//! `cargo xtask bench rpc`: what a call of Tidings costs on top of the RabbitMQ client that it uses.
//!
//! One call in flight, and sixty-four. Beside ours, in the same run and in turns: lapin used well on the same way, which
//! is the yardstick; lapin and amqprs with nothing but the round trip, which this wire does not allow; and the Python
//! client and consumer whose wire it is. Absolute figures say something about the machine and its broker; the ratios are
//! what we watch. See `docs/performance.md`.

mod case;
mod children;
mod load;
mod measure;
mod options;
mod ours;
mod python;
mod raw_amqprs;
mod raw_lapin;
mod report;

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
        [CHILD, contender, work, calls] => {
            let case = Case {
                contender: contender.parse()?,
                work: work.parse()?,
                calls: calls.parse()?,
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
