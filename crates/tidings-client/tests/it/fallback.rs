//! What goes to the spool, what goes to the caller.

use std::{sync::Arc, time::Duration};

use tidings_client::fallback::{FallbackPublisher, FileSpool, Spool};
use tidings_core::{ErrorKind, tasks::Tasks, transport::Publisher};
use tokio::runtime::Builder;

use crate::{
    fixture::{MemorySpool, call, path},
    primary::{Answer, Primary},
};

struct Setup {
    primary: Primary,
    spool: Arc<MemorySpool>,
    fallback: FallbackPublisher,
    tasks: Tasks,
}

fn setup(answer: Answer, spool: MemorySpool) -> Setup {
    let (primary, spool, tasks) = (Primary::new(answer), Arc::new(spool), Tasks::new());
    let kept: Arc<dyn Spool> = Arc::<MemorySpool>::clone(&spool);
    let fallback = FallbackPublisher::new(Arc::new(primary.clone()), kept, &tasks);
    Setup {
        primary,
        spool,
        fallback,
        tasks,
    }
}

#[tokio::test]
async fn while_the_broker_is_there_nothing_is_kept_and_ready_answers_stay_ready() {
    let setup = setup(Answer::Confirm, MemorySpool::default());
    let completion = setup.fallback.publish(call("a"));
    assert!(completion.is_ready());
    completion.await.unwrap();
    assert_eq!(setup.primary.confirmed_keys(), ["a"]);
    assert!(setup.spool.keys().is_empty());
}

#[tokio::test]
async fn calls_are_kept_exactly_if_the_broker_is_away() {
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Unconfirmed,
        ErrorKind::Closed,
        ErrorKind::Timeout,
        ErrorKind::Full,
    ] {
        let setup = setup(Answer::Fail(kind), MemorySpool::default());
        setup.fallback.publish(call("a")).await.unwrap();
        assert_eq!(setup.spool.keys(), ["a"], "{kind:?}");
    }
    for kind in [
        ErrorKind::Unroutable,
        ErrorKind::NotFound,
        ErrorKind::Invalid,
        ErrorKind::Misuse,
        ErrorKind::Denied,
        ErrorKind::Conflict,
        ErrorKind::Unsupported,
        ErrorKind::Corrupt,
    ] {
        let setup = setup(Answer::Fail(kind), MemorySpool::default());
        let error = setup.fallback.publish(call("a")).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), "the broker said no", "unchanged");
        assert!(setup.spool.keys().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_publish_that_fails_late_is_kept() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    let publishing = setup.fallback.publish(call("a"));
    setup.primary.release(Some(ErrorKind::Unconfirmed));
    publishing.await.unwrap();
    assert_eq!(setup.spool.keys(), ["a"]);
}

#[tokio::test]
async fn a_publish_that_is_confirmed_late_is_not_kept() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    let publishing = setup.fallback.publish(call("a"));
    setup.primary.release(None);
    publishing.await.unwrap();
    assert!(setup.spool.keys().is_empty());
}

#[tokio::test]
async fn if_both_fail_the_error_names_both_and_has_the_kind_of_the_broker() {
    for answer in [Answer::Fail(ErrorKind::Unconfirmed), Answer::Hold] {
        let setup = setup(answer, MemorySpool::refusing(ErrorKind::Full));
        let publishing = setup.fallback.publish(call("a"));
        setup.primary.release(Some(ErrorKind::Unconfirmed));
        let error = publishing.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unconfirmed);
        assert!(error.is_retryable());
        let text = error.to_string();
        assert!(text.contains("the broker said no"), "{text}");
        assert!(text.contains("the spool has no room"), "{text}");
    }
}

#[tokio::test]
async fn a_publish_that_nobody_waits_for_is_kept_all_the_same() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    drop(setup.fallback.publish(call("a")));
    setup.primary.release(Some(ErrorKind::Unavailable));
    assert!(setup.tasks.stop(Duration::from_secs(10)).await);
    assert_eq!(setup.spool.keys(), ["a"]);
}

/// Ends the group at once. In real time: a group that never ends would keep paused time from passing.
async fn cut_off(tasks: &Tasks) {
    let stopping = tokio::time::timeout(Duration::from_secs(5), tasks.stop(Duration::ZERO));
    assert!(stopping.await.is_ok(), "the group never ends");
}

#[tokio::test]
async fn a_publish_that_nobody_waits_for_is_kept_when_its_group_is_cut_off() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    drop(setup.fallback.publish(call("a")));
    cut_off(&setup.tasks).await;
    assert_eq!(setup.spool.keys(), ["a"]);
    assert!(setup.tasks.is_empty());
}

#[tokio::test]
async fn a_publish_that_is_dropped_after_the_end_of_its_group_is_kept_at_once() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    let publishing = setup.fallback.publish(call("a"));
    setup.tasks.abort();
    drop(publishing);
    assert_eq!(setup.spool.keys(), ["a"]);
    assert!(setup.tasks.is_empty());
}

#[test]
fn a_publish_that_nobody_waits_for_is_kept_when_the_runtime_goes_away() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let setup = runtime.block_on(async {
        let setup = setup(Answer::Hold, MemorySpool::default());
        drop(setup.fallback.publish(call("a")));
        setup
    });
    let late = setup.fallback.publish(call("b"));
    drop(runtime);
    drop(late);
    assert_eq!(setup.spool.keys(), ["a", "b"]);
}

#[tokio::test]
async fn what_is_cut_off_on_its_way_into_a_file_is_there_once() {
    let path = path("fallback_cut_off");
    let (primary, tasks) = (Primary::new(Answer::Hold), Tasks::new());
    let spool = Arc::new(FileSpool::open(&path).unwrap());
    let fallback = FallbackPublisher::new(Arc::new(primary.clone()), spool, &tasks);
    drop(fallback.publish(call("a")));
    let b = fallback.publish(call("b"));
    cut_off(&tasks).await;
    drop(b);
    primary.answer(Answer::Fail(ErrorKind::Closed));
    drop(fallback.publish(call("c")));
    drop(fallback);
    let spool = FileSpool::open(path).unwrap();
    assert_eq!(spool.kept().await.unwrap(), 3);
}

#[tokio::test]
async fn it_hands_over_in_the_order_of_the_calls() {
    let setup = setup(Answer::Hold, MemorySpool::default());
    let under_way: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|key| setup.fallback.publish(call(key)))
        .collect();
    assert_eq!(
        setup.primary.seen(),
        ["a", "b", "c"],
        "before anybody awaits"
    );
    setup.primary.release(Some(ErrorKind::Closed));
    for publishing in under_way {
        publishing.await.unwrap();
    }
    assert_eq!(setup.spool.keys(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_was_kept_in_a_file_is_published_when_the_broker_is_back() {
    let (primary, tasks) = (
        Primary::new(Answer::Fail(ErrorKind::Unavailable)),
        Tasks::new(),
    );
    let spool = Arc::new(FileSpool::open(path("fallback_replay")).unwrap());
    let fallback = FallbackPublisher::new(Arc::new(primary.clone()), spool, &tasks);
    fallback.publish(call("a")).await.unwrap();
    fallback.publish(call("b")).await.unwrap();
    let away = fallback.replay().await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable);
    assert_eq!(fallback.spool().kept().await.unwrap(), 2);
    primary.answer(Answer::Confirm);
    assert_eq!(fallback.replay().await.unwrap(), 2);
    assert_eq!(primary.confirmed_keys(), ["a", "b"]);
    assert_eq!(fallback.replay().await.unwrap(), 0);
}
