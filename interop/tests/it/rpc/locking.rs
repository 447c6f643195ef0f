//! One request of a lock at a time, in the order in which they came, and in nobody's way.

use serde_json::{Value, json};

use super::{
    bed::{Bed, Settings},
    probe::Probe,
};

const ALL: [&str; 3] = ["acc_echo", "acc_slow", "acc_nolock"];

fn when(reply: &Value) -> (f64, f64) {
    let time = |name: &str| reply["data"][name].as_f64().unwrap();
    (time("started"), time("ended"))
}

/// Each began when the one before had ended.
#[track_caller]
fn check_one_at_a_time(replies: &[Value]) {
    for pair in replies.windows(2) {
        let ([_, ended], [started, _]) = (
            <[f64; 2]>::from(when(&pair[0])),
            <[f64; 2]>::from(when(&pair[1])),
        );
        assert!(ended <= started, "{pair:?}");
    }
}

async fn slow(probe: &mut Probe, name: &str, sleep: f64) {
    let body = json!({"name": name, "sleep": sleep});
    probe.send_json("acc_slow", &body).await;
}

/// In the real consumer the five that wait for the lock are all that it lets in.
#[tokio::test]
async fn whoever_waits_for_a_lock_is_in_nobodys_way() {
    let Some(bed) = Bed::new().await else { return };
    let _ours = bed.ours(&Settings::of(&ALL).lanes(2)).await;
    let mut probe = bed.probe().await;
    for _ in 0..6 {
        slow(&mut probe, "same", 0.4).await;
    }
    slow(&mut probe, "other", 0.0).await;
    let replies = probe.replies(7).await;
    let (other, same) = replies.split_first().unwrap();
    assert_eq!(other["data"]["name"], "other", "{replies:?}");
    assert!(when(other).1 < when(&same[0]).1, "{replies:?}");
    check_one_at_a_time(same);
}

#[tokio::test]
async fn requests_of_one_lock_are_handled_one_at_a_time_as_they_came() {
    let Some(bed) = Bed::new().await else { return };
    let _ours = bed.ours(&Settings::of(&ALL)).await;
    let mut probe = bed.probe().await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        let request = probe.request("acc_slow", r#"{"name": "same", "sleep": 0.02}"#);
        ids.push(request.fields.correlation_id.clone());
        probe.send(request).await;
    }
    let (mut answered, mut replies) = (Vec::new(), Vec::new());
    for _ in &ids {
        let reply = probe.reply().await;
        answered.push(reply.envelope.properties.correlation_id().cloned());
        replies.push(serde_json::from_slice(&reply.envelope.payload.bytes).unwrap());
    }
    assert_eq!(answered, ids);
    check_one_at_a_time(&replies);
}

#[tokio::test]
async fn requests_of_different_locks_are_handled_at_the_same_time() {
    let Some(bed) = Bed::new().await else { return };
    let _ours = bed.ours(&Settings::of(&ALL).lanes(3)).await;
    let mut probe = bed.probe().await;
    for name in ["a", "b", "c"] {
        slow(&mut probe, name, 0.5).await;
    }
    let times: Vec<_> = probe.replies(3).await.iter().map(when).collect();
    let last_start = times.iter().fold(0.0, |last: f64, time| last.max(time.0));
    let first_end = times.iter().fold(f64::MAX, |first, time| first.min(time.1));
    assert!(last_start < first_end, "{times:?}");
}

#[tokio::test]
async fn without_a_lock_attribute_the_whole_exchange_is_one_lock() {
    let Some(bed) = Bed::new().await else { return };
    let _ours = bed.ours(&Settings::of(&ALL)).await;
    let mut probe = bed.probe().await;
    for n in 0..8 {
        let body = json!({"n": n, "sleep": 0.02});
        probe.send_json("acc_nolock", &body).await;
    }
    let replies = probe.replies(8).await;
    check_one_at_a_time(&replies);
    let numbers: Vec<_> = replies.iter().map(|reply| &reply["data"]["n"]).collect();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
}
