//! `tidings topology apply`: creates what is missing, all or nothing, and says what that was.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tidings::{
    Error, ErrorKind,
    topology::{Difference, Topology},
    transport::Transport,
};

use super::{
    Session, count, diff::is_unknown, difference_json, difference_table, thing_json, thing_name,
};
use crate::{
    connect::{self, Absent},
    exit::Exit,
    output::{self, Output},
    table::Table,
    wanted::Source,
};

/// The arguments of `tidings topology apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings topology apply --organization acme --service shop --subscribers subscribers.json --dry-run
  tidings topology apply --file definitions.json

If something exists with other settings nothing is created, and the exit code is 5.")]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
    /// Says what would be created and what would be refused, and changes nothing
    #[arg(long)]
    dry_run: bool,
}

/// Declares it.
pub(crate) async fn run(options: &Options, session: &Session) -> Result<Exit> {
    let topology = options.source.read()?.topology();
    let absent = match options.dry_run {
        true => Absent::Imagine,
        false => Absent::Create,
    };
    let transport = session.connection.open_or(absent, &session.stop).await?;
    let done = apply(&*transport, &topology, options.dry_run, session.output).await;
    connect::close(&*transport, done).await
}

async fn apply(
    transport: &dyn Transport,
    topology: &Topology,
    dry_run: bool,
    output: Output,
) -> Result<Exit> {
    let differences = match transport.compare(topology).await {
        Ok(differences) => Some(differences),
        // It can still declare: only what was created is not known then.
        Err(error) if error.kind() == ErrorKind::Unsupported && !dry_run => None,
        Err(error) => return Err(error).context("cannot compare the topology with what exists"),
    };
    let found = differences.as_deref().unwrap_or_default();
    let is_refused = found.iter().any(Difference::is_conflict);
    let declared = if dry_run || is_refused {
        Ok(())
    } else {
        transport.declare(topology).await
    };
    declared.context("cannot declare the topology")?;
    report(topology, differences.as_deref(), dry_run, output)?;
    match (is_refused, dry_run) {
        (true, false) => Err(refusal(found)),
        (true, true) => Ok(Exit::Differs),
        (false, _) => Ok(Exit::Ok),
    }
}

/// Names the first of those settings; all of them are in the table.
fn refusal(differences: &[Difference]) -> anyhow::Error {
    let mut conflicts = differences.iter().filter(|it| it.is_conflict());
    let first = conflicts.next().map_or(String::new(), ToString::to_string);
    let more = match conflicts.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let context = format!(
        "{first}{more}: nothing was created; change the setting here, or delete what has the old one (`tidings topology clear`)"
    );
    Error::new(ErrorKind::Conflict, context).into()
}

fn report(
    topology: &Topology,
    differences: Option<&[Difference]>,
    dry_run: bool,
    output: Output,
) -> Result<()> {
    let found = differences.unwrap_or_default();
    let (refused, rest): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.is_conflict());
    let (unknown, missing): (Vec<_>, Vec<_>) = rest.into_iter().partition(|it| is_unknown(it));
    let all = topology.exchanges.len() + topology.queues.len() + topology.bindings.len();
    let created: Vec<_> = match (dry_run, refused.is_empty()) {
        (false, false) => Vec::new(),
        _ => missing.iter().map(|it| it.thing()).collect(),
    };
    let json = json!({
        "dry_run": dry_run,
        "created": created.iter().map(|thing| thing_json(thing)).collect::<Vec<_>>(),
        "refused": refused.iter().map(|it| difference_json(it)).collect::<Vec<_>>(),
        "unknown": unknown.iter().map(|it| difference_json(it)).collect::<Vec<_>>(),
        "declared": all,
    });
    output.document(&json, || {
        let mut text = String::new();
        if !refused.is_empty() {
            text.push_str(&output.table(&difference_table(refused.iter().copied())));
        }
        if !created.is_empty() {
            let verb = if dry_run { "would create" } else { "created" };
            let mut table = Table::new(&[verb, "name"]);
            for thing in &created {
                table.row([thing.kind().into(), thing_name(thing).into()]);
            }
            text.push_str(&output.table(&table));
        }
        text.push_str(&summary(all, created.len(), unknown.len(), &json));
        text
    })?;
    if differences.is_none() && !output.is_json() {
        output::note("note: this transport cannot tell what was there before");
    }
    Ok(())
}

fn summary(all: usize, created: usize, unknown: usize, json: &serde_json::Value) -> String {
    let refused = json["refused"].as_array().map_or(0, Vec::len);
    let verb = match (json["dry_run"] == true, refused > 0) {
        (true, _) => "would create",
        (false, _) => "created",
    };
    let mut line = format!("{verb} {created} of {}", count(all, "thing"));
    if refused > 0 {
        line.push_str(&format!(", refused for {}", count(refused, "setting")));
    }
    if unknown > 0 {
        line.push_str(&format!(", {unknown} cannot be seen"));
    }
    line.push('\n');
    line
}
