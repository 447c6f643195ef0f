//! `cargo xtask bench`: runs one of the benchmarks in `benches/`.
//!
//! They are a workspace of their own, so that what only a measurement needs (the peers beside ours) is never
//! built by a test run. Measured is a release build; its artefacts stay under `target/benches`. A benchmark may need
//! brokers: it gets them as the tests do, and those that were started for it are stopped after it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    brokers::{self, Session},
    environment,
    runner::Runner,
    table::{Cell, Table, Tone},
    workspace::Workspace,
};

/// A release build of everything, and then the measurement.
const LIMIT: Duration = Duration::from_secs(3600);

/// A binary in `benches/`.
struct Benchmark {
    name: &'static str,
    /// What it measures.
    about: &'static str,
    /// The brokers that it finds in their variables.
    brokers: &'static [&'static str],
}

const ALL: &[Benchmark] = &[
    Benchmark {
        name: "inprocess",
        about: "instructions and allocations per event; durable messages per second beside the bare store",
        brokers: &[],
    },
    Benchmark {
        name: "rabbitmq",
        about: "messages per second and time of the CPU beside lapin, amqprs and petisco, on one node",
        brokers: &["rabbitmq"],
    },
    Benchmark {
        name: "rpc",
        about: "calls per second, time of the CPU and memory beside lapin, amqprs and the Python pair, on one node",
        brokers: &["rabbitmq"],
    },
];

/// Runs a benchmark; without a name, lists them.
pub(crate) fn run(
    runner: &Runner,
    workspace: &Workspace,
    name: Option<&str>,
    arguments: &[String],
) -> Result<bool> {
    let Some(name) = name else {
        print!("{}", list());
        return Ok(true);
    };
    let benchmark = ALL.iter().find(|known| known.name == name);
    let benchmark = benchmark
        .with_context(|| format!("there is no benchmark `{name}`; there are:\n{}", list()))?;
    let manifest = runner.root().join("benches/Cargo.toml");
    ensure!(
        manifest.exists(),
        "benches/Cargo.toml is missing: the benchmark `{name}` is not part of this checkout"
    );
    let needed = brokers::named(benchmark.brokers);
    let session = Session::for_tests(&needed, runner, &brokers::folder(workspace))?;
    if let Some((broker, why)) = session.skipped().next() {
        println!("{name}: SKIPPED: it needs the broker {broker}: {why}");
        return Ok(!environment::is_ci());
    }
    let mut cargo = runner.cargo(&["run", "--release", "--manifest-path", "benches/Cargo.toml"]);
    cargo
        .args(["--target-dir", "target/benches", "--bin", name, "--"])
        .args(arguments)
        .envs(session.variables());
    runner.run(&mut cargo, LIMIT)
}

fn list() -> Table {
    let mut table = Table::new(&["benchmark", "measures"]);
    for benchmark in ALL {
        let name = Cell::new(benchmark.name, Tone::Good);
        table.row([name, benchmark.about.into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_that_a_benchmark_needs_is_known() {
        for benchmark in ALL {
            let known = brokers::named(benchmark.brokers).len();
            assert_eq!(known, benchmark.brokers.len(), "{}", benchmark.name);
        }
    }
}
