//! The program in this process, over the embedded broker: what it serves, what it refuses, how it ends.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_client::Caller;
use tidings_consumer::{Flags, Program, Served, Transports};
use tidings_core::{
    Deadline, ErrorKind, Request,
    contract::Response,
    handler,
    transport::{Registry, Transport},
};
use tidings_embedded::Embedded;
use tidings_router::State;
use tidings_rpc::{Keys, Rpc};
use tokio::sync::Semaphore;

use tidings_testkit::log::Log;

const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";

/// How long anything may take before a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Memory;

impl Transports for Memory {
    fn transports() -> Registry {
        Registry::new().with("embedded", |url| async move {
            let transport: Arc<dyn Transport> = Arc::new(Embedded::from_url(&url).await?);
            Ok(transport)
        })
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "greet", response = Greeting, lock = "name", secrets("password"), crate = tidings_core)]
struct Greet {
    name: String,
    #[serde(default)]
    password: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Greeting {
    text: String,
    password_length: usize,
}

#[handler(crate = tidings_router)]
async fn greet(State(greeting): State<String>, request: Greet) -> Response<Greeting> {
    let text = format!("{greeting}, {}", request.name);
    let password_length = request.password.len();
    Response::success(
        "Greeted",
        Greeting {
            text,
            password_length,
        },
    )
}

/// Opened by a test, so that it knows when a request is being handled.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) entered: Arc<Semaphore>,
    pub(crate) open: Arc<Semaphore>,
}

#[derive(Serialize, Deserialize, JsonSchema, Request)]
#[request(exchange = "wait", response = (), lock = off, crate = tidings_core)]
struct Wait {}

#[handler(crate = tidings_router)]
async fn wait(State(gate): State<Gate>, _: Wait) -> Response<()> {
    gate.entered.add_permits(1);
    let _permit = gate.open.acquire().await;
    Response::done("Waited")
}

