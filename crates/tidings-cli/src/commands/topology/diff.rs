//! `tidings topology diff`: what a declaration would create, and what it would be refused for.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tidings::topology::Difference;

use super::{Session, count, difference_json, difference_table};
use crate::{
    connect::{self, Absent},
    exit::Exit,
    output,
    wanted::Source,
};

/// The arguments of `tidings topology diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings topology diff --file definitions.json
  tidings topology diff --organization acme --service shop --subscribers subscribers.json --strict

The exit code is 5 if something is missing or differs. What the transport cannot see counts only with --strict.")]
pub(crate) struct Options {
    #[command(flatten)]
    source: Source,
    /// Counts what cannot be seen as a difference
    #[arg(long)]
    strict: bool,
}

/// Compares.
pub(crate) async fn run(options: &Options, session: &Session) -> Result<Exit> {
    let topology = options.source.read()?.topology();
    let transport = session
        .connection
        .open_or(Absent::Imagine, &session.stop)
        .await?;
    let compared = transport.compare(&topology).await;
    let compared = compared.context("cannot compare the topology with what exists");
    let differences = connect::close(&*transport, compared).await?;
    let json: Vec<_> = differences.iter().map(difference_json).collect();
    let output = session.output;
    output.document(&json!({ "differences": json }), || {
        if differences.is_empty() {
            return "no differences\n".to_owned();
        }
        output.table(&difference_table(&differences))
    })?;
    let unknown = differences.iter().filter(|it| is_unknown(it)).count();
    if unknown > 0 && !output.is_json() && !options.strict {
        output::note(format_args!(
            "note: {} cannot be seen and were not compared",
            count(unknown, "thing")
        ));
    }
    let known = differences.len() - unknown;
    Ok(if known > 0 || (options.strict && unknown > 0) {
        Exit::Differs
    } else {
        Exit::Ok
    })
}

/// Whether nobody can tell if it is a difference.
pub(super) fn is_unknown(difference: &Difference) -> bool {
    matches!(difference, Difference::Unknown { .. })
}
