//! Files that are not ours, damaged or full: a clear error, and never a loss.

use std::{fs, time::Duration};

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
        &["broker", "message", "version 255"],
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
