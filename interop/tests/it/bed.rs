//! A folder and a broker for one test, and the processes that use them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tidings::{
    Call, Deadline, Envelope, Settlement, transport::Subscription, transport::Transport,
};
use tidings_testkit::rabbitmq::{self, VirtualHost};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

use crate::role::Role;

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const MAIL: &str = "send_mail_on_user_created";
pub(crate) const AUDIT: &str = "audit_on_user_lifecycle";
pub(crate) const BILL: &str = "bill_on_invoice_issued";
pub(crate) const STORE: &str = "store_on_message";
/// The routing key of `user.created`.
pub(crate) const KEY: &str = "petacc.registration.1.event.user_created";
/// The queue in which `MAIL` gets it.
pub(crate) const QUEUE: &str = "petacc.registration.1.event.user_created.send_mail_on_user_created";

/// A line for `publish`.
pub(crate) const USER_CREATED: &str = r#"{"type": "domain_event", "name": "user.created", "attributes": {"user_id": 7}, "meta": {"a": "b"}}"#;

/// Where the measured facts are.
pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../conventions/tidings-domain/tests/golden")
        .join(file)
}

/// A folder, removed at the end, and a broker.
pub(crate) struct Bed {
    folder: PathBuf,
    at: At,
}

/// Which broker the processes use.
#[derive(Clone)]
pub(crate) enum At {
    /// The embedded one, with a file in the folder.
    Embedded,
    /// A virtual host on the RabbitMQ that all tests share, named by its URL.
    RabbitMq(Arc<VirtualHost>),
    /// A RabbitMQ node, named by the variables of existing systems.
    Node(SocketAddr),
}

impl At {
    /// `None` where there is no RabbitMQ.
    pub(crate) async fn rabbitmq() -> Option<Self> {
        rabbitmq::shared()
            .await
            .map(|host| Self::RabbitMq(Arc::new(host)))
    }
}

