//! What a server had begun when it was told to end is answered, and what it had not is for the next one.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings::{ErrorKind, rpc::Client};
use tokio::time::timeout;

use super::{
    bed::{Bed, Settings},
    log_server::{Act, LogServer},
    probe::Probe,
};
use crate::bed::PATIENCE;

const REQUESTS: usize = 40;

fn settings() -> Settings {
    Settings::of(&["acc_echo", "acc_slow"]).lanes(5)
}

/// Requests with names of their own that take a while.
async fn load(probe: &mut Probe) {
    for number in 0..REQUESTS {
        let body = json!({"name": format!("{number}"), "sleep": 0.2});
        probe.send_json("acc_slow", &body).await;
    }
}

fn names(replies: &[Value]) -> BTreeSet<&str> {
    let names = replies
        .iter()
        .map(|reply| reply["data"]["name"].as_str().unwrap());
    names.collect()
}

/// In the real consumer the replies and acks of what ends after SIGTERM are lost, and it is done again.
#[tokio::test]
async fn sigterm_under_load_loses_no_reply_and_repeats_no_work() {
    let Some(bed) = Bed::new().await else { return };
    let mut probe = bed.probe().await;
    // It is told about every handling, also where the reply is lost.
    let mut log = LogServer::open(0, Act::Take).await;
    let settings = settings().log_server(log.address());
    let first = bed.ours(&settings).await;
    load(&mut probe).await;
    // The next ones are at work.
    let mut replies = probe.replies(3).await;
    first.stop().await;
    let (left, consumers) = bed.queue().await;
    assert_eq!(consumers, 0);
    let left = usize::try_from(left).unwrap();
    assert!((1..REQUESTS - 3).contains(&left), "{left}");
    // Whatever is no longer in the queue has its reply without anybody's help.
    replies.extend(probe.replies(REQUESTS - left - 3).await);
    assert_eq!(names(&replies).len(), REQUESTS - left);
    let second = bed.ours(&settings).await;
    replies.extend(probe.replies(left).await);
    assert_eq!(names(&replies).len(), REQUESTS);
    probe.has_no_further_reply().await;
    second.stop().await;
    let handled = log.rest().into_iter().filter(|(path, record)| {
        path.ends_with("/rpc-requests") && record["exchange_name"] == "acc_slow"
    });
    assert_eq!(handled.count(), REQUESTS);
    assert_eq!(bed.queue().await, (0, 0));
}

#[tokio::test]
async fn what_a_killed_server_had_begun_is_done_by_the_next() {
    let Some(bed) = Bed::new().await else { return };
    let mut probe = bed.probe().await;
    let first = bed.ours(&settings()).await;
    load(&mut probe).await;
    let replies = probe.replies(7).await;
    first.kill_9().await;
    let mut seen: BTreeSet<_> = names(&replies).into_iter().map(str::to_owned).collect();
    let _second = bed.ours(&settings()).await;
    // What was answered and not yet acked is answered again.
    while seen.len() < REQUESTS {
        let replies = probe.replies(1).await;
        seen.extend(names(&replies).into_iter().map(str::to_owned));
    }
}

/// In the real consumer the first ends the process with status 0, the second with 1.
#[tokio::test]
async fn a_deleted_queue_and_closed_connections_are_got_over() {
    let Some(bed) = Bed::new().await else { return };
    let mut ours = bed.ours(&settings()).await;
    bed.delete_queue().await;
    let client = bed.client();
    is_served_again(&client).await;
    // The server's and that of this test. The API sees connections late.
    let connections = async || bed.host.get("/api/vhosts/{}/connections").await;
    while connections()
        .await
        .as_array()
        .is_none_or(|open| open.len() < 2)
    {}
    assert!(bed.host.close_connections().await >= 2);
    is_served_again(&client).await;
    assert!(ours.is_alive());
    ours.stop().await;
}

/// Calls until one is answered.
async fn is_served_again(client: &Client) {
    let again = async {
        while let Err(error) = client.call_raw("acc_echo", r#"{"name": "bob"}"#).await {
            let kind = error.kind();
            let is_outage = matches!(kind, ErrorKind::Unroutable | ErrorKind::Unavailable);
            assert!(is_outage, "{error}");
        }
    };
    let served = timeout(PATIENCE, again).await;
    served.expect("it is served again in time");
}
