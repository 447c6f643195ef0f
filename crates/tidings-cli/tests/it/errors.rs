//! What is wrong is said in one line, and the exit code tells what kind of wrong it is.

use crate::bed::{Bed, DOMAIN, Ran};

#[tokio::test]
async fn a_broker_that_is_not_named_or_not_there() {
    let bed = Bed::embedded();
    Ran::of(bed.bare(&["queues"]), "").await.failed(2, "--url");
    let check = async |url: &str, code, text: &str| {
        let ran = Ran::of(bed.bare(&["queues", "--url", url]), "").await;
        ran.failed(code, text);
    };
    check("embedded:no-such.db", 6, "no-such.db").await;
    check("embedded:", 2, "name a file").await;
    check("embedded:x?sync=none", 2, "sync").await;
    check(
        "nosuch://user:secret@host",
        2,
        "no transport is registered for `nosuch:`",
    )
    .await;
    check("localhost", 2, "has no scheme").await;
    assert!(!bed.file("no-such.db").exists(), "looking creates nothing");
    for mistyped in [
        "nosuch://user:secret@host",
        "amqp:/user:secret@host",
        "amqp:user:secret@host",
        "amqp//user:secret@host",
        "user:secret@host",
    ] {
        let ran = Ran::of(bed.bare(&["queues", "-u", mistyped]), "").await;
        assert!(!ran.err.contains("secret"), "{ran:#?}");
        ran.failed(2, "host");
    }
}

#[tokio::test]
async fn a_file_that_is_none_of_ours() {
    let bed = Bed::embedded();
    bed.write(
        "broker.db",
        "this is no broker, but it is long enough to be looked at as if it were one",
    );
    bed.run(&["queues"]).await.failed(9, "broker.db");
    bed.write("bad.json", "{");
    let show = ["topology", "show", "--file", "bad.json"];
    bed.run(&show).await.failed(2, "bad.json");
    let absent = ["topology", "show", "--file", "absent.json"];
    bed.run(&absent).await.failed(6, "absent.json");
    let subscribers = ["--subscribers", "bad.json"];
    let show = [&["topology", "show"], &DOMAIN[..], &subscribers].concat();
    bed.run(&show)
        .await
        .failed(2, "cannot use the subscribers in bad.json");
}

#[tokio::test]
async fn wrong_usage_has_its_own_code() {
    let bed = Bed::embedded();
    for arguments in [
        &["no-such-command"][..],
        &["topology", "show"],
        &["topology", "show", "--organization", "acme"],
        &["topology", "clear", "--file", "x", "--subscribers-only"],
        &["queues", "--output", "xml"],
        &["queues", "--watch", "-1"],
        &["queues", "--watch", "0"],
        &["deadletters", "list", "--older-than", "soon"],
        &["completions", "cmd.exe"],
    ] {
        let ran = bed.run(arguments).await.ended(2);
        assert!(ran.err.contains("error: "), "{ran:#?}");
    }
    let dotted = [
        "topology",
        "show",
        "--organization",
        "a.b",
        "--service",
        "s",
    ];
    bed.run(&dotted).await.failed(2, "contains a dot");
}

#[tokio::test]
async fn the_program_explains_itself() {
    let bed = Bed::embedded();
    let version = bed.run(&["--version"]).await.ok();
    assert_eq!(
        version.out,
        format!("tidings {}\n", env!("CARGO_PKG_VERSION"))
    );
    bed.run(&["--help"])
        .await
        .ok()
        .says("Exit codes")
        .says("deadletters");
    bed.run(&["topology", "clear", "--help"])
        .await
        .ok()
        .says("--with-store");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        bed.run(&["completions", shell])
            .await
            .ok()
            .says("deadletters");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let bed = Bed::embedded().applied().await;
    bed.run(&["publish", "", "store", "x", "--count", "100"])
        .await
        .ok();
    let mut tail = bed.command(&["tail", "store", "--output", "json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    tail.stdout(writer);
    let ran = Ran::of(tail, "").await.ok();
    assert_eq!(ran.err, "");
    assert_eq!(bed.ready("store").await, 100);
}
