//! `cargo xtask bench inprocess`: what a message costs where no network hides it.
//!
//! Two questions: how many instructions and allocations a JSON event takes from publish to ack, beside the memory
//! broker of RustStream; and how many messages per second the durable embedded broker takes, beside the bare store
//! under it. The answers are ratios, so they can be compared across machines. See `docs/performance.md`.

mod callgrind;
mod event;
mod measured;
mod store;

use std::{env, path::PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::callgrind::{CHILD, Children};

const HELP: &str = "\
What a message costs in this process: instructions, allocations, durable messages per second.

Usage: cargo xtask bench inprocess [OPTIONS]

  --output table|json   for people or for programs [table]
  --only event|store    one part of it
  --profiles DIR        keep callgrind's profiles, for callgrind_annotate
  --help                this text
";

/// What is asked for.
#[derive(Debug, Default)]
struct Options {
    json: bool,
    only: Option<String>,
    profiles: Option<PathBuf>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    event: Option<event::Report>,
    store: Option<store::Report>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [CHILD, scenario, messages] => {
            let allocated = event::run(scenario, messages.parse()?)?;
            println!("{}", serde_json::to_string(&allocated)?);
            Ok(())
        }
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => bench(&Options::parse(&arguments)?),
    }
}

fn bench(options: &Options) -> Result<()> {
    let wants = |part| options.only.as_deref().is_none_or(|only| only == part);
    let children = Children::new(options.profiles.as_deref())?;
    let event = wants("event")
        .then(|| event::measure(&children))
        .transpose()?;
    let store = wants("store").then(store::measure).transpose()?;
    let report = Report { event, store };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    if let Some(event) = &report.event {
        println!("{event}");
    }
    if let Some(store) = &report.store {
        println!("{store}");
    }
    Ok(())
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for pair in arguments.chunks(2) {
            match *pair {
                ["--output", format @ ("table" | "json")] => options.json = format == "json",
                ["--only", part @ ("event" | "store")] => options.only = Some(part.to_owned()),
                ["--profiles", path] => options.profiles = Some(path.into()),
                _ => bail!("`{}` is not understood\n\n{HELP}", pair.join(" ")),
            }
        }
        Ok(options)
    }
}