/// Makes two tests of each function: with the embedded broker, and with RabbitMQ.
macro_rules! on_each_broker {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::bed::At::Embedded).await;
                }
            )+
        }
        mod rabbitmq {
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(at) = $crate::bed::At::rabbitmq().await {
                        super::$test(at).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_each_broker;

/// The variables in which both sides find a broker.
pub(crate) fn variables(address: SocketAddr) -> [(&'static str, String); 4] {
    [
        ("RABBITMQ_HOST", address.ip().to_string()),
        ("RABBITMQ_PORT", address.port().to_string()),
        ("RABBITMQ_USER", "guest".to_owned()),
        ("RABBITMQ_PASSWORD", "guest".to_owned()),
    ]
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) errors: String,
}

impl Bed {
    pub(crate) fn new(at: &At) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tidings-interop-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let at = at.clone();
        Self { folder, at }
    }

    /// With the topology of the captured subscribers, declared with these options.
    pub(crate) async fn configured(at: &At, options: &[&str]) -> Self {
        let bed = Self::new(at);
        bed.configure(options).await;
        bed
    }

    /// Declares the topology of the captured subscribers.
    pub(crate) async fn configure(&self, options: &[&str]) {
        let arguments = [&["configure"], options].concat();
        assert_eq!(self.run(&arguments).await.printed("ok").code, Some(0));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn url(&self) -> String {
        match &self.at {
            At::Embedded => format!("embedded:{}", self.file("broker").display()),
            At::RabbitMq(host) => host.url(),
            At::Node(address) => format!("amqp://guest:guest@{address}"),
        }
    }

    /// The program, with nothing but these arguments.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-interop"));
        command
            .arg("domain")
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("ACC_ORG")
            .env_remove("ACC_SVC")
            .env_remove("RUST_LOG")
            .env_remove("RABBITMQ_USER")
            .env_remove("RABBITMQ_PASSWORD")
            .env_remove("RABBITMQ_HEARTBEAT")
            // Nobody listens on this port, so no test meets a broker that it has not asked for.
            .envs([("RABBITMQ_HOST", "127.0.0.1"), ("RABBITMQ_PORT", "1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The program on this bed's broker and the captured subscribers.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--subscribers").arg(golden("subscribers.json"));
        match &self.at {
            At::Node(address) => command.envs(variables(*address)),
            _ => command.args(["--transport", &self.url()]),
        };
        command
    }

    /// Runs a subcommand to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).spawn().unwrap()).await
    }

    /// Publishes these lines.
    pub(crate) async fn publish(&self, lines: &[&str]) -> Ran {
        let mut child = self
            .command(&["publish"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let write = async move {
            // A program that refuses a line does not read the rest.
            input.write_all(text.as_bytes()).await.ok();
        };
        tokio::join!(write, Ran::of(child)).1
    }

    /// Consumes with these options until so many calls were seen.
    pub(crate) async fn consume(&self, options: &[&str], expect: usize) -> Ran {
        let expect = expect.to_string();
        let fixed = ["consume", "--timeout", "15", "--expect", &expect];
        self.run(&[&fixed, options].concat()).await
    }

    /// Starts a subcommand that goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Role {
        Role::start(self.command(arguments))
    }

    /// Starts a consumer and waits until it is ready.
    pub(crate) async fn consumer(&self, options: &[&str]) -> Role {
        let mut role = self.start(&[&["consume"], options].concat());
        let ready = role.line().await.unwrap();
        assert!(ready["ready"].is_array(), "{ready}");
        role
    }

    /// This process as one more user of the broker.
    pub(crate) async fn open(&self) -> Arc<dyn Transport> {
        tidings::open(&self.url()).await.unwrap()
    }

    /// Publishes as a foreign system might.
    pub(crate) async fn inject(&self, calls: impl IntoIterator<Item = Call>) {
        let transport = self.open().await;
        let publisher = transport.publisher().await.unwrap();
        for call in calls {
            publisher.publish(call).await.unwrap();
        }
        transport.close(Deadline::after(PATIENCE)).await.unwrap();
    }

    /// Takes so many messages out of a queue.
    pub(crate) async fn take(&self, queue: &str, count: usize) -> Vec<Envelope> {
        let transport = self.open().await;
        let mut subscriber = transport.subscribe(Subscription::to(queue)).await.unwrap();
        let mut taken = Vec::new();
        while taken.len() < count {
            let next = timeout(PATIENCE, subscriber.next()).await;
            let (call, acker) = next.expect("a message in time").unwrap().unwrap().split();
            acker.settle(Settlement::Ack).await.unwrap();
            taken.push(call.envelope.clone());
        }
        drop(subscriber);
        transport.close(Deadline::after(PATIENCE)).await.unwrap();
        taken
    }

    /// How many messages wait in each queue that is not empty.
    pub(crate) async fn waiting(&self) -> Vec<(String, u64)> {
        let transport = self.open().await;
        let names = transport.queues(&[]).await.unwrap();
        let names: Vec<_> = names.into_iter().map(|queue| queue.name).collect();
        // Asked by name: what a broker lists may be a second old.
        let queues = match names.as_slice() {
            [] => Vec::new(),
            names => transport.queues(names).await.unwrap(),
        };
        transport.close(Deadline::after(PATIENCE)).await.unwrap();
        let mut waiting: Vec<_> = queues
            .into_iter()
            .map(|queue| (queue.name.to_string(), queue.depth()))
            .filter(|(_, messages)| *messages > 0)
            .collect();
        waiting.sort();
        waiting
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

impl Ran {
    /// Waits for a process and reads all that it says.
    pub(crate) async fn of(child: Child) -> Self {
        let output = timeout(PATIENCE, child.wait_with_output())
            .await
            .expect("the process ends in time")
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |line: &str| match line {
            "ok" => json!("ok"),
            line => serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")),
        };
        Self {
            code: output.status.code(),
            lines: text.lines().map(line).collect(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Exactly this one line.
    pub(crate) fn printed(self, line: impl Into<Value>) -> Self {
        assert_eq!(self.lines, [line.into()], "{}", self.errors);
        self
    }

    /// It failed, said nothing on standard output, and on standard error one line that contains this.
    pub(crate) fn refused(self, why: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.lines.is_empty(), "{self:?}");
        let errors: Vec<_> = self
            .errors
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert!(
            matches!(errors.as_slice(), [error] if error.contains(why)),
            "expected {why}: {}",
            self.errors
        );
    }

    /// The calls of a consumer that was satisfied.
    pub(crate) fn calls(&self) -> &[Value] {
        assert_eq!(self.code, Some(0), "{self:?}");
        let [ready, calls @ .., summary] = self.lines.as_slice() else {
            panic!("too few lines: {self:?}");
        };
        assert!(ready["ready"].is_array(), "{ready}");
        assert_eq!(summary["ok"], true);
        assert_eq!(summary["total"], calls.len());
        calls
    }

    /// What a subscriber did, and the counts that it saw.
    pub(crate) fn acts(&self, subscriber: &str) -> (String, Vec<Option<i64>>) {
        let calls = self.calls().iter();
        calls
            .filter(|call| call["subscriber"] == subscriber)
            .enumerate()
            .map(|(index, call)| {
                assert_eq!(call["call"], index + 1, "{call}");
                let act = call["act"].as_str().unwrap().to_owned();
                (act, call["redelivery_count"].as_i64())
            })
            .unzip()
    }
}
