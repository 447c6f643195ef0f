//! What is shipped to the log server, and that no log server is ever in the way of a call.

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

#[tokio::test]
async fn a_request_is_shipped_as_it_was_understood_and_its_answer_after_it() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let (journal, id) = (journal(&server), id());
    let name = Keys::new([KEY]).unwrap().encrypt("bob");
    let asked = call(&id, &json!({"name": name, "pin": "4711", "unknown": 1}));
    assert!(handle(&journal, asked, done()).await.is_ok());

    let request = server.next().await;
    assert_eq!(request.path, "/api/v1/rpc-requests");
    assert_eq!(request.token.as_deref(), Some("t0ken"));
    assert_eq!(
        request.body,
        json!({
            "correlation_id": id,
            "request_payload": {"name": MASK, "size": 20, "pin": MASK},
            "virtual_host_name": "servers",
            "queue_name": "web1",
            "rabbitmq_username": "consumer",
            "hostname": "host7",
            "exchange_name": "create_site",
        })
    );
    let response = server.next().await;
    assert_eq!(response.path, "/api/v1/rpc-responses");
    assert_eq!(
        response.body,
        json!({
            "correlation_id": id,
            "response_payload": {"success": true, "message": "Made", "data": 7},
            "traceback": null,
        })
    );
    let counts = closed(&journal).await;
    assert_eq!((counts.shipped, counts.dropped, counts.queued), (2, 0, 0));
}

