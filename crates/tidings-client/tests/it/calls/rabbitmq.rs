//! The same on a real RabbitMQ, and what happens to a connection there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use tidings_client::Caller;
use tidings_core::{
    Deadline, ErrorKind,
    topology::{Exchange, Topology},
    transport::Transport,
};
use tidings_rabbitmq::RabbitMq;
use tidings_rpc::Rpc;
use tidings_testkit::{
    proxy::Proxy,
    rabbitmq::{self, VirtualHost},
};

use super::{
    bed::{SECOND, caller, greet},
    responder::Responder,
};

async fn connect(url: &str) -> Arc<dyn Transport> {
    Arc::new(RabbitMq::from_url(url).await.unwrap())
}

async fn bed() -> Option<(VirtualHost, Caller, Responder)> {
    let host = rabbitmq::shared().await?;
    let responder = Responder::start(connect(&host.url()).await).await;
    let caller = caller(connect(&host.url()).await);
    Some((host, caller, responder))
}

#[tokio::test]
async fn calls_are_answered_one_by_one_and_many_at_a_time() {
    let Some((_host, caller, responder)) = bed().await else {
        return;
    };
    let reply = caller.call(&greet("Ada")).await.unwrap();
    assert_eq!(reply.message, "Hello");
    let seen = responder.seen(1).await;
    let expiration = seen[0].envelope.properties.expiration();
    assert_eq!(expiration, Some(Duration::from_secs(300)));

    let calls = (0..2_000).map(|n| caller.call_raw("echo", n.to_string()));
    for (n, answer) in try_join_all(calls).await.unwrap().iter().enumerate() {
        assert_eq!(answer.bytes, n.to_string().as_bytes());
    }
    assert_eq!(caller.pending(), 0);
}

#[tokio::test]
async fn what_nobody_receives_fails_at_once_and_harms_no_other_call() {
    let Some((_host, caller, _responder)) = bed().await else {
        return;
    };
    let nobody = caller.with_convention(Arc::new(Rpc::new("web9").unwrap()));
    let patient = caller.with_timeout(60 * SECOND);
    let calls = (0..100).map(|n| {
        let (patient, nobody) = (patient.clone(), nobody.clone());
        async move {
            let answer = patient.call_raw("echo", n.to_string()).await.unwrap();
            assert_eq!(answer.bytes, n.to_string().as_bytes());
            nobody.call_raw("echo", "{}").await.unwrap_err().kind()
        }
    });
    for kind in join_all(calls).await {
        assert_eq!(kind, ErrorKind::Unroutable);
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let Some((_host, caller, _responder)) = bed().await else {
        return;
    };
    let impatient = caller.with_timeout(SECOND / 5);
    let error = impatient.call_raw("echo", "silent").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(caller.pending(), 0);
    impatient
        .with_timeout(60 * SECOND)
        .call(&greet("Ada"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_exchange_that_has_vanished_costs_a_call_and_is_made_again_by_the_next() {
    let Some((_host, caller, responder)) = bed().await else {
        return;
    };
    caller.call(&greet("Ada")).await.unwrap();
    responder.forget_exchanges().await;
    // The broker closes the channel and does not say because of which request, so none is sent twice.
    let error = caller.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let error = caller.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable, "{error:?}");
    responder.declare().await;
    caller.call(&greet("Ada")).await.unwrap();
}

#[tokio::test]
async fn an_exchange_that_is_deleted_costs_nobody_else_an_answer() {
    let Some((host, caller, _responder)) = bed().await else {
        return;
    };
    caller.call(&greet("Ada")).await.unwrap();
    let (done, is_done) = (AtomicBool::new(false), Ordering::SeqCst);
    let others = async {
        while !done.load(is_done) {
            let calls = (0..10).map(|n| caller.call_raw("echo", n.to_string()));
            try_join_all(calls).await.unwrap();
        }
    };
    let deleted = async {
        host.delete("/api/exchanges/{}/greet").await;
        let error = caller.call(&greet("Ada")).await.unwrap_err();
        done.store(true, is_done);
        error
    };
    let (error, ()) = tokio::join!(deleted, others);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("exchange `greet`"), "{error}");
}

#[tokio::test]
async fn an_exchange_with_other_settings_is_an_error() {
    let Some((_host, caller, responder)) = bed().await else {
        return;
    };
    let durable = Exchange::direct("durable");
    let topology = Topology::new().exchange(durable);
    responder.transport.declare(&topology).await.unwrap();
    let error = caller.call_raw("durable", "{}").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

#[tokio::test]
async fn a_lost_connection_fails_who_waits_at_once_and_the_next_call_works() {
    let Some((host, _caller, responder)) = bed().await else {
        return;
    };
    let proxy = Proxy::start(host.address()).await.unwrap();
    let transport = connect(&host.url_through(proxy.address())).await;
    let caller = caller(transport).with_timeout(60 * SECOND);
    let calls = join_all((0..100).map(|_| caller.call_raw("echo", "silent")));
    let (ended, ()) = tokio::join!(calls, async {
        responder.seen(100).await;
        proxy.cut().await;
    });
    for ended in ended {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(
            error.to_string().contains("may have been handled"),
            "{error}"
        );
    }
    caller.call(&greet("Ada")).await.unwrap();
    assert_eq!(caller.pending(), 0);
}

#[tokio::test]
async fn a_call_during_an_outage_is_sent_once_the_broker_is_back() {
    let Some((host, _caller, _responder)) = bed().await else {
        return;
    };
    let proxy = Proxy::start(host.address()).await.unwrap();
    let transport = connect(&host.url_through(proxy.address())).await;
    let caller = caller(Arc::clone(&transport)).with_timeout(60 * SECOND);
    proxy.refuse().await;
    proxy.cut().await;
    let hurried = caller.with_timeout(SECOND / 2);
    let error = hurried.call(&greet("Ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("was not called"), "{error}");
    let (answered, ()) = tokio::join!(caller.call(&greet("Ada")), async {
        proxy.accept().await.unwrap();
    });
    answered.unwrap();
    transport.close(Deadline::after(SECOND)).await.unwrap();
}
