//! Ten thousand calls at once, and the broker, or the way to it, goes away in the middle.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};
use tidings::{
    ErrorKind,
    rpc::{Client, Rpc},
};
use tidings_testkit::{proxy::Proxy, rabbitmq::Node};

use super::{
    QUEUE,
    bed::{Bed, Settings},
};

const CALLS: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(40);

/// A call of its own name; the reply must be its own. How it ended, and when.
async fn call(client: Client, number: usize) -> Result<(), ErrorKind> {
    let body = json!({"name": format!("{number}"), "amount": number});
    let started = Instant::now();
    let reply = client.call_raw("acc_echo", body.to_string()).await;
    let took = started.elapsed();
    assert!(
        took <= TIMEOUT + Duration::from_secs(2),
        "{number}: {took:?}"
    );
    let reply = reply.map_err(|error| error.kind())?;
    let reply: Value = serde_json::from_slice(&reply.bytes).unwrap();
    assert_eq!(reply["data"]["amount"], number, "{reply}");
    Ok(())
}

/// Makes all calls at once; does this when so many have ended; how all of them ended.
async fn calls_with(
    client: &Client,
    at: usize,
    trouble: impl Future<Output = ()>,
) -> (usize, BTreeMap<String, usize>) {
    let mut calls: FuturesUnordered<_> = (0..CALLS)
        .map(|number| call(client.clone(), number))
        .collect();
    let (mut answered, mut failed) = (0, BTreeMap::new());
    let mut count = |ended: Result<(), ErrorKind>| match ended {
        Ok(()) => answered += 1,
        Err(kind) => *failed.entry(format!("{kind:?}")).or_default() += 1,
    };
    for _ in 0..at {
        count(calls.next().await.unwrap());
    }
    let rest = async {
        while let Some(ended) = calls.next().await {
            count(ended);
        }
    };
    tokio::join!(rest, trouble);
    (answered, failed)
}

/// Transient requests are gone with the broker; nobody waits for longer than was said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_although_the_broker_is_killed_in_the_middle() {
    let Some(node) = Node::start("interop-rpc").await else {
        return;
    };
    let bed = Bed::on(node.virtual_host("calls").await).await;
    let mut ours = bed.ours(&Settings::of(&["acc_echo"])).await;
    bed.host.settle_declarations().await;
    let client = bed.client().with_timeout(TIMEOUT);
    let trouble = async {
        node.kill().await;
        node.resume().await;
    };
    let (answered, failed) = calls_with(&client, CALLS / 10, trouble).await;
    assert!(answered >= CALLS / 10, "{answered}, {failed:?}");
    assert_eq!(answered + failed.values().sum::<usize>(), CALLS);
    for kind in failed.keys() {
        let kinds = ["Unavailable", "Timeout", "Unroutable"];
        assert!(kinds.contains(&&**kind), "{failed:?}");
    }
    assert!(!failed.is_empty(), "the broker was away for nothing");
    assert_eq!(client.pending(), 0);
    // The same client and the same server, afterwards.
    let again = async { while call(client.clone(), 1).await.is_err() {} };
    let again = tokio::time::timeout(TIMEOUT, again).await;
    again.expect("it is served again in time");
    assert!(ours.is_alive());
}

/// What was handled is acked after its reply was sent: as long as the broker lives, every caller gets one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_result_is_lost_when_the_server_loses_its_connection_in_the_middle() {
    let Some(bed) = Bed::new().await else { return };
    let proxy = Proxy::start(bed.host.address()).await.unwrap();
    let settings = Settings::of(&["acc_echo"]).through(proxy.address());
    let ours = bed.ours(&settings).await;
    let rpc = Rpc::new(QUEUE).unwrap();
    let client = Client::over(bed.transport().clone(), rpc).with_timeout(TIMEOUT);
    let trouble = async {
        proxy.reset().await;
        proxy.wait_for_accepted(2).await.unwrap();
    };
    let (answered, failed) = calls_with(&client, CALLS / 10, trouble).await;
    assert_eq!((answered, failed), (CALLS, BTreeMap::new()));
    ours.stop().await;
    assert_eq!(bed.queue().await, (0, 0));
}
