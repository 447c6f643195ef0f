//! Memory does not grow with the requests that were handled.

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::bed::{Bed, Settings};

/// How many requests there are, twice.
const REQUESTS: u32 = 5_000;
/// How much memory the second half may take.
const MOST: u64 = 2_000_000;

/// In the real consumer a lock and a thread stay for each of them: 11 MB.
#[tokio::test]
async fn ten_thousand_locks_leave_nothing_behind() {
    let Some(bed) = Bed::new().await else { return };
    let ours = bed.ours(&Settings::of(&["acc_echo"])).await;
    let client = bed.client();
    let call = |number: u32| {
        let body = json!({"name": format!("name {number}")});
        client.call_raw("acc_echo", body.to_string())
    };
    let mut before = 0;
    for half in [0..REQUESTS, REQUESTS..2 * REQUESTS] {
        before = ours.memory();
        let mut replies = stream::iter(half.map(call)).buffer_unordered(64);
        while let Some(reply) = replies.next().await {
            let reply = reply.unwrap();
            assert!(reply.bytes.starts_with(b"{\"success\":true"), "{reply:?}");
        }
    }
    let grown = ours.memory().saturating_sub(before);
    assert!(grown < MOST, "{grown} bytes more");
}
