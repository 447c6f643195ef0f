//! `tidings rpc status`: whether every consumer that should run does.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{
    systemctl,
    unit::{State, Unit},
};
use crate::{
    commands::Session,
    exit::{Check, Exit},
    message,
    output::Output,
    table::{Cell, Table, Tone},
};

/// The arguments of `tidings rpc status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes of this command, as monitoring plugins have them:
  0  OK: every consumer runs
  1  WARNING: one is starting or stopping, or was started again by itself in the last ten minutes
  2  CRITICAL: one has failed, waits for a restart, or has ended although it is enabled
  3  UNKNOWN: there is none, systemd does not answer, or wrong usage

Examples:
  tidings rpc status
  tidings rpc status --output json
  tidings rpc status --unit 'my-consumer@*.service' --target my-consumers.target")]
pub(crate) struct Options {
    /// Which units; `*` stands for the name of the instance. Unless said: those of Tidings' package and those of the
    /// Python consumer
    #[arg(long = "unit", value_name = "PATTERN", default_values = ["tidings-consume@*.service", "rabbitmq-consume@*.service"])]
    units: Vec<String>,
    /// Which targets want the units that should run
    #[arg(long = "target", value_name = "NAME", default_values = ["tidings-consume.target", "rabbitmq-consume.target"])]
    targets: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    summary: String,
    units: &'a [Unit],
}

/// Shows it.
pub(crate) async fn run(options: &Options, session: &Session) -> Result<Exit> {
    let (units, check, summary) = match systemctl::units(&options.units, &options.targets).await {
        Ok(units) => {
            let (check, summary) = judge(&units);
            (units, check, summary)
        }
        Err(error) => (Vec::new(), Check::Unknown, format!("{error:#}")),
    };
    let report = Report {
        status: check.word(),
        summary: summary.clone(),
        units: &units,
    };
    let people = || {
        format!(
            "{}: {summary}\n{}",
            check.word(),
            table(&units, session.output)
        )
    };
    session.output.document(&report, people)?;
    Ok(Exit::Check(check))
}

/// The worst of them decides. The first line is what a pager shows, so it names whoever is not well.
fn judge(units: &[Unit]) -> (Check, String) {
    let Some(check) = units.iter().map(|unit| unit.state.check()).max() else {
        let summary =
            "there is no consumer: enable one with `systemctl enable --now tidings-consume@VHOST`";
        return (Check::Unknown, summary.to_owned());
    };
    let unwell: Vec<_> = units
        .iter()
        .filter(|unit| unit.state != State::Running)
        .map(|unit| format!("{} {}", unit.name, unit.state.word()))
        .collect();
    if unwell.is_empty() {
        let consumers = message::count(units.len() as u64, "consumer");
        return (check, format!("{consumers} running"));
    }
    (check, unwell.join(", "))
}

fn table(units: &[Unit], output: Output) -> String {
    let mut table = Table::new(&["unit", "state", ">restarts", "detail"]);
    for unit in units {
        let tone = match unit.state.check() {
            Check::Fine => Tone::Good,
            Check::Warning => Tone::Plain,
            Check::Critical | Check::Unknown => Tone::Bad,
        };
        table.row([
            (&unit.name).into(),
            Cell::new(unit.state.word(), tone),
            unit.restarts.into(),
            (&unit.detail).into(),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, state: State) -> Unit {
        Unit {
            name: name.to_owned(),
            state,
            restarts: 0,
            detail: String::new(),
        }
    }

    #[test]
    fn the_worst_decides_and_whoever_is_unwell_is_named() {
        let (check, summary) = judge(&[
            unit("a", State::Running),
            unit("b", State::Restarting),
            unit("c", State::Starting),
        ]);
        assert_eq!(check, Check::Critical);
        assert_eq!(summary, "b restarting, c starting");
        let (check, summary) = judge(&[unit("a", State::Running)]);
        assert_eq!((check, &*summary), (Check::Fine, "1 consumer running"));
        assert_eq!(judge(&[]).0, Check::Unknown);
    }
}
