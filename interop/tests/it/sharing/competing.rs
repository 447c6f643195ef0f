//! Both consume one queue: each message goes to one of them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{QUICK, Shared};
use crate::bed::{MAIL, USER_CREATED};

pub(super) async fn all(shared: &mut Shared) {
    each_message_is_handled_once(shared).await;
}

async fn each_message_is_handled_once(shared: &mut Shared) {
    const EACH: usize = 100;
    shared
        .begin_configured("each message is handled once", QUICK)
        .await;
    let mut theirs = shared.theirs(json!({"only": [MAIL]})).await;
    let mut ours = shared.ours.consumer(&["--only", MAIL]).await;
    let sent = shared.desk.publish(&[USER_CREATED; EACH]).await;
    let published = shared.ours.publish(&[USER_CREATED; EACH]).await;
    let published = published.lines.iter().map(|line| &line["format"]);
    let mut left: HashSet<String> = sent.iter().chain(published).map(id).collect();
    assert_eq!(left.len(), 2 * EACH);
    let mut handled = [0, 0];
    while !left.is_empty() {
        let (side, call) = tokio::select! {
            call = ours.line() => (0, call.unwrap()), // Cancel-safe: promised by `Lines::next_line`.
            call = theirs.line() => (1, call.unwrap()), // Cancel-safe: promised by `Lines::next_line`.
        };
        handled[side] += 1;
        assert!(left.remove(&id(&call["format"])), "twice: {call}");
    }
    assert!(
        handled.iter().all(|count| *count > 0),
        "both work: {handled:?}"
    );
    ours.terminate().await;
    assert_eq!(ours.end().await.lines[0]["total"], handled[0]);
    let others = 2 * u64::try_from(EACH).unwrap();
    shared
        .desk
        .sees_waiting(&[
            (
                "petacc.registration.1.event.user_created.audit_on_user_lifecycle",
                others,
            ),
            ("store", others),
        ])
        .await;
}

fn id(format: &Value) -> String {
    format["data"]["id"].as_str().unwrap().to_owned()
}
