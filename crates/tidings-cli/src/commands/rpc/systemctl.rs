//! What the service manager says, read through its own program: it is there wherever the units are.

use std::{collections::HashMap, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tidings::{Error, ErrorKind};
use tokio::process::Command;

use super::unit::Unit;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is read of each unit.
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,\
                          ActiveEnterTimestampMonotonic";

/// The units that match these patterns and those that these targets want, whether or not they are at work.
///
/// An instance that has ended with success is forgotten by the service manager and matches no pattern; the target
/// still wants it, if it is enabled.
pub(crate) async fn units(patterns: &[String], targets: &[String]) -> Result<Vec<Unit>> {
    let mut names = wanted(targets, patterns).await?;
    for name in loaded(patterns).await? {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    names.sort();
    let mut arguments = vec!["show", PROPERTIES, "--"];
    arguments.extend(names.iter().map(String::as_str));
    let shown = ask(&arguments).await?;
    let now = since_boot()?;
    let blocks = shown.split("\n\n").map(properties);
    Ok(blocks.filter_map(|block| Unit::of(&block, now)).collect())
}

/// The units that these targets want and that match one of the patterns. A target that does not exist wants none.
async fn wanted(targets: &[String], patterns: &[String]) -> Result<Vec<String>> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["show", "--property=Wants,Requires", "--"];
    arguments.extend(targets.iter().map(String::as_str));
    let shown = ask(&arguments).await?;
    let lines = shown.lines().filter_map(|line| line.split_once('='));
    let names = lines.flat_map(|(_, names)| names.split_whitespace());
    let ours = names.filter(|name| patterns.iter().any(|pattern| matches(pattern, name)));
    Ok(ours.map(str::to_owned).collect())
}

/// The units that the service manager has in memory.
async fn loaded(patterns: &[String]) -> Result<Vec<String>> {
    let mut arguments = vec![
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "--no-pager",
        "--",
    ];
    arguments.extend(patterns.iter().map(String::as_str));
    let listed = ask(&arguments).await?;
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// A pattern with at most one `*`, which is all that names of instances need.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => pattern == name,
    }
}

async fn ask(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("systemctl");
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let answered = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = match answered {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error).context(
            "cannot run `systemctl`: consumers are watched through systemd; elsewhere ask what runs them",
        ),
        Err(_) => bail!(Error::new(ErrorKind::Timeout, "`systemctl` has not answered for 20 s")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`systemctl {}` failed: {}", arguments[0], one_line(&said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What it says takes several lines; a monitoring plugin has one.
fn one_line(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

fn properties(block: &str) -> HashMap<&str, &str> {
    block
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// The service manager's own clock: times of units are counted from the start of the machine.
fn since_boot() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").context("cannot read /proc/uptime")?;
    let seconds = text
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    let seconds = seconds.context("/proc/uptime is not as expected")?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        assert_eq!(
            one_line("No bus.\n  Host is down.\n\n"),
            "No bus. Host is down."
        );
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn a_star_stands_for_the_name_of_the_instance() {
        let pattern = "tidings-consume@*.service";
        assert!(matches(pattern, "tidings-consume@web.service"));
        assert!(matches(pattern, "tidings-consume@.service"));
        assert!(!matches(pattern, "tidings-consume.service"));
        assert!(!matches(pattern, "tidings-consume@web.timer"));
        assert!(!matches("ab*b", "ab"));
        assert!(matches("a.service", "a.service") && !matches("a.service", "b.service"));
    }
}
