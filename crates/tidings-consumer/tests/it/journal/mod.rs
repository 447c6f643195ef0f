//! What is shipped to the log server, and that no log server is ever in the way of a call.

mod outages;
mod records;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_consumer::journal::{Counts, Journal, JournalConfig, Source};
use tidings_core::{
    Address, Call, Deadline, Envelope, Error, ErrorKind, Fault, FaultCode, Kind, Outcome, Payload,
    Reply,
    contract::{Contract, Invalid, Lock, Request, Response},
    error::Result,
    properties::Fields,
    respond::Respond,
};
use tidings_router::registry::RequestInfo;
use tidings_rpc::{Keys, MASK, Rpc};
use tokio::time::{Instant, timeout};
use tower::{Service, service_fn};
use tower_layer::Layer;
use uuid::Uuid;

use crate::log_server::{LogServer, Mood};

const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";

#[derive(Serialize, Deserialize, JsonSchema)]
struct CreateSite {
    name: String,
    #[serde(default = "twenty")]
    size: u32,
    #[serde(default)]
    pin: Option<String>,
}

fn twenty() -> u32 {
    20
}

impl Contract for CreateSite {
    const NAME: &'static str = "create_site";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Call;
    type Reply = Response<u32>;
}

impl Request for CreateSite {
    const LOCK: Lock = Lock::Whole;
    const SECRETS: &'static [&'static str] = &["pin"];
    const REMEMBERED: Option<Duration> = None;
    fn lock_value(&self) -> Option<String> {
        None
    }
    fn validate_reply(_: &Response<u32>) -> Result<(), Invalid> {
        Ok(())
    }
}

fn config(server: &LogServer) -> JournalConfig {
    JournalConfig::new(&server.url(), "t0ken")
        .unwrap()
        .with_patience(Duration::from_secs(5))
        .with_longest_wait(Duration::from_millis(2))
}

fn journal(server: &LogServer) -> Journal {
    Journal::start(&config(server)).unwrap()
}

fn source() -> Source {
    let keys = Keys::new([KEY]).unwrap();
    let rpc = Rpc::new("web1").unwrap().with_keys(keys);
    Source::new(rpc.with_secrets_of::<CreateSite>(), "servers", "consumer")
        .with_hostname("host7")
        .with_requests([RequestInfo::of::<CreateSite>()])
}

fn call(id: &str, body: &Value) -> Call {
    let envelope = Envelope {
        payload: Payload::json(body.to_string()),
        ..Envelope::default()
    };
    let envelope = envelope.with_properties(Fields {
        correlation_id: (!id.is_empty()).then(|| id.into()),
        reply_to: Some("amq.gen-1".into()),
        ..Fields::default()
    });
    Call::new(Address::new("create_site", "web1"), envelope)
}

fn id() -> String {
    Uuid::new_v4().to_string()
}

/// Handles a call as this handler would, with the journal around it.
async fn handle(journal: &Journal, call: Call, result: Result<Reply>) -> Result<Reply> {
    let result = std::sync::Mutex::new(Some(result));
    let inner = service_fn(|_: Call| {
        let result = result.lock().unwrap().take().expect("it is called once");
        async move { result }
    });
    journal.layer(source()).layer(inner).call(call).await
}

fn done() -> Result<Reply> {
    Response::success("Made", 7).respond()
}

async fn closed(journal: &Journal) -> Counts {
    journal
        .close(Deadline::after(Duration::from_secs(10)))
        .await
}

/// Calls this often; each must go through at once, whatever the log server does.
async fn calls_go_on(journal: &Journal, calls: usize) {
    let started = Instant::now();
    for _ in 0..calls {
        let asked = call(&id(), &json!({"name": "bob"}));
        assert!(handle(journal, asked, done()).await.is_ok());
    }
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}
