//! The journal is never in the way of a call, whatever becomes of it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    KEY, TOKEN,
    bed::{Bed, Server, Settings},
    log_server::{Act, LogServer},
    probe::Probe,
};

const CALLS: usize = 30;
/// Less than one attempt of the real consumer to reach its log server takes.
const FAST: Duration = Duration::from_secs(3);

async fn server(bed: &Bed, log_server: SocketAddr) -> Server {
    let settings = Settings::of(&["acc_echo", "acc_secret"]).host("fernet_key", KEY);
    bed.ours(&settings.log_server(log_server)).await
}

/// Calls as usual, one after the other.
async fn check_fast(probe: &mut Probe) {
    let started = Instant::now();
    for number in 0..CALLS {
        let body = json!({"name": format!("{number}")});
        let reply = probe.ask_json("acc_echo", &body).await;
        assert!(reply.starts_with(r#"{"success":true"#), "{reply}");
    }
    let took = started.elapsed();
    assert!(took < FAST, "{took:?}");
}

#[tokio::test]
async fn calls_do_not_notice_that_the_log_server_is_gone() {
    let Some(bed) = Bed::new().await else { return };
    let _ours = server(&bed, LogServer::nowhere().await).await;
    check_fast(&mut bed.probe().await).await;
}

#[tokio::test]
async fn what_a_hanging_log_server_holds_up_keeps_nothing_else() {
    let Some(bed) = Bed::new().await else { return };
    let mut log = LogServer::open(1, Act::Hang).await;
    let _ours = server(&bed, log.address()).await;
    check_fast(&mut bed.probe().await).await;
    for _ in 0..CALLS {
        log.record().await;
    }
}

#[tokio::test]
async fn what_a_failing_log_server_refuses_keeps_nothing_else() {
    let Some(bed) = Bed::new().await else { return };
    let mut log = LogServer::open(5, Act::Fail).await;
    let _ours = server(&bed, log.address()).await;
    check_fast(&mut bed.probe().await).await;
    for _ in 0..CALLS {
        log.record().await;
    }
}

#[tokio::test]
async fn the_journal_has_the_request_without_its_secrets_and_the_response() {
    let Some(bed) = Bed::new().await else { return };
    let mut log = LogServer::open(0, Act::Take).await;
    let ours = server(&bed, log.address()).await;
    let mut probe = bed.probe().await;
    let body = json!({"password": TOKEN});
    let request = probe.request("acc_secret", body.to_string());
    let id = request.fields.correlation_id.as_deref().unwrap().to_owned();
    probe.ask(request).await;
    // Its end does not lose what was not shipped yet.
    ours.stop().await;
    let mut records = [log.record().await, log.record().await];
    records.sort_by(|a, b| a.0.cmp(&b.0));
    let (path, request) = &records[0];
    assert_eq!(path, "/api/v1/rpc-requests");
    assert_eq!(request["correlation_id"], *id);
    assert_eq!(request["exchange_name"], "acc_secret");
    assert_eq!(request["virtual_host_name"], bed.host.name());
    let payload = json!({"login": "root", "password": "*****", "nested": {}});
    assert_eq!(request["request_payload"], payload);
    let (path, response) = &records[1];
    assert_eq!(path, "/api/v1/rpc-responses");
    assert_eq!(response["correlation_id"], *id);
    assert_eq!(response["response_payload"]["success"], true);
    assert!(response["traceback"].is_null(), "{response}");
}
