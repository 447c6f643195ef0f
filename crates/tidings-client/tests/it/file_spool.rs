//! The file spool while nothing is damaged.

use std::{fs, path::Path};

use futures_util::future::{join_all, poll_immediate};
use tidings_client::fallback::{FileSpool, Spool};
use tidings_core::ErrorKind;

use crate::{
    fixture::{call, keys, path},
    primary::{Answer, Primary},
};

async fn store(spool: &FileSpool, keys: &[String]) {
    let stored = join_all(keys.iter().map(|key| spool.store(call(key.as_str())))).await;
    stored.into_iter().for_each(|stored| stored.unwrap());
}

/// The file as a kill -9 at this moment would leave it, opened by the next process.
fn crashed(path: &Path, name: &str) -> FileSpool {
    let image = crate::fixture::path(name);
    fs::copy(path, &image).unwrap();
    FileSpool::open(image).unwrap()
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_crash_and_comes_out_in_order() {
    let path = path("order");
    let spool = FileSpool::open(&path).unwrap();
    store(&spool, &keys(0..700)).await;
    let after = crashed(&path, "order_crashed");
    assert_eq!(after.kept().await.unwrap(), 700);
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(after.replay(&primary).await.unwrap(), 700);
    assert_eq!(primary.confirmed_keys(), keys(0..700));
    assert_eq!(after.kept().await.unwrap(), 0);
}

#[tokio::test]
async fn a_file_that_is_replayed_shrinks_to_its_header_and_is_used_again() {
    let path = path("shrinks");
    let empty = {
        drop(FileSpool::open(&path).unwrap());
        fs::metadata(&path).unwrap().len()
    };
    let spool = FileSpool::open(&path).unwrap();
    for round in ["first", "second"] {
        spool.store(call(round)).await.unwrap();
        assert!(fs::metadata(&path).unwrap().len() > empty);
        let primary = Primary::new(Answer::Confirm);
        assert_eq!(spool.replay(&primary).await.unwrap(), 1);
        assert_eq!(primary.confirmed_keys(), [round]);
        assert_eq!(fs::metadata(&path).unwrap().len(), empty);
    }
}

#[tokio::test]
async fn a_broker_that_goes_away_in_the_middle_leaves_exactly_the_unconfirmed() {
    let path = path("middle");
    let spool = FileSpool::open(&path).unwrap();
    store(&spool, &keys(0..600)).await;
    let primary =
        Primary::new(Answer::Confirm).answer_after(300, Answer::Fail(ErrorKind::Unavailable));
    let error = spool.replay(&primary).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(primary.confirmed_keys(), keys(0..300));
    assert_eq!(spool.kept().await.unwrap(), 300);

    let after = crashed(&path, "middle_crashed");
    assert_eq!(after.kept().await.unwrap(), 300);
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(after.replay(&primary).await.unwrap(), 300);
    assert_eq!(primary.confirmed_keys(), keys(300..600));
}

#[tokio::test]
async fn a_crash_in_a_replay_repeats_at_most_one_window_and_loses_nothing() {
    let path = path("window");
    let spool = FileSpool::open(&path).unwrap();
    store(&spool, &keys(0..600)).await;
    let primary = Primary::new(Answer::Confirm).answer_after(300, Answer::Hold);
    let mut replay = spool.replay(&primary);
    tokio::select! {
        _ = &mut replay => panic!("212 of the second window are not answered"),
        () = primary.holds(212) => {}
    }
    assert_eq!(
        primary.seen().len(),
        512,
        "two windows and not one call more"
    );
    let after = crashed(&path, "window_crashed");
    let second = Primary::new(Answer::Confirm);
    after.replay(&second).await.unwrap();
    assert_eq!(second.confirmed_keys(), keys(256..600));
}

#[tokio::test]
async fn a_replay_that_is_dropped_leaves_the_spool_usable() {
    let spool = FileSpool::open(path("dropped")).unwrap();
    store(&spool, &keys(0..3)).await;
    let holding = Primary::new(Answer::Hold);
    {
        let mut replay = spool.replay(&holding);
        tokio::select! {
            _ = &mut replay => panic!("nothing was answered"),
            () = holding.holds(3) => {}
        }
    }
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(spool.replay(&primary).await.unwrap(), 3);
}

#[tokio::test]
async fn what_is_stored_during_a_replay_is_kept_for_the_next() {
    let path = path("meanwhile");
    let spool = FileSpool::open(&path).unwrap();
    store(&spool, &keys(0..2)).await;
    let primary = Primary::new(Answer::Hold);
    let mut replay = spool.replay(&primary);
    tokio::select! {
        _ = &mut replay => panic!("nothing was answered"),
        () = primary.holds(2) => {}
    }
    store(&spool, &keys(2..5)).await;
    primary.release(None);
    assert_eq!(replay.await.unwrap(), 2);
    assert_eq!(spool.kept().await.unwrap(), 3);

    let after = crashed(&path, "meanwhile_crashed");
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(after.replay(&primary).await.unwrap(), 3);
    assert_eq!(primary.confirmed_keys(), keys(2..5));
}

#[tokio::test]
async fn a_refused_call_stays_and_does_not_hold_up_the_others() {
    let path = path("refused");
    let spool = FileSpool::open(&path).unwrap();
    store(&spool, &keys(0..400)).await;
    let primary = Primary::new(Answer::Confirm).refuse("m7", ErrorKind::NotFound);
    let error = spool.replay(&primary).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("refused.spool"), "{error}");
    assert_eq!(primary.confirmed_keys().len(), 399);

    let after = crashed(&path, "refused_crashed");
    assert_eq!(after.kept().await.unwrap(), 1);
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(after.replay(&primary).await.unwrap(), 1);
    assert_eq!(primary.confirmed_keys(), ["m7"]);
}

#[tokio::test]
async fn two_replays_at_once_publish_nothing_twice() {
    let spool = FileSpool::open(path("twice")).unwrap();
    store(&spool, &keys(0..500)).await;
    let primary = Primary::new(Answer::Confirm);
    let (first, second) = tokio::join!(spool.replay(&primary), spool.replay(&primary));
    assert_eq!(first.unwrap() + second.unwrap(), 500);
    assert_eq!(primary.confirmed_keys(), keys(0..500));
}

#[tokio::test]
async fn a_store_that_nobody_waits_for_is_made_all_the_same() {
    let path = path("unawaited");
    let spool = FileSpool::open(&path).unwrap();
    drop(spool.store(call("a")));
    drop(spool);
    let spool = FileSpool::open(&path).unwrap();
    assert_eq!(spool.kept().await.unwrap(), 1);
}

#[tokio::test]
async fn a_file_belongs_to_one_spool_at_a_time() {
    let path = path("in_use");
    let spool = FileSpool::open(&path).unwrap();
    let error = FileSpool::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("in_use.spool"), "{error}");
    drop(spool);
    FileSpool::open(&path).unwrap();
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let path = path("missing").join("in").join("here");
    let error = FileSpool::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("missing.spool"), "{error}");
}

#[tokio::test]
async fn an_empty_spool_answers_a_replay_with_zero() {
    let spool = FileSpool::open(path("empty")).unwrap();
    let primary = Primary::new(Answer::Confirm);
    assert_eq!(spool.replay(&primary).await.unwrap(), 0);
    assert!(
        poll_immediate(spool.kept()).await.is_some(),
        "known at once"
    );
}
