//! A RabbitMQ node that belongs to one test.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::{PROGRAM, VirtualHost, skip, variable};

/// A node of one's own. Dropping it removes it.
#[derive(Debug)]
pub struct Node {
    program: String,
    name: String,
    url: String,
}

#[derive(Deserialize)]
struct Line {
    url: String,
}

impl Node {
    /// Starts a node; some seconds pass. `None` if this test run has no means to.
    ///
    /// # Panics
    /// If the node does not start, or if there are no means although `CI` is set.
    pub async fn start(name: &str) -> Option<Self> {
        let program = variable(PROGRAM).or_else(|| skip("a RabbitMQ node", PROGRAM))?;
        let mut node = Self {
            program,
            name: format!("{name}-{}", std::process::id()),
            url: String::new(),
        };
        node.url = node.command("start").await.url;
        Some(node)
    }

    /// A virtual host on it. Its name is free to choose; `/` is there from the beginning and stays.
    pub async fn virtual_host(&self, name: &str) -> VirtualHost {
        VirtualHost::called(&self.url, name.to_owned()).await
    }

    /// Its URL, with the HTTP API, for the virtual host `/`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets it end by itself.
    ///
    /// # Panics
    /// If it does not.
    pub async fn stop(&self) {
        self.command("stop").await;
    }

    /// Ends it as a power failure would.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub async fn kill(&self) {
        self.command("kill").await;
    }

    /// Starts it again with its data, on the same ports.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn resume(&self) {
        self.command("resume").await;
    }

    /// Makes it short of memory: from now on it blocks every connection that publishes. Some seconds pass, and then some
    /// moments until a connection has been told.
    ///
    /// # Panics
    /// If that cannot be done.
    pub async fn raise_alarm(&self) {
        self.command("alarm").await;
    }

    /// Gives it its memory back.
    ///
    /// # Panics
    /// If that cannot be done.
    pub async fn clear_alarm(&self) {
        self.command("calm").await;
    }

    #[expect(clippy::expect_used, reason = "this is how a test fails")]
    async fn command(&self, action: &str) -> Line {
        let output = Command::new(&self.program)
            .args(["brokers", "node", action, &self.name])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the program that starts nodes can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{action} {}: {said}", self.name);
        let line = said.lines().last().unwrap_or_default();
        serde_json::from_str(line).expect("the last line tells where the node is")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let removed = std::process::Command::new(&self.program)
            .args(["brokers", "node", "remove", &self.name])
            .stdin(Stdio::null())
            .output();
        // It ends with the test run at the latest.
        let _removed = removed.is_ok();
    }
}
