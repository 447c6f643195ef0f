//! A child process under supervision, for tests in which something dies.
//!
//! It ends only the process that it started, and it ends it at the latest when it is dropped. Its standard
//! error goes where the test's goes.

use std::{ffi::OsStr, fmt, process::ExitStatus, process::Stdio, time::Duration};

use tidings_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A running child process. Dropping it kills it.
///
/// Its output waits in a pipe until [`line`](Self::line) reads it: a child that writes much and is not read
/// will stop and wait, as with any pipe.
pub struct Process {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program with these arguments and, beside its parent's, these environment variables.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&name, "cannot be started").with_source(error))?;
        let Some(output) = child.stdout.take() else {
            return Err(failed(&name, "has no standard output"));
        };
        Ok(Self {
            name,
            child,
            lines: BufReader::new(output).lines(),
        })
    }

    /// Its process id, `None` once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The next line that it prints, `None` once it prints no more.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it prints nothing for so long.
    ///
    /// # Cancel safety
    /// Yes: what was read of an unfinished line is kept.
    pub async fn line(&mut self, within: Duration) -> Result<Option<String>> {
        match timeout(within, self.lines.next_line()).await {
            Ok(line) => {
                line.map_err(|error| failed(&self.name, "cannot be read from").with_source(error))
            }
            Err(_) => Err(late(&self.name, "printed no line", within)),
        }
    }

    /// Reads lines until one starts with this text, and returns it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if none comes in time, [`ErrorKind::Closed`] if the output ends before.
    pub async fn line_starting(&mut self, with: &str, within: Duration) -> Result<String> {
        let name = self.name.clone();
        let mut last = "nothing".to_owned();
        let search = async {
            loop {
                match self.line(within).await? {
                    Some(line) if line.starts_with(with) => return Ok(line),
                    Some(line) => last = format!("`{line}`"),
                    None => {
                        let context = format!("`{name}` ended before it printed `{with}`");
                        return Err(Error::new(ErrorKind::Closed, context));
                    }
                }
            }
        };
        let found = timeout(within, search).await;
        found.unwrap_or_else(|_| {
            let what = format!("printed {last} and then no `{with}`");
            Err(late(&name, &what, within))
        })
    }

    /// Kills it without any warning (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if it cannot be killed.
    pub async fn kill_9(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .map_err(|error| failed(&self.name, "cannot be killed").with_source(error))
    }

    /// Asks it to end (SIGTERM) and does not wait. Nothing happens if it has ended already.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the signal cannot be sent.
    pub async fn terminate(&mut self) -> Result<()> {
        // The id stays ours until the child has been waited for, so it cannot be another process's.
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        // The shell's own `kill`: the program of that name is not installed everywhere.
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id.to_string()])
            .status()
            .await
            .map_err(|error| failed(&self.name, "cannot be signalled").with_source(error))?;
        if sent.success() {
            return Ok(());
        }
        Err(failed(&self.name, "cannot be signalled"))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it is still running after this long; it goes on running.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => status
                .map_err(|error| failed(&self.name, "cannot be waited for").with_source(error)),
            Err(_) => Err(late(&self.name, "did not end", within)),
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.child.id())
            .finish_non_exhaustive()
    }
}

fn failed(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("`{name}` {what}"))
}

fn late(name: &str, what: &str, within: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("`{name}` {what} within {within:?}"),
    )
}
