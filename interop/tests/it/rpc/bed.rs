//! A virtual host, a folder, and the servers that a test starts on them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::{Value, json};
use tidings::{
    rpc::{Client, Rpc},
    topology::{Queue, Topology},
    transport::Transport,
};
use tidings_testkit::rabbitmq::{self, VirtualHost};
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    time::timeout,
};

use super::{CONSUMER, QUEUE, probe::Probe};
use crate::{bed::PATIENCE, venv};

/// How much memory a page has.
const PAGE: u64 = 4_096;

/// A folder, removed at the end, and a virtual host.
pub(super) struct Bed {
    folder: PathBuf,
    pub(super) host: VirtualHost,
    transport: Arc<dyn Transport>,
}

/// What a server's file says beyond its broker.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    exchanges: Vec<&'static str>,
    /// Where the broker is, if not where everybody thinks.
    through: Option<SocketAddr>,
    /// Members of the virtual host.
    host: Value,
    /// Members of the file.
    file: Value,
}

impl Settings {
    /// Serves these exchanges.
    pub(super) fn of(exchanges: &[&'static str]) -> Self {
        Self {
            exchanges: exchanges.to_vec(),
            through: None,
            host: json!({"queue": QUEUE, "fernet_key": null}),
            file: json!({}),
        }
    }

    /// Sets a member of the virtual host.
    pub(super) fn host(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.host[name] = value.into();
        self
    }

    /// Handles so many requests at a time.
    pub(super) fn lanes(self, lanes: u16) -> Self {
        self.host("max_simultaneous_requests", lanes)
    }

    /// Ships a journal to this place.
    pub(super) fn log_server(mut self, address: SocketAddr) -> Self {
        let base_url = format!("http://{address}/api/v1/");
        self.file["log_server"] = json!({"base_url": base_url, "api_token": "token"});
        self
    }

    /// Reaches the broker by way of this address.
    pub(super) fn through(mut self, address: SocketAddr) -> Self {
        self.through = Some(address);
        self
    }
}

impl Bed {
    /// `None` where there is no RabbitMQ.
    pub(super) async fn new() -> Option<Self> {
        Some(Self::on(rabbitmq::shared().await?).await)
    }

    /// In this virtual host.
    pub(super) async fn on(host: VirtualHost) -> Self {
        let name = format!("tidings-interop-rpc-{}-{}", std::process::id(), number());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let transport = tidings::open(&host.url()).await.unwrap();
        Self {
            folder,
            host,
            transport,
        }
    }

    /// The broker, for looking and doing by hand.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// A caller that can send anything.
    pub(super) async fn probe(&self) -> Probe {
        Probe::open(Arc::clone(&self.transport)).await
    }

    /// Our client.
    pub(super) fn client(&self) -> Client {
        let rpc = Rpc::new(QUEUE).unwrap();
        Client::over(Arc::clone(&self.transport), rpc).with_timeout(PATIENCE)
    }

    /// The program with these arguments, and its standard streams closed but for the errors.
    pub(super) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-interop"));
        command.args(arguments).current_dir(&self.folder);
        command.env_remove("RUST_LOG").kill_on_drop(true);
        command.stdin(Stdio::null());
        command
    }

    /// Our server; returns once it consumes.
    pub(super) async fn ours(&self, settings: &Settings) -> Server {
        let options = self.options(settings);
        let mut command = self.program(&["rpc-server"]);
        command.args(options);
        self.start(command).await
    }

    /// The Python server; `None` where it cannot be had. Returns once it consumes.
    pub(super) async fn theirs(&self, settings: &Settings) -> Option<Server> {
        let python = match venv::python(CONSUMER) {
            Ok(python) => python,
            Err(why) => {
                venv::skip(CONSUMER, &why);
                return None;
            }
        };
        let handlers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/handlers");
        let mut command = Command::new(python.with_file_name("rabbitmq-consumer"));
        command
            .args(self.options(settings))
            .env("PYTHONPATH", handlers)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Some(self.start(command).await)
    }

    /// The options that both take, with a file that both read.
    fn options(&self, settings: &Settings) -> [String; 2] {
        let file = self.folder.join(format!("consumer-{}.yml", number()));
        // JSON is YAML.
        fs::write(&file, self.file(settings).to_string()).unwrap();
        [
            format!("--virtual-host-name={}", self.host.name()),
            format!("--config-file-path={}", file.display()),
        ]
    }

    fn file(&self, settings: &Settings) -> Value {
        let address = settings.through.unwrap_or_else(|| self.host.address());
        let mut file = settings.file.clone();
        file["server"] = json!({
            "host": address.ip().to_string(), "port": address.port(),
            "username": "guest", "password": "guest", "ssl": false,
        });
        let mut host = settings.host.clone();
        let exchanges = settings.exchanges.iter();
        host["exchanges"] = exchanges
            .map(|name| ((*name).to_owned(), json!({"type": "direct"})))
            .collect();
        file["virtual_hosts"] = json!({ self.host.name(): host });
        file
    }

    /// Both tell the service manager when they consume.
    async fn start(&self, mut command: Command) -> Server {
        let path = self.folder.join(format!("notify-{}", number()));
        let notified = UnixDatagram::bind(&path).unwrap();
        command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let mut server = Server { child, notified };
        timeout(PATIENCE, server.is_ready())
            .await
            .expect("it consumes in time");
        server
    }

    /// How many messages wait in the queue, and how many consumers it has.
    pub(super) async fn queue(&self) -> (u64, u32) {
        let queues = self.transport.queues(&[QUEUE.into()]).await.unwrap();
        (queues[0].ready, queues[0].consumers)
    }

    /// Deletes the queue with all that is in it.
    pub(super) async fn delete_queue(&self) {
        let topology = Topology::new().queue(Queue::new(QUEUE));
        self.transport.delete(&topology).await.unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Another number for each file.
fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A server at work. Dropping it kills it.
pub(super) struct Server {
    child: Child,
    notified: UnixDatagram,
}

impl Server {
    async fn is_ready(&mut self) {
        let mut said = [0; 1_024];
        loop {
            tokio::select! {
                length = self.notified.recv(&mut said) => { // Cancel-safe: as documented.
                    let text = String::from_utf8_lossy(&said[..length.unwrap()]);
                    if text.lines().any(|line| line == "READY=1") {
                        return;
                    }
                }
                ended = self.child.wait() => panic!("the server has ended: {ended:?}"), // Cancel-safe: as documented.
            }
        }
    }

    /// Sends SIGTERM.
    pub(super) async fn terminate(&self) {
        let id = self.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id])
            .status()
            .await;
        assert!(sent.unwrap().success());
    }

    /// Waits for its end and returns its exit code.
    pub(super) async fn end(mut self) -> Option<i32> {
        let status = timeout(PATIENCE, self.child.wait()).await;
        status.expect("it ends in time").unwrap().code()
    }

    /// Ends it in order; it must say that it was.
    pub(super) async fn stop(self) {
        self.terminate().await;
        assert_eq!(self.end().await, Some(0));
    }

    /// Ends the real consumer. Its code says nothing: a signal while it writes to its socket makes it fail.
    pub(super) async fn stop_theirs(self) {
        self.terminate().await;
        self.end().await;
    }

    /// Sends SIGKILL and waits until it is gone.
    pub(super) async fn kill_9(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Whether it goes on.
    pub(super) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How much memory it has, in bytes.
    pub(super) fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap();
        let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        pages * PAGE
    }

    /// The id stays the child's until it has been waited for.
    fn id(&self) -> u32 {
        self.child.id().expect("it is still running")
    }
}
