//! Standard output: tables for people, JSON for programs, and the one place that decides about colour.
//!
//! A command that ends prints one JSON document, a command that goes on prints JSON lines. What is not a
//! result (notes, questions, progress) goes to standard error and only to people.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stderr, stdin, stdout},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::{exit, stop::Stop, table::Table};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: one document, or one line per item of a stream.
    Json,
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    colour: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            colour: stdout().is_terminal() && wants_colour(),
        }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether text may be coloured.
    pub(crate) fn colour(self) -> bool {
        self.colour
    }

    /// Prints one result: as JSON, or as `people` shows it.
    pub(crate) fn document<T: Serialize>(
        self,
        json: &T,
        people: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.is_json() {
            write(&format!("{}\n", serde_json::to_string_pretty(json)?))
        } else {
            write(&people())
        }
    }

    /// Prints one item of a stream.
    pub(crate) fn item<T: Serialize>(
        self,
        json: &T,
        people: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.is_json() {
            write(&format!("{}\n", serde_json::to_string(json)?))
        } else {
            write(&people())
        }
    }

    /// A table as text.
    pub(crate) fn table(self, table: &Table) -> String {
        table.render(self.colour)
    }

    /// Clears the screen before the next picture, if there is a screen.
    pub(crate) fn clear(self) -> Result<()> {
        if self.colour {
            write("\u{1b}[H\u{1b}[2J")?;
        }
        Ok(())
    }
}

/// Prints text as it is.
pub(crate) fn write(text: &str) -> Result<()> {
    write_bytes(text.as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn write_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Tells a person something that is not a result.
#[expect(
    clippy::print_stderr,
    reason = "notes must not get between the results of standard output"
)]
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// Whether a person reads standard error.
pub(crate) fn is_terminal_error() -> bool {
    stderr().is_terminal() && wants_colour()
}

/// Asks a person, and takes anything but a yes for a no.
///
/// # Errors
/// Wrong usage if nobody is there to answer.
pub(crate) async fn confirm(question: &str, stop: &Stop) -> Result<bool> {
    write_question(question)?;
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = tokio::select! {
        answer = read => answer.context("cannot read the answer")?.context("cannot read the answer")?,
        () = stop.requested() => return Ok(false), // Cancel-safe: it only looks at a flag.
    };
    if answer.is_empty() {
        note("");
        return Err(exit::usage(
            "nobody is there to answer: say --yes if you mean it",
        ));
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn write_question(question: &str) -> Result<()> {
    let mut out = stderr().lock();
    write!(out, "{question} [y/N] ")
        .and_then(|()| out.flush())
        .context("cannot ask")
}

#[expect(
    clippy::disallowed_methods,
    reason = "these variables say what a terminal can show and nothing about our settings"
)]
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}
