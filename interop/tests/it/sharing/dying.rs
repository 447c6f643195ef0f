//! Processes that end in the middle, and a broker that is away: nothing is lost, and what goes on goes on by itself.

use serde_json::{Value, json};

use super::{QUICK, Shared};
use crate::bed::{AUDIT, BILL, KEY, MAIL, USER_CREATED};

pub(super) async fn all(shared: &mut Shared) {
    sigterm_in_the_middle_drains(shared).await;
    petisco_takes_over_what_we_had_when_we_were_killed(shared).await;
    we_take_over_what_petisco_had_when_it_was_killed(shared).await;
    for end in [End::Stopped, End::Killed] {
        we_go_on_when_the_broker_is_back(shared, end).await;
    }
}

/// How the broker ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Stopped,
    Killed,
}

/// An event whose handler is at work until somebody reads what it prints: it is longer than a pipe.
fn long() -> String {
    let long = "x".repeat(300_000);
    json!({"type": "domain_event", "name": "user.created", "attributes": {"long": long}})
        .to_string()
}

fn id(format: &Value) -> &str {
    format["data"]["id"].as_str().unwrap()
}

async fn sigterm_in_the_middle_drains(shared: &mut Shared) {
    shared
        .begin_configured("SIGTERM in the middle drains", QUICK)
        .await;
    let long = long();
    shared.desk.publish(&[&long, &long, &long]).await;
    let mut ours = shared.ours.consumer(&["--only", MAIL]).await;
    ours.begins_a_line().await;
    ours.terminate().await;
    // Its first byte was read already.
    let line = format!("{{{}", ours.text().await.unwrap().trim_start_matches('{'));
    let call: Value = serde_json::from_str(&line).unwrap();
    let ran = ours.end().await;
    assert_eq!(ran.code, Some(0));
    let total = ran.lines.last().unwrap()["total"].as_u64().unwrap();
    assert!(
        (1..3).contains(&total),
        "it does not begin what it will not end: {total}"
    );
    // What it has not handled, petisco has.
    let mut theirs = shared.theirs(json!({"only": [MAIL]})).await;
    for _ in total..3 {
        let next = theirs.line().await.unwrap();
        assert_ne!(id(&next["format"]), id(&call["format"]));
    }
    let audit = format!("{KEY}.{AUDIT}");
    shared
        .desk
        .sees_waiting(&[(&*audit, 3), ("store", 3)])
        .await;
}

async fn petisco_takes_over_what_we_had_when_we_were_killed(shared: &mut Shared) {
    shared
        .begin_configured("petisco takes over what we had when we were killed", QUICK)
        .await;
    let sent = shared.desk.publish(&[&long()]).await;
    let mut ours = shared.ours.consumer(&["--only", MAIL]).await;
    ours.begins_a_line().await;
    let mut theirs = shared.theirs(json!({"only": [MAIL]})).await;
    ours.kill_9().await;
    assert_eq!(theirs.line().await.unwrap()["format"], sent[0]);
}

async fn we_take_over_what_petisco_had_when_it_was_killed(shared: &mut Shared) {
    shared
        .begin_configured("we take over what petisco had when it was killed", QUICK)
        .await;
    let mut theirs = shared
        .theirs(json!({"only": [MAIL], "plan": {MAIL: "H"}}))
        .await;
    let sent = shared.desk.publish(&[USER_CREATED]).await;
    theirs.line().await.unwrap();
    let mut ours = shared.ours.consumer(&["--only", MAIL]).await;
    theirs.kill_9().await;
    assert_eq!(ours.line().await.unwrap()["format"], sent[0]);
}

/// It ends and starts while a consumer and a publisher of ours are connected, and a message waits for its retry.
async fn we_go_on_when_the_broker_is_back(shared: &mut Shared, end: End) {
    let scenario = format!("we go on when the broker is back: {end:?}");
    shared.begin_configured(&scenario, QUICK).await;
    let plan = json!({ MAIL: "FS" }).to_string();
    let mut ours = shared
        .ours
        .consumer(&["--only", MAIL, "--plan", &plan])
        .await;
    let idle = shared.ours.consumer(&["--only", BILL]).await;
    let mut publisher = shared.ours.start(&["publish"]);
    publisher.say(USER_CREATED).await;
    let first = publisher.line().await.unwrap();
    let call = ours.line().await.unwrap();
    assert_eq!(
        (&call["act"], &call["format"]),
        (&json!("F"), &first["format"])
    );
    match end {
        End::Stopped => shared.node.stop().await,
        End::Killed => shared.node.kill().await,
    }
    idle.terminate().await;
    assert_eq!(
        idle.end().await.code,
        Some(0),
        "it can end without a broker"
    );
    publisher.say(USER_CREATED).await;
    shared.node.resume().await;
    let second = publisher.line().await.expect("it goes on by itself");
    shared.reopen_desk();
    let third = shared.desk.publish(&[USER_CREATED]).await;
    let mut left = vec![&first["format"], &second["format"], &third[0]];
    while !left.is_empty() {
        let call = ours.line().await.expect("it goes on by itself");
        // The retry may have been handled before the broker went, and be handled again.
        left.retain(|format| **format != call["format"]);
    }
    let mut theirs = shared.theirs(json!({"only": [AUDIT]})).await;
    for _ in 0..3 {
        theirs.line().await.unwrap();
    }
    publisher.terminate().await;
    ours.terminate().await;
    assert_eq!(ours.end().await.code, Some(0));
    assert_eq!(publisher.end().await.code, Some(0));
}
