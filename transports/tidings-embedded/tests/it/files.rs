//! Files that are not ours, damaged or full: a clear error, and never a loss.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use tidings_core::{
    Deadline, Error, ErrorKind, Settlement,
    topology::{Queue, Topology},
    transport::Transport,
};
use tidings_embedded::Embedded;

use crate::{
    bed::{Bed, next, open_fails, text},
    directory::Directory,
};

fn check(error: &Error, kind: ErrorKind, mentions: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in mentions {
        assert!(
            error.chain().contains(word),
            "`{}` does not say `{word}`",
            error.chain()
        );
    }
}

#[tokio::test]
async fn what_is_not_sqlite_is_left_alone() {
    let directory = Directory::new();
    let path = directory.file("notes.txt");
    fs::write(&path, "my notes, which nobody should overwrite").unwrap();
    let error = open_fails(&path).await;
    check(
        &error,
        ErrorKind::Corrupt,
        &["notes.txt", "not an SQLite file", "another path"],
    );
    assert!(fs::read_to_string(&path).unwrap().starts_with("my notes"));
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let directory = Directory::new();
    let path = directory.file("other.db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    other.close().unwrap();
    let before = fs::read(&path).unwrap();
    let error = open_fails(&path).await;
    check(&error, ErrorKind::Corrupt, &["other.db", "another program"]);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_file_is_left_alone() {
    let directory = Directory::new();
    let path = directory.file("broker");
    close(Embedded::open(path.clone()).await.unwrap()).await;
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let error = open_fails(&path).await;
    check(
        &error,
        ErrorKind::Corrupt,
        &["broker", "version 99", "newer program"],
    );
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let bed = Bed::durable(Topology::new().queue(Queue::new("q"))).await;
    for number in 0..200 {
        bed.publish("q", &number.to_string().repeat(100))
            .await
            .unwrap();
    }
    let path = bed.file();
    bed.transport.close(Deadline::NEVER).await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let error = open_fails(&path).await;
    check(&error, ErrorKind::Corrupt, &["broker", "damaged", "backup"]);
    assert_eq!(fs::read(&path).unwrap(), bytes, "it has not been changed");
}

/// What kill -9 would leave now, as the file in a directory of its own.
fn crash(file: &Path) -> (Directory, PathBuf) {
    let directory = Directory::new();
    let copy = directory.file("broker");
    fs::copy(file, &copy).unwrap();
    fs::copy(log_of(file), log_of(&copy)).unwrap();
    (directory, copy)
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn flip_a_bit(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x08;
    fs::write(file, bytes).unwrap();
}

async fn ready(file: &Path) -> u64 {
    let transport = Embedded::open(file.to_path_buf()).await.unwrap();
    let ready = transport.queues(&["q".into()]).await.unwrap()[0].ready;
    close(transport).await;
    ready
}

/// A broker with a hundred confirmed messages, each of them a commit of its own.
async fn hundred(options: &str) -> Bed {
    let bed = Bed::durable_with(options, Topology::new().queue(Queue::new("q"))).await;
    for number in 0..100 {
        bed.publish("q", &number.to_string()).await.unwrap();
    }
    bed
}

#[tokio::test]
async fn damage_in_the_log_is_found_and_named() {
    for options in ["", "?sync=normal"] {
        let bed = hundred(options).await;
        for percent in [0, 30, 90] {
            let (_directory, file) = crash(&bed.file());
            let log = log_of(&file);
            let at = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap() * percent / 100;
            flip_a_bit(&log, at);
            let before = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
            let error = open_fails(&file).await;
            check(
                &error,
                ErrorKind::Corrupt,
                &["broker-wal", "at byte", "backup"],
            );
            let after = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
            assert!(before == after, "it has not been changed");
        }
    }
}

/// A power cut writes what it takes in no order. Only `normal` lets more than one commit wait for the disk.
#[tokio::test]
async fn a_hole_that_a_power_cut_left_is_damage_only_if_every_commit_was_synced() {
    for (options, damage) in [("", true), ("?sync=normal", false)] {
        let bed = hundred(options).await;
        let (_directory, file) = crash(&bed.file());
        let log = fs::read(log_of(&file)).unwrap();
        fs::remove_file(log_of(&file)).unwrap();
        let before = Connection::open(&file).unwrap();
        before
            .execute("UPDATE log SET boot = 'before the power cut'", [])
            .unwrap();
        before.close().unwrap();
        fs::write(log_of(&file), &log).unwrap();
        flip_a_bit(&log_of(&file), log.len() / 2);
        if damage {
            check(&open_fails(&file).await, ErrorKind::Corrupt, &["at byte"]);
        } else {
            let found = ready(&file).await;
            assert!((10..90).contains(&found), "{found} of a hundred");
            assert_eq!(ready(&file).await, found, "it is an ordinary file again");
        }
    }
}

#[tokio::test]
async fn a_log_that_was_cut_off_in_the_last_commit_is_what_a_crash_leaves() {
    let bed = hundred("").await;
    for less in [1, 4_000, 4_120] {
        let (_directory, file) = crash(&bed.file());
        let log = fs::OpenOptions::new()
            .write(true)
            .open(log_of(&file))
            .unwrap();
        log.set_len(log.metadata().unwrap().len() - less).unwrap();
        assert_eq!(ready(&file).await, 99, "without its last {less} bytes");
    }
}

#[tokio::test]
async fn a_missing_log_is_noticed() {
    let bed = hundred("").await;
    let (_directory, file) = crash(&bed.file());
    let log = log_of(&file);
    let saved = fs::read(&log).unwrap();
    for how in ["deleted", "emptied"] {
        match how {
            "deleted" => fs::remove_file(&log).unwrap(),
            _ => fs::write(&log, "").unwrap(),
        }
        let error = open_fails(&file).await;
        check(
            &error,
            ErrorKind::Corrupt,
            &["broker", "broker-wal", "missing", "put the log back"],
        );
    }
    fs::write(&log, saved).unwrap();
    assert_eq!(ready(&file).await, 100, "the log was put back");
    assert!(!log.exists());
    assert_eq!(ready(&file).await, 100, "after a clean end none is needed");
}

/// Somebody looks into a crashed broker's file: that copies the log into the file and deletes it.
#[tokio::test]
async fn a_file_that_another_program_has_recovered_is_fine() {
    let bed = hundred("").await;
    let (_directory, file) = crash(&bed.file());
    let other = Connection::open(&file).unwrap();
    let count = "SELECT count(*) FROM messages";
    let count: i64 = other.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 100);
    other.close().unwrap();
    assert!(!log_of(&file).exists());
    assert_eq!(ready(&file).await, 100);
}

/// In all of the many transactions that fill the log and make it begin anew.
#[tokio::test]
async fn a_missing_log_is_noticed_also_after_it_was_copied_into_the_file() {
    let bed = Bed::durable(Topology::new().queue(Queue::new("q"))).await;
    let mut subscriber = bed.subscribe("q", 1).await;
    let body = "x".repeat(500_000);
    let mut longest = 0;
    for _ in 0..80 {
        bed.publish("q", &body).await.unwrap();
        next(&mut subscriber)
            .await
            .settle(Settlement::Ack)
            .await
            .unwrap();
        longest = longest.max(fs::metadata(log_of(&bed.file())).unwrap().len());
    }
    assert!(longest < 24 << 20, "the log had {longest} bytes");
    bed.publish("q", "one").await.unwrap();
    let (_directory, file) = crash(&bed.file());
    assert_eq!(ready(&file).await, 1);
    let (_directory, file) = crash(&bed.file());
    fs::remove_file(log_of(&file)).unwrap();
    check(
        &open_fails(&file).await,
        ErrorKind::Corrupt,
        &["broker-wal", "missing"],
    );
}

#[tokio::test]
async fn a_changed_byte_of_a_message_is_found() {
    let bed = Bed::durable(Topology::new().queue(Queue::new("q"))).await;
    bed.publish("q", "the payload of this message")
        .await
        .unwrap();
    let file = bed.file();
    bed.transport.close(Deadline::NEVER).await.unwrap();
    let bytes = fs::read(&file).unwrap();
    let payload = b"the payload";
    let at = bytes
        .windows(payload.len())
        .position(|bytes| bytes == payload)
        .unwrap();
    flip_a_bit(&file, at);
    check(
        &open_fails(&file).await,
        ErrorKind::Corrupt,
        &["broker", "message", "queue `q`", "checksum"],
    );
}

#[tokio::test]
async fn a_file_from_before_the_first_release_is_left_alone() {
    let directory = Directory::new();
    let path = directory.file("broker");
    close(Embedded::open(path.clone()).await.unwrap()).await;
    let older = Connection::open(&path).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    older.close().unwrap();
    check(
        &open_fails(&path).await,
        ErrorKind::Corrupt,
        &["broker", "version 1", "version 2"],
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_named_and_not_skipped() {
    let bed = Bed::durable(Topology::new().queue(Queue::new("q"))).await;
    bed.publish("q", "it").await.unwrap();
    let path = bed.file();
    bed.transport.close(Deadline::NEVER).await.unwrap();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE messages SET head = x'ff00'", [])
        .unwrap();
    file.close().unwrap();
    check(
        &open_fails(&path).await,
        ErrorKind::Corrupt,
        &["broker", "message", "queue `q`", "checksum"],
    );
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let directory = Directory::new();
    let error = open_fails(&directory.file("missing/broker")).await;
    check(&error, ErrorKind::Unavailable, &["missing", "create it"]);
}

#[tokio::test]
async fn a_full_file_refuses_publishes_and_recovers() {
    let topology = Topology::new()
        .queue(Queue::new("q").with_dead_letter("", "dead"))
        .queue(Queue::new("dead"));
    let bed = Bed::durable_with("?max_size_mb=1", topology).await;
    let body = "x".repeat(100_000);
    let mut stored = 0;
    let error = loop {
        match bed.publish("q", &format!("{stored} {body}")).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 20, "the limit is one megabyte");
    };
    check(&error, ErrorKind::Full, &["broker", "max_size_mb"]);
    assert_eq!(
        bed.status("q").await.ready,
        stored,
        "what was refused is not visible"
    );

    let mut subscriber = bed.subscribe("q", 10).await;
    next(&mut subscriber)
        .await
        .settle(Settlement::Ack)
        .await
        .unwrap();
    bed.publish("q", &format!("again {body}")).await.unwrap();
    next(&mut subscriber)
        .await
        .settle(Settlement::Reject)
        .await
        .unwrap();
    assert_eq!(
        bed.status("dead").await.ready,
        1,
        "a dead letter takes the room of the message"
    );
    drop(subscriber);
    let bed = bed.reopen().await;
    assert_eq!(bed.status("q").await.ready, stored - 1);
    let mut subscriber = bed.subscribe("q", 1).await;
    assert!(text(&next(&mut subscriber).await).starts_with("2 "));
}

async fn close(transport: Embedded) {
    transport
        .close(Deadline::after(Duration::from_secs(10)))
        .await
        .unwrap();
}
