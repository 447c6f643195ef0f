//! Log servers that are away, slow, full or wrong: calls go on, and records wait, or are dropped and counted.

use std::sync::atomic::AtomicBool;

use super::*;
use tidings_testkit::log::Log;

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
async fn an_outage_is_told_once_when_it_begins_and_once_with_what_was_dropped_when_it_is_over() {
    static IS_DOWN: AtomicBool = AtomicBool::new(true);
    let log = Log::start();
    let server = LogServer::start(|_| match IS_DOWN.load(Ordering::SeqCst) {
        true => Mood::Answers(503),
        false => Mood::Answers(201),
    });
    let journal = journal(&server);
    calls_go_on(&journal, 50).await;
    // More than any one connection has to ship: several have found out.
    while journal.counts().dropped < 60 {
        tokio::task::yield_now().await;
    }
    IS_DOWN.store(false, Ordering::SeqCst);
    let counts = closed(&journal).await;
    assert!(counts.shipped > 0, "{counts:?}");
    assert_eq!(log.lines_with("does not take records").len(), 1);
    let back = log.lines_with("takes records again");
    let [line] = &back[..] else {
        panic!("{back:?}");
    };
    let (_, dropped) = line.split_once(" dropped=").unwrap();
    let dropped: u64 = dropped.trim().parse().unwrap();
    assert!(dropped >= 60 && dropped <= counts.dropped, "{line}");
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
