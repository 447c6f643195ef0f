//! `cargo xtask ci`: everything that is checked before a change is taken, here as on the CI machine.
//!
//! Cheap steps come first. Clippy and the documentation share the metadata builds of the dependencies, the
//! tests and doc tests share the real ones; all use the workspace's default features, so that nothing is
//! built in two flavours.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    brokers, deny,
    runner::Runner,
    table::{Cell, Table, Tone},
    tidy,
    workspace::Workspace,
};

/// Longer than any step takes; a step that takes it hangs.
const LIMIT: Duration = Duration::from_secs(22 * 60);
/// A run that has taken longer is long enough without what may be left out.
const ENOUGH: Duration = Duration::from_secs(16 * 60);

/// What the steps work on, and since when.
struct Run<'a> {
    runner: &'a Runner,
    workspace: &'a Workspace,
    started: Instant,
}

/// What a step does.
type Step = fn(&Run<'_>) -> Result<Ending>;

const STEPS: &[(&str, Step)] = &[
    ("fmt", fmt),
    ("tidy", |run| tidy::run(run.workspace).map(Ending::of)),
    ("deny", |run| {
        deny::run(run.runner, run.workspace).map(Ending::of)
    }),
    ("clippy", |run| {
        cargo(
            run.runner,
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
    ("test", |run| cargo(run.runner, &["xtask", "test"])),
    ("docs", docs),
    ("rabbitmq-4", rabbitmq_4),
];

/// How a step ended.
enum Ending {
    Passed,
    Failed,
    /// Not run, because an earlier one failed.
    NotRun,
    /// Not run, because that is allowed, and why.
    LeftOut(String),
}

impl Ending {
    fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// Runs the steps and prints how each went; stops at the first failure unless told to keep going.
pub(crate) fn run(
    runner: &Runner,
    workspace: &Workspace,
    only: &[String],
    keep_going: bool,
) -> Result<bool> {
    let mut table = Table::new(&["step", "result", "time"]);
    let run = Run {
        runner,
        workspace,
        started: Instant::now(),
    };
    let mut failed = false;
    for (name, step) in chosen(only)? {
        let started = Instant::now();
        let ending = if failed && !keep_going {
            Ending::NotRun
        } else {
            run_step(name, *step, &run)
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
fn run_step(name: &str, step: Step, run: &Run<'_>) -> Ending {
    println!("\n== {name}");
    match step(run) {
        Ok(ending) => ending,
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
        Ending::LeftOut(why) => Cell::new(format!("left out: {why}"), Tone::Bad),
    }
}

fn time(ending: &Ending, elapsed: Duration) -> Cell {
    match ending {
        Ending::NotRun | Ending::LeftOut(_) => "".into(),
        Ending::Passed | Ending::Failed => format!("{:.1} s", elapsed.as_secs_f64()).into(),
    }
}

fn cargo(runner: &Runner, arguments: &[&str]) -> Result<Ending> {
    runner
        .run(&mut runner.cargo(arguments), LIMIT)
        .map(Ending::of)
}

/// The benchmarks are a workspace of their own, which `--all` does not reach.
fn fmt(run: &Run<'_>) -> Result<Ending> {
    let ours = cargo(run.runner, &["fmt", "--all", "--check"])?;
    let manifest = "benches/Cargo.toml";
    if !matches!(ours, Ending::Passed) || !run.runner.root().join(manifest).exists() {
        return Ok(ours);
    }
    cargo(run.runner, &["fmt", "--manifest-path", manifest, "--check"])
}

fn docs(run: &Run<'_>) -> Result<Ending> {
    let mut cargo = run.runner.cargo(&["doc", "--workspace", "--no-deps"]);
    let passed = run
        .runner
        .run(cargo.env("RUSTDOCFLAGS", "-D warnings"), LIMIT)?;
    Ok(Ending::of(passed))
}

/// The next version of RabbitMQ, where it can be had and while there is time.
fn rabbitmq_4(run: &Run<'_>) -> Result<Ending> {
    let leave_out = |why: String| {
        println!("left out: {why}");
        Ok(Ending::LeftOut(why))
    };
    if let Some(why) = too_late(run.started.elapsed()) {
        return leave_out(why);
    }
    let folder = brokers::folder(run.workspace);
    if let Some(why) = brokers::prepare_rabbitmq_4(run.runner, &folder)? {
        return leave_out(why);
    }
    cargo(run.runner, &["xtask", "test", "--rabbitmq-4=only"])
}

fn too_late(elapsed: Duration) -> Option<String> {
    let minutes = |duration: Duration| duration.as_secs() / 60;
    (elapsed > ENOUGH).then(|| {
        format!(
            "the run has taken {} minutes, and {} are enough",
            minutes(elapsed),
            minutes(ENOUGH)
        )
    })
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
            [
                "fmt",
                "tidy",
                "deny",
                "clippy",
                "test",
                "docs",
                "rabbitmq-4"
            ]
        );
        assert_eq!(names(&["docs", "fmt"]).unwrap(), ["fmt", "docs"]);
        assert!(
            names(&["lint"])
                .unwrap_err()
                .to_string()
                .starts_with("there is no step `lint`")
        );
    }

    #[test]
    fn what_may_be_left_out_is_left_out_of_a_long_run() {
        assert_eq!(too_late(ENOUGH), None);
        assert_eq!(
            too_late(Duration::from_secs(17 * 60)).unwrap(),
            "the run has taken 17 minutes, and 16 are enough"
        );
    }
}
