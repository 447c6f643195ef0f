//! The file spool after a crash, a bad disk, or with a file that is something else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tidings_client::fallback::{FileSpool, Spool};
use tidings_core::ErrorKind;

use crate::{
    fixture::{call, keys, path},
    primary::{Answer, Primary},
};

/// A file with this many records, each in a write of its own, and the offsets at which they end.
async fn written(path: &Path, records: usize) -> (Vec<u8>, Vec<usize>) {
    let spool = FileSpool::open(path).unwrap();
    let mut ends = vec![length(path)];
    for key in keys(0..records) {
        spool.store(call(key)).await.unwrap();
        ends.push(length(path));
    }
    drop(spool);
    (fs::read(path).unwrap(), ends)
}

fn length(path: &Path) -> usize {
    usize::try_from(fs::metadata(path).unwrap().len()).unwrap()
}

async fn replayed(path: &PathBuf) -> Vec<String> {
    let primary = Primary::new(Answer::Confirm);
    let spool = FileSpool::open(path).unwrap();
    spool.replay(&primary).await.unwrap();
    primary.confirmed_keys()
}

#[track_caller]
fn check_corrupt(path: &Path, content: &[u8], expected: &str) {
    fs::write(path, content).unwrap();
    let error = FileSpool::open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains(expected), "{text}");
    assert_eq!(fs::read(path).unwrap(), content, "it was not touched");
}

#[tokio::test]
async fn a_file_that_ends_at_any_byte_has_every_record_before_it() {
    let path = path("cut");
    let (content, ends) = written(&path, 3).await;
    for cut in 0..content.len() {
        fs::write(&path, &content[..cut]).unwrap();
        let whole = ends
            .iter()
            .filter(|end| **end <= cut)
            .count()
            .saturating_sub(1);
        assert_eq!(replayed(&path).await, keys(0..whole), "cut at byte {cut}");
    }
}

#[tokio::test]
async fn a_last_record_that_is_damaged_at_any_byte_costs_no_other() {
    let path = path("flipped");
    let (content, ends) = written(&path, 3).await;
    for damaged in ends[2]..ends[3] {
        let mut content = content.clone();
        content[damaged] ^= 0x55;
        fs::write(&path, &content).unwrap();
        assert_eq!(
            replayed(&path).await,
            keys(0..2),
            "damaged at byte {damaged}"
        );
    }
}

#[tokio::test]
async fn a_spool_that_was_cut_goes_on_where_it_was_cut() {
    let path = path("goes_on");
    let (content, _) = written(&path, 2).await;
    fs::write(&path, &content[..content.len() - 1]).unwrap();
    let spool = FileSpool::open(&path).unwrap();
    spool.store(call("new")).await.unwrap();
    drop(spool);
    assert_eq!(replayed(&path).await, ["m0", "new"]);
}

#[tokio::test]
async fn zeros_at_the_end_are_what_a_power_loss_may_leave() {
    let path = path("zeros");
    let (mut content, _) = written(&path, 2).await;
    content.extend([0; 5_000]);
    fs::write(&path, &content).unwrap();
    assert_eq!(replayed(&path).await, keys(0..2));
}

#[tokio::test]
async fn damage_before_intact_records_is_an_error_and_nothing_is_touched() {
    let path = path("damaged");
    let (content, ends) = written(&path, 3).await;
    for damaged in ends[0]..ends[2] {
        let mut content = content.clone();
        content[damaged] ^= 0x55;
        let record = if damaged < ends[1] { ends[0] } else { ends[1] };
        check_corrupt(&path, &content, &format!("damaged at byte {record},"));
    }
}

#[tokio::test]
async fn a_file_that_is_something_else_is_never_touched() {
    let path = path("foreign");
    check_corrupt(&path, b"{\"a\": 1}", "is no spool");
    check_corrupt(&path, b"SQLite format 3\0 and more of it", "is no spool");
    check_corrupt(&path, &[0; 100], "is no spool");
    check_corrupt(
        &path,
        b"tidings spool 2\nand more",
        "the version that wrote it",
    );
}

#[tokio::test]
async fn a_note_of_a_replay_that_is_torn_repeats_the_replay_and_loses_nothing() {
    let path = path("torn_note");
    let (_, ends) = written(&path, 3).await;
    let spool = FileSpool::open(&path).unwrap();
    let primary =
        Primary::new(Answer::Confirm).answer_after(2, Answer::Fail(ErrorKind::Unavailable));
    spool.replay(&primary).await.unwrap_err();
    drop(spool);
    let content = fs::read(&path).unwrap();
    assert!(content.len() > ends[3], "the note is in the file");
    for cut in ends[3]..content.len() {
        fs::write(&path, &content[..cut]).unwrap();
        assert_eq!(replayed(&path).await, keys(0..3), "cut at byte {cut}");
    }
    fs::write(&path, &content).unwrap();
    assert_eq!(replayed(&path).await, keys(2..3));
}