/// What the log server gets for this request and this outcome.
async fn shipped(body: &Value, result: Result<Reply>) -> (Value, Value, Value) {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    drop(handle(&journal, call(&id(), body), result).await);
    let mut request = server.next().await.body;
    let mut response = server.next().await.body;
    closed(&journal).await;
    (
        request["request_payload"].take(),
        response["response_payload"].take(),
        response["traceback"].take(),
    )
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_shipped_as_it_came() {
    let refused = Error::new(ErrorKind::Invalid, "no").with_source(Invalid::new(Vec::new()));
    let body = json!({"nom": "bob", "password": "hunter2", "pin": 4711});
    let (request, response, traceback) = shipped(&body, Err(refused)).await;
    assert_eq!(
        request,
        json!({"nom": "bob", "password": MASK, "pin": MASK})
    );
    assert_eq!(response["message"], "Request validation failed");
    assert_eq!(traceback, Value::Null);

    let undecodable = Error::new(ErrorKind::Decode, "no object");
    let (request, response, _) = shipped(&json!("hunter2"), Err(undecodable)).await;
    assert_eq!(request, json!({"undecodable_bytes": 9}));
    assert_eq!(response["success"], false);
}

#[tokio::test]
async fn why_a_call_failed_is_shipped_where_the_caller_is_not_told() {
    let body = json!({"name": "bob"});
    let disk = std::io::Error::other("no space left");
    let failed = Error::new(ErrorKind::Handler, "the handler failed").with_source(disk);
    let (_, response, traceback) = shipped(&body, Err(failed)).await;
    assert_eq!(
        response,
        json!({"success": false, "message": "An unexpected error occurred", "data": null})
    );
    assert_eq!(traceback, "the handler failed: no space left");

    let fault = Fault::new(FaultCode::NotFound, "no such site");
    let told = Error::new(ErrorKind::Handler, "the handler failed").with_source(fault);
    let (_, response, traceback) = shipped(&body, Err(told)).await;
    assert_eq!(response["message"], "no such site");
    assert_eq!(traceback, Value::Null);
}

#[tokio::test]
async fn answers_of_any_kind_are_shipped_without_secrets() {
    let body = json!({"name": "bob"});
    let reply = |text: &'static str| Ok(Reply::payload(Payload::json(text)));
    let (_, response, _) = shipped(&body, reply(r#"{"success":true,"data":{"pin":"4711"}}"#)).await;
    assert_eq!(response, json!({"success": true, "data": {"pin": MASK}}));
    let (_, response, _) = shipped(&body, reply("[1]")).await;
    assert_eq!(response, json!({"answer": [1]}));
    let (_, response, _) = shipped(&body, reply("hunter2")).await;
    assert_eq!(response, json!({"undecodable_bytes": 7}));
}

#[tokio::test]
async fn ids_decide_what_can_be_shipped() {
    let mut server = LogServer::start(|_| Mood::Answers(422));
    let journal = journal(&server);
    assert!(handle(&journal, call("", &json!({})), done()).await.is_ok());
    assert!(
        handle(&journal, call("order-7", &json!({})), done())
            .await
            .is_ok()
    );
    assert_eq!(server.next().await.body["correlation_id"], "order-7");
    assert_eq!(server.next().await.body["correlation_id"], "order-7");
    let counts = closed(&journal).await;
    assert!(
        server.is_idle(),
        "what has no id cannot be told from others"
    );
    assert_eq!(
        (counts.shipped, counts.dropped, counts.foreign_ids),
        (0, 4, 1)
    );
}

#[tokio::test]
async fn what_will_come_again_has_no_answer_yet() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    let requeue = Error::new(ErrorKind::Handler, "stopping").with_outcome(Outcome::Requeue);
    assert!(
        handle(&journal, call(&id(), &json!({})), Err(requeue))
            .await
            .is_err()
    );
    assert_eq!(server.next().await.path, "/api/v1/rpc-requests");
    assert_eq!(closed(&journal).await.shipped, 1);
    assert!(server.is_idle());
}

#[tokio::test]
async fn a_handling_that_was_given_up_is_recorded_once_its_time_is_over() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    for (waits, records) in [(Duration::ZERO, 2), (Duration::from_secs(60), 1)] {
        let never = service_fn(|_: Call| std::future::pending::<Result<Reply>>());
        let mut asked = call(&id(), &json!({"name": "bob"}));
        asked.deadline = Deadline::after(waits);
        drop(journal.layer(source()).layer(never).call(asked));
        assert_eq!(server.next().await.path, "/api/v1/rpc-requests");
        if records == 2 {
            let response = server.next().await.body;
            let message = response["response_payload"]["message"].as_str().unwrap();
            assert!(message.contains("deadline"), "{message}");
        }
    }
    assert_eq!(closed(&journal).await.shipped, 3);
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

#[tokio::test]
async fn a_log_server_that_hangs_delays_nobody() {
    let mut server = LogServer::start(|_| Mood::Hangs);
    let config = config(&server).with_capacity(40);
    let journal = Journal::start(&config).unwrap();
    calls_go_on(&journal, 100).await;
    server.next().await;
    let counts = journal.counts();
    assert!(counts.queued >= 4 && counts.queued <= 44, "{counts:?}");
    assert_eq!(
        (counts.shipped, counts.dropped),
        (0, 200 - counts.queued),
        "{counts:?}"
    );

    let counts = journal
        .close(Deadline::after(Duration::from_millis(20)))
        .await;
    assert_eq!((counts.shipped, counts.dropped, counts.queued), (0, 200, 0));
    calls_go_on(&journal, 10).await;
    assert_eq!(
        journal.counts().dropped,
        220,
        "a closed journal takes nothing"
    );
}

#[tokio::test]
async fn a_request_is_admitted_with_its_answer_or_not_at_all() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let config = config(&server).with_connections(1).with_capacity(2);
    let journal = Journal::start(&config).unwrap();
    let inner = service_fn(|_: Call| async { done() });
    let layer = journal.layer(source());
    // Nobody ships before this task waits, so that the first takes both places.
    let (first, second) = (id(), id());
    let asked = layer.layer(inner).call(call(&first, &json!({"name": "a"})));
    let refused = layer
        .layer(inner)
        .call(call(&second, &json!({"name": "b"})));
    assert!(refused.await.is_ok() && asked.await.is_ok());
    for _ in 0..2 {
        assert_eq!(server.next().await.body["correlation_id"], *first);
    }
    let counts = closed(&journal).await;
    assert!(server.is_idle());
    assert_eq!((counts.shipped, counts.dropped), (2, 2));
}

#[tokio::test]
async fn bytes_are_bounded_as_records_are() {
    let server = LogServer::away(|_| Mood::Answers(201));
    let config = config(&server).with_most_bytes(10_000);
    let journal = Journal::start(&config).unwrap();
    let large = call(&id(), &json!({"name": "x".repeat(20_000)}));
    assert!(handle(&journal, large, done()).await.is_ok());
    assert_eq!(journal.counts().dropped, 2);
    calls_go_on(&journal, 100).await;
    let counts = journal.counts();
    assert!(counts.queued > 5 && counts.queued < 20, "{counts:?}");
}

#[tokio::test]
async fn records_wait_for_a_log_server_that_is_away() {
    let mut server = LogServer::away(|_| Mood::Answers(201));
    let journal = journal(&server);
    calls_go_on(&journal, 50).await;
    assert_eq!(journal.counts().queued, 100);
    server.come();
    for _ in 0..100 {
        server.next().await;
    }
    assert_eq!(closed(&journal).await.shipped, 100);
}

#[tokio::test]
async fn a_journal_that_ends_does_not_wait_for_a_log_server_that_is_away() {
    let server = LogServer::away(|_| Mood::Answers(201));
    let slow = config(&server).with_longest_wait(Duration::from_secs(600));
    let journal = Journal::start(&slow).unwrap();
    calls_go_on(&journal, 10).await;
    let counts = timeout(Duration::from_secs(5), closed(&journal))
        .await
        .unwrap();
    assert_eq!((counts.dropped, counts.queued), (20, 0));
}

#[tokio::test]
async fn what_the_log_server_refuses_is_not_sent_again() {
    for status in [400, 401, 404, 422, 500] {
        let mut server = LogServer::start(move |_| Mood::Answers(status));
        let journal = journal(&server);
        calls_go_on(&journal, 1).await;
        let counts = closed(&journal).await;
        assert_eq!((counts.shipped, counts.dropped), (0, 2), "{status}");
        server.next().await;
        server.next().await;
        assert!(server.is_idle(), "{status}");
    }
}

#[tokio::test]
async fn what_the_log_server_has_trouble_with_is_sent_again() {
    for trouble in [Mood::Answers(503), Mood::Answers(429), Mood::HangsUp] {
        let server = LogServer::start(move |number| {
            if number < 3 {
                trouble
            } else {
                Mood::Answers(201)
            }
        });
        let journal = journal(&server);
        calls_go_on(&journal, 1).await;
        let shipped = async {
            while journal.counts().shipped < 2 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), shipped)
            .await
            .expect("both arrive");
        assert_eq!(closed(&journal).await.dropped, 0, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_record_that_is_never_answered_for_does_not_hold_up_the_others() {
    let mut server = LogServer::start(|number| match number {
        0..5 => Mood::Hangs,
        _ => Mood::Answers(201),
    });
    let config = config(&server)
        .with_connections(1)
        .with_patience(Duration::from_millis(20));
    let journal = Journal::start(&config).unwrap();
    calls_go_on(&journal, 1).await;
    for _ in 0..5 {
        assert_eq!(server.next().await.path, "/api/v1/rpc-requests");
    }
    assert_eq!(server.next().await.path, "/api/v1/rpc-responses");
    let counts = closed(&journal).await;
    assert_eq!((counts.shipped, counts.dropped), (1, 1));
}

#[tokio::test]
async fn connections_are_kept_and_an_answer_never_overtakes_its_request() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    calls_go_on(&journal, 500).await;
    let mut known = std::collections::HashSet::new();
    for _ in 0..1_000 {
        let received = server.next().await;
        CONNECTIONS.fetch_max(received.connection + 1, Ordering::SeqCst);
        let id = received.body["correlation_id"].as_str().unwrap().to_owned();
        let is_new = known.insert(id);
        assert_eq!(
            is_new,
            received.path.ends_with("requests"),
            "{}",
            received.body
        );
    }
    assert_eq!(closed(&journal).await.shipped, 1_000);
    let connections = CONNECTIONS.load(Ordering::SeqCst);
    assert!(connections <= 4, "{connections}");
}

#[tokio::test]
async fn a_handler_of_the_authors_that_panics_while_it_is_read_harms_nobody() {
    #[derive(JsonSchema)]
    struct Clumsy;
    impl Serialize for Clumsy {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }
    impl<'de> Deserialize<'de> for Clumsy {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }
    impl Contract for Clumsy {
        const NAME: &'static str = "create_site";
        const VERSION: u32 = 1;
        const KIND: Kind = Kind::Call;
        type Reply = ();
    }
    impl Request for Clumsy {
        const LOCK: Lock = Lock::Off;
        const SECRETS: &'static [&'static str] = &[];
        const REMEMBERED: Option<Duration> = None;
        fn lock_value(&self) -> Option<String> {
            None
        }
        fn validate_reply((): &()) -> Result<(), Invalid> {
            Ok(())
        }
    }

    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    let source = source().with_requests([RequestInfo::of::<Clumsy>()]);
    let inner = service_fn(|_: Call| async { done() });
    let mut service = journal.layer(source).layer(inner);
    assert!(
        service
            .call(call(&id(), &json!({"name": "bob"})))
            .await
            .is_ok()
    );
    assert_eq!(
        server.next().await.body["request_payload"],
        json!({"name": "bob"})
    );
    assert_eq!(closed(&journal).await.shipped, 2);
}

#[tokio::test]
async fn a_log_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    use std::sync::Arc;

    use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, rustls::pki_types::PrivateKeyDer};

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = JournalConfig::new(&format!("https://localhost:{port}"), "t0ken").unwrap();
    let journal = Journal::start(&config.with_longest_wait(Duration::from_millis(2))).unwrap();
    calls_go_on(&journal, 1).await;

    let (stream, _) = listener.accept().await.unwrap();
    let refused = TlsAcceptor::from(Arc::new(tls)).accept(stream).await;
    assert!(refused.is_err(), "it was not shown the token");
    drop(listener);
    let counts = closed(&journal).await;
    assert_eq!((counts.shipped, counts.dropped), (0, 2));
}
