//! Runs other programs so that nothing outlives us: not after Ctrl-C, not after a hang.
//!
//! Every program gets a process group of its own, with the processes it starts in turn; the first signal to us
//! is passed on to that group, the second one, or the end of a grace period, kills it. What was started before a signal
//! (brokers) is stopped by its owner afterwards, because a signal makes [`Runner::run`] return, not exit.

use std::{
    cell::Cell,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// How often a running program is looked at; signals are noticed at once.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program may take to end after it has been asked to.
const GRACE: Duration = Duration::from_secs(30);

/// Runs programs in the workspace root, one at a time.
#[derive(Debug)]
pub(crate) struct Runner {
    root: PathBuf,
    signals: Receiver<i32>,
    interrupted: Cell<bool>,
}

impl Runner {
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let mut source =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let (sender, signals) = mpsc::channel();
        thread::spawn(move || {
            for signal in source.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            root: root.to_owned(),
            signals,
            interrupted: Cell::new(false),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether somebody wants us to end. What fails then fails because of that.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// `cargo` with a subcommand, in the workspace root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Runs a program to its end and says whether it succeeded; `limit` is how long that may take.
    pub(crate) fn run(&self, command: &mut Command, limit: Duration) -> Result<bool> {
        let name = announce(command);
        let mut child = self.spawn(command, &name)?;
        self.wait(&mut child, &name, limit)
    }

    /// As [`run`](Self::run); each line of its standard output is printed and then handed to `on_line`.
    pub(crate) fn run_reading(
        &self,
        command: &mut Command,
        limit: Duration,
        mut on_line: impl FnMut(&str) + Send,
    ) -> Result<bool> {
        self.run_quietly(command, limit, |line| {
            println!("{line}");
            on_line(line);
        })
    }

    /// As [`run`](Self::run); each line of its standard output is handed to `on_line` and not printed.
    pub(crate) fn run_quietly(
        &self,
        command: &mut Command,
        limit: Duration,
        mut on_line: impl FnMut(&str) + Send,
    ) -> Result<bool> {
        let name = announce(command);
        let mut child = self.spawn(command.stdout(Stdio::piped()), &name)?;
        let output = child
            .stdout
            .take()
            .context("the child's output is piped, yet absent")?;
        thread::scope(|scope| {
            scope.spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    on_line(&String::from_utf8_lossy(&line));
                }
            });
            self.wait(&mut child, &name, limit)
        })
    }

    /// Lets `duration` pass unless a signal comes first, which is an error.
    pub(crate) fn pause(&self, duration: Duration) -> Result<()> {
        if !self.interrupted.get() && self.signals.recv_timeout(duration).is_ok() {
            self.interrupted.set(true);
        }
        if self.interrupted.get() {
            bail!("interrupted")
        } else {
            Ok(())
        }
    }

    fn spawn(&self, command: &mut Command, name: &str) -> Result<Child> {
        self.pause(Duration::ZERO)?;
        command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))
    }

    fn wait(&self, child: &mut Child, name: &str, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            match self.signals.recv_timeout(LOOK) {
                Ok(_) => {
                    self.interrupted.set(true);
                    self.end(child)?;
                    bail!("interrupted: `{name}` was stopped");
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                    self.end(child)?;
                    bail!(
                        "`{name}` took longer than {} s and was stopped",
                        limit.as_secs()
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Asks the group to end; a second signal or the end of the grace period kills it.
    fn end(&self, child: &mut Child) -> Result<()> {
        signal_group(child.id(), "TERM");
        let deadline = Instant::now() + GRACE;
        while child.try_wait()?.is_none() {
            let again = self.signals.recv_timeout(LOOK).is_ok();
            if again || Instant::now() >= deadline {
                break;
            }
        }
        // Also when the leader has ended: what it started may not have.
        signal_group(child.id(), "KILL");
        child.wait()?;
        Ok(())
    }
}

/// Sends a signal to a process group. The shell does it, because the standard library cannot.
pub(crate) fn signal_group(leader: u32, signal: &str) {
    let script = format!("kill -{signal} -{leader} 2>/dev/null");
    // The group may be gone already; that is what was wanted.
    let _ended = Command::new("sh").args(["-c", &script]).status();
}

/// Prints what is run, as a person would type it, and returns it.
fn announce(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let line = words.join(" ");
    println!("$ {line}");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn runner() -> Runner {
        Runner::new(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn tells_success_from_failure() {
        assert!(runner().run(&mut shell("exit 0"), LONG).unwrap());
        assert!(!runner().run(&mut shell("exit 3"), LONG).unwrap());
    }

    #[test]
    fn hands_over_every_line() {
        let mut lines = Vec::new();
        let ok = runner().run_reading(&mut shell("echo one; printf two"), LONG, |line| {
            lines.push(line.to_owned());
        });
        assert!(ok.unwrap());
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn stops_what_hangs_together_with_its_children() {
        let mut lines = Vec::new();
        // The grandchild holds the pipe open: reading ends only if it is killed as well.
        let hanging = runner().run_reading(
            &mut shell("sleep 600 & echo started; wait"),
            Duration::from_millis(200),
            |line| lines.push(line.to_owned()),
        );
        let error = hanging.unwrap_err().to_string();
        assert!(error.contains("took longer than 0 s"), "{error}");
        assert_eq!(lines, ["started"]);
    }

    #[test]
    fn names_the_program_that_is_missing() {
        let error = runner()
            .run(&mut Command::new("no-such-program"), LONG)
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program`");
    }
}
