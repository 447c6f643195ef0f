//! Standard output: one line at a time, complete and at once, because another program waits for it.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use serde::Serialize;

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Prints one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string(value)?)
}
