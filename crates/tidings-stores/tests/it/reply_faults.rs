//! Claims of the living last, claims of the dead do not, and nothing grows without bounds.

use std::thread;

use tidings_core::{ErrorKind, Payload, reply_store::Claim};
use tidings_stores::Settings;
use tokio::runtime;

use crate::{
    home::{Home, LONG, SHORT_LEASE},
    on_both,
    replies::{fresh, in_the_end_fresh, known},
};

fn short() -> Settings {
    Settings::default().with_lease(SHORT_LEASE)
}

async fn work_may_take_longer_than_a_lease(home: &Home) {
    let (one, other) = (home.open_with(short()).await, home.open_with(short()).await);
    let claimed = fresh(&*one.replies(), "a").await;
    let replies = other.replies();
    let by_another = tokio::time::timeout(SHORT_LEASE * 3, async {
        loop {
            match replies.claim("a").await.unwrap() {
                Claim::Taken(ended) => ended.await,
                other => return other,
            }
        }
    });
    assert!(by_another.await.is_err(), "it is renewed");
    claimed.keep(None, LONG).await.unwrap();
    assert_eq!(known(&*replies, "a").await, None);
}

async fn the_claim_of_a_dead_process_is_taken_over_and_its_late_reply_refused(home: &Home) {
    // A process that stands still is dead, until it comes back.
    let (process, late) = thread::scope(|scope| {
        let claim = || {
            let process = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let claimed = process.block_on(async {
                let store = home.open_with(short()).await;
                fresh(&*store.replies(), "a").await
            });
            (process, claimed)
        };
        scope.spawn(claim).join().unwrap()
    });
    let store = home.open_with(short()).await;
    let replies = store.replies();
    let next = in_the_end_fresh(&*replies, "a").await;
    let refused = thread::scope(|scope| {
        let keep = || {
            let kept = process.block_on(late.keep(Some(Payload::new("late")), LONG));
            drop(process);
            kept
        };
        scope.spawn(keep).join().unwrap()
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let reply = Some(Payload::new("in time"));
    next.keep(reply.clone(), LONG).await.unwrap();
    assert_eq!(known(&*replies, "a").await, reply);
}

async fn what_is_over_is_swept(home: &Home) {
    let store = home.open_with(Settings::default().with_replies(10)).await;
    let replies = store.replies();
    for number in 0..30 {
        let claimed = fresh(&*replies, &format!("kept {number}")).await;
        claimed.keep(None, LONG).await.unwrap();
    }
    let brief = std::time::Duration::from_millis(1);
    fresh(&*replies, "brief")
        .await
        .keep(None, brief)
        .await
        .unwrap();
    let pending = fresh(&*replies, "pending").await;
    let mut beside = home.beside().await;
    let brief = "SELECT count(*) FROM tidings_replies WHERE key = 'brief'";
    while beside.number(brief).await > 0 {
        store.sweep().await;
    }
    let kept = "SELECT count(*) FROM tidings_replies WHERE key LIKE 'kept%'";
    let kept = beside.number(kept).await;
    assert!((1..=10).contains(&kept), "{kept} are left");
    known(&*replies, "kept 29").await;
    pending.keep(None, LONG).await.unwrap();
}

async fn what_cannot_be_kept_is_said(home: &Home) {
    let store = home.open_with(short()).await;
    let claimed = fresh(&*store.replies(), "a").await;
    store.close().await;
    let refused = claimed.keep(None, LONG).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    assert_eq!(
        store.replies().claim("b").await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}

on_both!(
    work_may_take_longer_than_a_lease,
    the_claim_of_a_dead_process_is_taken_over_and_its_late_reply_refused,
    what_is_over_is_swept,
    what_cannot_be_kept_is_said,
);
