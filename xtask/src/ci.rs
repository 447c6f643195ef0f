//! `cargo xtask ci`: everything that is checked before a change is taken, here as on the CI machine.
//!
//! Cheap steps come first. Clippy and the documentation share the metadata builds of the dependencies, the
//! tests and doc tests share the real ones; all use the workspace's default features, so that nothing is
//! built in two flavours.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    deny,
    runner::Runner,
    table::{Cell, Table, Tone},
    tidy,
    workspace::Workspace,
};

/// Longer than any step takes; a step that takes it hangs.
const LIMIT: Duration = Duration::from_secs(22 * 60);

/// What a step does; `false` means that it found something.
type Step = fn(&Runner, &Workspace) -> Result<bool>;

const STEPS: &[(&str, Step)] = &[
    ("fmt", fmt),
    ("tidy", |_, workspace| tidy::run(workspace)),
    ("deny", deny::run),
    ("clippy", |runner, _| {
        cargo(
            runner,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    }),
    // As a command of its own: it is the one the README names, and so the one that must work.
    ("test", |runner, _| cargo(runner, &["xtask", "test"])),
    ("docs", docs),
];

/// How a step ended.
enum Ending {
    Passed,
    Failed,
    /// Not run, because an earlier one failed.
    NotRun,
}

/// Runs the steps and prints how each went; stops at the first failure unless told to keep going.
pub(crate) fn run(
    runner: &Runner,
    workspace: &Workspace,
    only: &[String],
    keep_going: bool,
) -> Result<bool> {
    let mut table = Table::new(&["step", "result", "time"]);
    let mut failed = false;
    for (name, step) in chosen(only)? {
        let started = Instant::now();
        let ending = if failed && !keep_going {
            Ending::NotRun
        } else {
            run_step(name, *step, runner, workspace)
        };
        failed |= matches!(ending, Ending::Failed);
        table.row([
            (*name).into(),
            describe(&ending),
            time(&ending, started.elapsed()),
        ]);
    }
    println!("\n{table}");
    Ok(!failed)
}

/// The steps that are asked for, in our order; all of them if none is named.
fn chosen(only: &[String]) -> Result<Vec<&'static (&'static str, Step)>> {
    for name in only {
        if !STEPS.iter().any(|(step, _)| step == name) {
            let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
            bail!("there is no step `{name}`; there are {}", names.join(", "));
        }
    }
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    Ok(STEPS.iter().filter(|(name, _)| is_chosen(name)).collect())
}

/// Runs one step. An error is a failure of that step, not of the run: the table is printed all the same.
fn run_step(name: &str, step: Step, runner: &Runner, workspace: &Workspace) -> Ending {
    println!("\n== {name}");
    match step(runner, workspace) {
        Ok(true) => Ending::Passed,
        Ok(false) => Ending::Failed,
        Err(error) => {
            println!("error: {error:#}");
            Ending::Failed
        }
    }
}

fn describe(ending: &Ending) -> Cell {
    match ending {
        Ending::Passed => Cell::new("ok", Tone::Good),
        Ending::Failed => Cell::new("FAILED", Tone::Bad),
        Ending::NotRun => Cell::new("not run", Tone::Quiet),
    }
}

fn time(ending: &Ending, elapsed: Duration) -> Cell {
    match ending {
        Ending::NotRun => "".into(),
        Ending::Passed | Ending::Failed => format!("{:.1} s", elapsed.as_secs_f64()).into(),
    }
}

fn cargo(runner: &Runner, arguments: &[&str]) -> Result<bool> {
    runner.run(&mut runner.cargo(arguments), LIMIT)
}

/// The benchmarks are a workspace of their own, which `--all` does not reach.
fn fmt(runner: &Runner, _: &Workspace) -> Result<bool> {
    let ours = cargo(runner, &["fmt", "--all", "--check"])?;
    let manifest = "benches/Cargo.toml";
    if !runner.root().join(manifest).exists() {
        return Ok(ours);
    }
    let benches = cargo(runner, &["fmt", "--manifest-path", manifest, "--check"])?;
    Ok(ours && benches)
}

fn docs(runner: &Runner, _: &Workspace) -> Result<bool> {
    let mut cargo = runner.cargo(&["doc", "--workspace", "--no-deps"]);
    runner.run(cargo.env("RUSTDOCFLAGS", "-D warnings"), LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Result<Vec<&'static str>> {
        let only: Vec<_> = only.iter().map(ToString::to_string).collect();
        Ok(chosen(&only)?.into_iter().map(|(name, _)| *name).collect())
    }

    #[test]
    fn all_steps_run_unless_some_are_named() {
        assert_eq!(
            names(&[]).unwrap(),
            ["fmt", "tidy", "deny", "clippy", "test", "docs"]
        );
        assert_eq!(names(&["docs", "fmt"]).unwrap(), ["fmt", "docs"]);
        assert!(
            names(&["lint"])
                .unwrap_err()
                .to_string()
                .starts_with("there is no step `lint`")
        );
    }
}
