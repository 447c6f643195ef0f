//! A process that goes on while the test talks to it.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::bed::{PATIENCE, Ran};

/// A running process. Dropping it kills it.
pub(crate) struct Role {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    pub(crate) fn start(mut command: Command) -> Self {
        // Its error goes where the test's goes: a pipe that nobody reads would fill up. Failures that are logged
        // are wanted here.
        command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        command.env("RUST_LOG", "off");
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        Self {
            input: child.stdin.take(),
            lines: BufReader::new(output).lines(),
            child,
        }
    }

    /// The next line that it prints; `None` once it prints no more.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        let line = self.text().await?;
        Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")))
    }

    /// The same, as it was printed.
    pub(crate) async fn text(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("a line in time").unwrap()
    }

    /// All further lines.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        rest
    }

    /// Waits until it has begun to print a line, and reads no further.
    pub(crate) async fn begins_a_line(&mut self) {
        let mut first = [0];
        let read = timeout(PATIENCE, self.lines.get_mut().read_exact(&mut first)).await;
        read.expect("a byte in time").unwrap();
    }

    /// Writes a line to its standard input.
    pub(crate) async fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        input.flush().await.unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) async fn terminate(&self) {
        // The id stays the child's until it has been waited for.
        let id = self.child.id().expect("it is still running").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id])
            .status()
            .await;
        assert!(sent.unwrap().success());
    }

    /// Sends SIGKILL and waits until it is gone.
    pub(crate) async fn kill_9(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end; what it printed since the last line read.
    pub(crate) async fn end(mut self) -> Ran {
        let lines = self.rest().await;
        let status = timeout(PATIENCE, self.child.wait()).await;
        Ran {
            code: status.expect("it ends in time").unwrap().code(),
            lines,
            errors: String::new(),
        }
    }
}
