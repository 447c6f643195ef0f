//! A broker of a test's own, and the program run on it.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tidings::{
    Address, Call, Deadline, Envelope, Headers,
    transport::{QueueStatus, Transport},
};
#[cfg(feature = "rabbitmq")]
use tidings_testkit::rabbitmq::VirtualHost;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says whose topology it is.
pub(crate) const DOMAIN: [&str; 4] = ["--organization", "acme", "--service", "shop"];
/// The routing key of the event that the tests publish.
pub(crate) const KEY: &str = "acme.shop.1.event.user_created";
/// The queue in which `mail` gets it.
pub(crate) const MAIL: &str = "acme.shop.1.event.user_created.mail";
/// The dead letters of `mail`.
pub(crate) const DEAD: &str = "dead_letter.acme.shop.1.event.user_created.mail";
/// The queue in which messages of `mail` wait for another attempt.
pub(crate) const RETRY: &str = "retry.acme.shop.1.event.user_created.mail";

const SUBSCRIBERS: &str = r#"[
    {"name": "mail", "messages": [{"name": "user.created", "version": 1, "type": "domain_event"}]},
    {"name": "bill", "messages": [{"name": "bill.order", "version": 1, "type": "command"}]}
]"#;

/// A folder, removed at the end, and a broker.
pub(crate) struct Bed {
    folder: PathBuf,
    url: String,
    /// Removed with it.
    #[cfg(feature = "rabbitmq")]
    pub(crate) host: Option<VirtualHost>,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bed {
    /// On a broker in a file that does not exist yet.
    pub(crate) fn embedded() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tidings-cli-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("subscribers.json"), SUBSCRIBERS).unwrap();
        Self {
            folder,
            url: "embedded:broker.db".to_owned(),
            #[cfg(feature = "rabbitmq")]
            host: None,
        }
    }

    /// On a virtual host of its own; `None` if there is no RabbitMQ, which is said.
    #[cfg(feature = "rabbitmq")]
    pub(crate) async fn rabbitmq() -> Option<Self> {
        let host = tidings_testkit::rabbitmq::shared().await?;
        let mut bed = Self::embedded();
        bed.url = host.url();
        bed.host = Some(host);
        Some(bed)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    /// The program with these arguments and nothing from the environment.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(arguments).current_dir(&self.folder);
        for name in [
            "TIDINGS_URL",
            "RUST_LOG",
            "RABBITMQ_HOST",
            "RABBITMQ_PORT",
            "RABBITMQ_USER",
            "RABBITMQ_PASSWORD",
        ] {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The program on this broker.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.env("TIDINGS_URL", &self.url);
        command
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments), "").await
    }

    /// Runs it with this on its standard input.
    pub(crate) async fn type_into(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.command(arguments), input).await
    }

    /// Runs it with the topology of `mail` and `bill`.
    pub(crate) async fn topology(&self, arguments: &[&str]) -> Ran {
        let source = ["--subscribers", "subscribers.json"];
        let arguments = [&["topology"], arguments, &DOMAIN, &source].concat();
        self.run(&arguments).await
    }

    /// Declares the queues of `mail` and `bill`.
    pub(crate) async fn applied(self) -> Self {
        self.topology(&["apply"]).await.ok();
        self
    }

    /// Publishes so many messages with these headers into the dead letters of `mail`.
    pub(crate) async fn bury(&self, number: u32, headers: Headers) {
        let transport = self.transport().await;
        let publisher = transport.publisher().await.unwrap();
        for number in 0..number {
            let body = format!("{{\"number\": {number}}}");
            let envelope = Envelope::new(body).with_headers(headers.clone());
            let call = Call::new(Address::queue(DEAD), envelope);
            publisher.publish(call).await.unwrap();
        }
        self.close(&*transport).await;
    }

    /// How many messages wait in a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u64 {
        let transport = self.transport().await;
        let status: Vec<QueueStatus> = transport.queues(&[queue.into()]).await.unwrap();
        self.close(&*transport).await;
        status[0].ready
    }

    /// Waits until so many messages wait in a queue.
    pub(crate) async fn until_ready(&self, queue: &str, wanted: u64) {
        let transport = self.transport().await;
        while transport.queues(&[queue.into()]).await.unwrap()[0].ready != wanted {
            tokio::task::yield_now().await;
        }
        self.close(&*transport).await;
    }

    /// The broker, for looking and doing what the program does not.
    pub(crate) async fn transport(&self) -> Arc<dyn Transport> {
        let url = match self.url.strip_prefix("embedded:") {
            Some(path) => format!("embedded:{}", self.file(path).display()),
            None => self.url.clone(),
        };
        tidings::open(&url).await.unwrap()
    }

    pub(crate) async fn close(&self, transport: &dyn Transport) {
        transport.close(Deadline::after(PATIENCE)).await.unwrap();
    }

    /// Starts it and goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A program that goes on until it is told to end.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// The next line that it prints, as JSON.
    pub(crate) async fn line(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("a line in time").unwrap();
        serde_json::from_str(&line.expect("another line")).unwrap()
    }

    /// The first line of its notes, which says that it has begun.
    pub(crate) async fn note(&mut self) -> String {
        let mut notes = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let line = timeout(PATIENCE, notes.next_line()).await;
        line.expect("a note in time").unwrap().unwrap_or_default()
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Interrupts it and returns its exit code.
    pub(crate) async fn interrupt(&mut self) -> Option<i32> {
        let id = self.child.id().expect("it is running").to_string();
        let kill = Command::new("kill").args(["-INT", &id]).status().await;
        assert!(kill.unwrap().success());
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends in time").unwrap().code()
    }
}

impl Ran {
    pub(crate) async fn of(mut command: Command, input: &str) -> Self {
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            // A program that refuses a line does not read the rest.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("it ends in time").unwrap();
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended(0)
    }

    /// It must have ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// It must have failed with this code and one line that says this.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, text: &str) -> Self {
        let errors = self.err.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{self:#?}");
        assert!(self.err.contains(text), "{text}: {self:#?}");
        self.ended(code)
    }

    /// It must have printed this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text}: {self:#?}");
        self
    }

    /// What it printed, as one document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// What it printed, as lines.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
