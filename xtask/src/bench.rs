//! `cargo xtask bench`: runs one of the benchmarks in `benches/`.
//!
//! They are a workspace of their own, so that what only a measurement needs (the peers beside ours) is never
//! built by a test run. Measured is a release build; its artefacts stay under `target/benches`.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::{
    runner::Runner,
    table::{Cell, Table, Tone},
};

/// A release build of everything, and then the measurement.
const LIMIT: Duration = Duration::from_secs(3600);

/// Each is a binary in `benches/`: its name, and what it measures.
const ALL: &[(&str, &str)] = &[(
    "inprocess",
    "instructions and allocations per event; durable messages per second beside the bare store",
)];

/// Runs a benchmark; without a name, lists them.
pub(crate) fn run(runner: &Runner, name: Option<&str>, arguments: &[String]) -> Result<bool> {
    let Some(name) = name else {
        print!("{}", list());
        return Ok(true);
    };
    if !ALL.iter().any(|(known, _)| *known == name) {
        bail!("there is no benchmark `{name}`; there are:\n{}", list());
    }
    let manifest = runner.root().join("benches/Cargo.toml");
    ensure!(
        manifest.exists(),
        "benches/Cargo.toml is missing: the benchmark `{name}` is not part of this checkout"
    );
    let mut cargo = runner.cargo(&["run", "--release", "--manifest-path", "benches/Cargo.toml"]);
    cargo
        .args(["--target-dir", "target/benches", "--bin", name, "--"])
        .args(arguments);
    runner.run(&mut cargo, LIMIT)
}

fn list() -> Table {
    let mut table = Table::new(&["benchmark", "measures"]);
    for (name, about) in ALL {
        table.row([Cell::new(*name, Tone::Good), (*about).into()]);
    }
    table
}