/// A configuration file for one test.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(hosts: &str) -> Self {
        Self::with(&format!(
            "server: {{host: localhost, port: 1, username: u, password: p, ssl: false}}\nvirtual_hosts: {hosts}\n"
        ))
    }

    fn with(text: &str) -> Self {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("tidings-program-{}.yml", uuid::Uuid::new_v4()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn flags(&self, more: &[&str]) -> Flags {
        let path = self.0.to_str().unwrap();
        let line = [
            "program",
            "--config-file-path",
            path,
            "--transport=embedded:",
        ];
        Flags::from_line([&line, more].concat()).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

pub(crate) fn gate() -> Gate {
    Gate {
        entered: Arc::new(Semaphore::new(0)),
        open: Arc::new(Semaphore::new(0)),
    }
}

pub(crate) fn program() -> Program<Memory> {
    Program::new().state("Hello".to_owned()).state(gate())
}

async fn serve(hosts: &str) -> Served {
    let file = File::new(hosts);
    program()
        .start(&file.flags(&["--virtual-host-name=v"]))
        .await
        .unwrap()
}

pub(crate) fn caller(served: &Served) -> Caller {
    let transport = served.virtual_host("v").unwrap().transport();
    Caller::new(Arc::new(Rpc::new("q").unwrap()), Arc::clone(transport)).with_timeout(SOON)
}

async fn ask(served: &Served, exchange: &str, body: &Value) -> Value {
    let reply = caller(served)
        .call_raw(exchange, body.to_string())
        .await
        .unwrap();
    serde_json::from_slice(&reply.bytes).unwrap()
}

#[tokio::test]
async fn serves_what_the_file_names_with_the_state_it_was_given() {
    let served = serve("{v: {queue: q, exchanges: {greet: {type: direct}}}}").await;
    assert!(served.health().ready, "{:?}", served.health());
    let reply = ask(&served, "greet", &json!({"name": "Ada"})).await;
    let expected = json!({"success": true, "message": "Greeted", "data": {"text": "Hello, Ada", "password_length": 0}});
    assert_eq!(reply, expected);
    let reply = ask(&served, "greet", &json!({"nam": "Ada"})).await;
    assert_eq!(reply["message"], "Request validation failed");
    assert_eq!(reply["data"]["errors"][0]["location"], json!(["name"]));
}

#[tokio::test]
async fn state_may_take_a_while_to_make() {
    let file = File::new("{v: {queue: q, exchanges: {greet: {type: direct}}}}");
    let made = async || Ok::<_, std::io::Error>("Good day".to_owned());
    let program = Program::<Memory>::new().state(gate()).state_with(made);
    let served = program
        .start(&file.flags(&["--virtual-host-name=v"]))
        .await
        .unwrap();
    let reply = ask(&served, "greet", &json!({"name": "Ada"})).await;
    assert_eq!(reply["data"]["text"], "Good day, Ada");
}

#[tokio::test]
async fn an_exchange_that_nobody_handles_is_answered_at_once_and_keeps_it_from_being_ready() {
    let served =
        serve("{v: {queue: q, exchanges: {greet: {type: direct}, gone: {type: direct}}}}").await;
    let health = served.health();
    assert!(health.live && !health.ready);
    assert_eq!(
        health.reasons,
        ["virtual host `v`: no handler for exchange `gone`"]
    );
    let reply = ask(&served, "gone", &json!({})).await;
    assert_eq!(
        reply,
        json!({"success": false, "message": "No handler for exchange `gone`", "data": null})
    );
    let reply = ask(&served, "greet", &json!({"name": "Ada"})).await;
    assert_eq!(reply["success"], true, "the others are served");
}

#[tokio::test]
async fn what_is_told_to_be_strict_refuses_to_serve_a_part() {
    let file = File::new("{v: {queue: q, exchanges: {gone: {type: direct}}}}");
    let flags = file.flags(&["--virtual-host-name=v", "--strict"]);
    let error = program().start(&flags).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert_eq!(
        error.to_string(),
        "virtual host `v`: no handler for exchange `gone`; linked into this program are handlers for `greet`, `wait`"
    );
}

#[tokio::test]
async fn a_slip_in_the_name_of_an_exchange_is_told_with_what_was_meant() {
    let log = Log::start();
    let served =
        serve("{v: {queue: q, exchanges: {wait: {type: direct}, graet: {type: direct}}}}").await;
    assert!(!served.health().ready);
    let lines = log.lines_with("no handler for a configured exchange");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let hint = "did you mean `greet`?";
    assert!(
        lines[0].contains(hint) && lines[0].contains("handlers for `greet`, `wait`"),
        "{lines:?}"
    );
    let file = File::new("{v: {queue: q, exchanges: {graet: {type: direct}, g: {type: direct}}}}");
    let flags = file.flags(&["--virtual-host-name=v", "--strict"]);
    let error = program().start(&flags).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "virtual host `v`: no handler for exchange `graet`, `g`; did you mean `greet`? linked into this program are \
         handlers for `greet`, `wait`"
    );
    // Who is served under its own name is not meant.
    let file =
        File::new("{v: {queue: q, exchanges: {greet: {type: direct}, graet: {type: direct}}}}");
    let flags = file.flags(&["--virtual-host-name=v", "--strict"]);
    let error = program().start(&flags).await.unwrap_err();
    assert!(!error.to_string().contains("did you mean"), "{error}");
}

#[tokio::test]
async fn a_mocked_program_checks_requests_and_makes_answers_up() {
    let file = File::with(
        "mock: yes\nserver: {host: h, port: 1, username: u, password: p, ssl: no}\n\
         virtual_hosts: {v: {queue: q, exchanges: {greet: {type: direct}}}}\n",
    );
    let program = Program::<Memory>::new();
    let served = program.start(&file.flags(&["--virtual-host-name=v"])).await;
    // Its handlers are not asked, so that nobody misses their state.
    let served = served.unwrap();
    let reply = ask(&served, "greet", &json!({"name": "Ada"})).await;
    assert_eq!(reply["success"], true);
    assert!(reply["message"].is_string() && reply["data"]["text"].is_string());
    assert!(reply["data"]["password_length"].as_u64().is_some());
    let reply = ask(&served, "greet", &json!({})).await;
    assert_eq!(reply["message"], "Request validation failed");
}

#[tokio::test]
async fn secrets_are_decrypted_with_the_key_of_the_virtual_host() {
    let hosts =
        format!("{{v: {{queue: q, fernet_key: {KEY}, exchanges: {{greet: {{type: direct}}}}}}}}");
    let served = serve(&hosts).await;
    let token = Keys::new([KEY]).unwrap().encrypt("sécret");
    let reply = ask(&served, "greet", &json!({"name": "Ada", "password": token})).await;
    assert_eq!(reply["data"]["password_length"], "sécret".len());
}

#[tokio::test]
async fn a_key_that_is_none_is_told_before_anything_is_served_and_not_shown() {
    let file =
        File::new("{v: {queue: q, fernet_key: hunter2, exchanges: {greet: {type: direct}}}}");
    let error = program()
        .start(&file.flags(&["--virtual-host-name=v"]))
        .await;
    let error = error.unwrap_err();
    let text = error.chain();
    assert!(
        text.contains(": `virtual_hosts.v.fernet_key` cannot be used: "),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn missing_state_is_told_before_anything_is_served() {
    let file = File::new("{v: {queue: q, exchanges: {greet: {type: direct}}}}");
    let program = Program::<Memory>::new();
    let error = program.start(&file.flags(&["--virtual-host-name=v"])).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error.to_string().contains("State<alloc::string::String>"),
        "{error}"
    );
}

#[tokio::test]
async fn a_drain_loses_no_reply() {
    let gate = gate();
    let file = File::new("{v: {queue: q, exchanges: {wait: {type: direct}}}}");
    let program = Program::<Memory>::new().state(gate.clone());
    let served = program
        .start(&file.flags(&["--virtual-host-name=v"]))
        .await
        .unwrap();
    let reply = caller(&served).call_raw("wait", "{}");
    let under_way = async {
        gate.entered.acquire().await.unwrap().forget();
        let draining = served.drain(SOON);
        tokio::pin!(draining);
        // It waits for the handler.
        let early = futures_util::poll!(&mut draining);
        assert!(early.is_pending());
        assert!(!served.health().ready);
        gate.open.add_permits(1);
        draining.await
    };
    let (reply, drained) = tokio::join!(reply, under_way);
    assert!(drained.complete);
    let reply: Value = serde_json::from_slice(&reply.unwrap().bytes).unwrap();
    assert_eq!(reply["message"], "Waited");
    served.close(Deadline::after(SOON)).await.unwrap();
}

#[tokio::test]
async fn several_virtual_hosts_want_a_broker_that_has_them() {
    let hosts = "{v: {queue: q, exchanges: {}}, w: {queue: q, exchanges: {}}}";
    let file = File::new(hosts);
    let error = program().start(&file.flags(&["--all-virtual-hosts"])).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("--virtual-host-name"), "{error}");
}

#[tokio::test]
async fn without_a_broker_it_ends_only_if_told_not_to_wait() {
    let file = File::new("{v: {queue: q, exchanges: {}}}");
    let flags = |more: &[&str]| {
        let mut flags = file.flags(&[&["--virtual-host-name=v"], more].concat());
        flags.transport = Some("away:".into());
        flags
    };
    struct Away;
    impl Transports for Away {
        fn transports() -> Registry {
            Registry::new().with("away", |_| async {
                Err(tidings_core::Error::new(
                    ErrorKind::Unavailable,
                    "nobody there",
                ))
            })
        }
    }
    let error = Program::<Away>::new().start(&flags(&["--no-wait"])).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    tokio::time::pause();
    let patient = flags(&[]);
    let waiting = Program::<Away>::new().start(&patient);
    let waiting = tokio::time::timeout(Duration::from_secs(3600), waiting).await;
    assert!(waiting.is_err(), "an hour later it still waits");
    // What is no outage is not waited for.
    let flags = file.flags(&["--virtual-host-name=v"]);
    let error = Program::<Away>::new().start(&flags).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}
