//! What is wrong is said in one line, on standard error, with exit code 1.

use std::fs;

use crate::bed::{At, Bed, Ran, USER_CREATED, golden};

#[tokio::test]
async fn without_a_broker_it_says_where_it_looked() {
    let bed = Bed::new(&At::Embedded);
    for action in ["configure", "clear", "publish", "consume"] {
        let mut command = bed.bare(&[action]);
        command.arg("--subscribers").arg(golden("subscribers.json"));
        Ran::of(command.spawn().unwrap())
            .await
            .refused("127.0.0.1:1");
    }
    let mut command = bed.bare(&["configure"]);
    command.env("RABBITMQ_PORT", "amqp");
    Ran::of(command.spawn().unwrap())
        .await
        .refused("RABBITMQ_PORT is `amqp`");
    let mut unknown = bed.bare(&["configure", "--transport", "carrier:pigeon"]);
    let ran = Ran::of(unknown.spawn().unwrap()).await;
    ran.refused("no transport is registered for `carrier:`");
}

#[tokio::test]
async fn a_bad_subscriber_file_is_named_with_its_problem() {
    let bed = Bed::new(&At::Embedded);
    let check = async |content: Option<&str>, why: &str| {
        let path = bed.file("subscribers.json");
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        let mut command = bed.bare(&["configure", "--transport", &bed.url()]);
        command.arg("--subscribers").arg(&path);
        let ran = Ran::of(command.spawn().unwrap()).await;
        assert!(ran.errors.contains("subscribers.json"), "{ran:?}");
        ran.refused(why);
    };
    check(None, "cannot read the subscribers").await;
    check(Some("{"), "cannot use the subscribers").await;
    check(Some(r#"[{"name": "s"}]"#), "`s` receives nothing").await;
    let kind = r#"[{"name": "s", "messages": [{"name": "a.b", "version": 1, "type": "query"}]}]"#;
    check(Some(kind), "use `domain_event` or `command`").await;
}

#[tokio::test]
async fn consumers_refuse_plans_and_names_that_mean_nothing() {
    let bed = Bed::configured(&At::Embedded, &[]).await;
    let known = "the file has `send_mail_on_user_created`, `audit_on_user_lifecycle`";
    for (options, why) in [
        (&["--plan", "FFS"][..], "the plan must be JSON like"),
        (
            &["--plan", r#"{"store_on_message": "FX"}"#],
            "the letters S and F",
        ),
        (&["--plan", r#"{"stor": "F"}"#], known),
        (&["--only", "store_on_message,stor"], known),
    ] {
        bed.consume(options, 1).await.refused(why);
    }
    let ran = bed.run(&["consume", "--timeout", "-1"]).await;
    assert_eq!((ran.code, ran.lines.len()), (Some(2), 0), "{ran:?}");
}

#[tokio::test]
async fn a_consumer_that_did_not_see_enough_fails_with_its_summary() {
    let bed = Bed::configured(&At::Embedded, &["--main-ttl", "0"]).await;
    bed.publish(&[USER_CREATED]).await;
    let options = ["--only", "store_on_message", "--timeout", "1"];
    let ran = bed
        .run(&[&["consume", "--expect", "2"], &options[..]].concat())
        .await;
    assert_eq!(ran.code, Some(1));
    let summary = serde_json::json!({"summary": {"store_on_message": 1}, "total": 1, "ok": false});
    assert_eq!(ran.lines.last(), Some(&summary));
}

#[tokio::test]
async fn no_more_is_handled_than_was_expected() {
    let bed = Bed::configured(&At::Embedded, &["--main-ttl", "0"]).await;
    bed.publish(&[USER_CREATED; 9]).await;
    let ran = bed.consume(&["--only", "store_on_message"], 4).await;
    assert_eq!(ran.calls().len(), 4);
    let ran = bed
        .consume(&["--only", "store_on_message", "--linger", "1"], 2)
        .await;
    assert_eq!(ran.calls().len(), 5, "lingering takes what comes");
}

#[tokio::test]
async fn a_bad_line_ends_publishing_after_those_before_it() {
    let bed = Bed::configured(&At::Embedded, &["--main-ttl", "0"]).await;
    let ran = bed
        .publish(&[
            USER_CREATED,
            "",
            USER_CREATED,
            r#"{"type": "event"}"#,
            USER_CREATED,
        ])
        .await;
    assert_eq!((ran.code, ran.lines.len()), (Some(1), 2), "{ran:?}");
    assert!(
        ran.errors.contains("cannot publish line 4: "),
        "{}",
        ran.errors
    );
    let store = bed
        .waiting()
        .await
        .into_iter()
        .find(|(queue, _)| queue == "store");
    assert_eq!(
        store,
        Some(("store".to_owned(), 2)),
        "what was printed is there"
    );
}

#[tokio::test]
async fn an_event_for_nobody_is_confirmed() {
    let bed = Bed::configured(&At::Embedded, &["--no-store"]).await;
    let line = r#"{"type": "domain_event", "name": "nobody.cares"}"#;
    let ran = bed.publish(&[line]).await;
    assert_eq!((ran.code, ran.lines.len()), (Some(0), 1), "{ran:?}");
    assert!(ran.errors.contains("nobody_cares"), "{}", ran.errors);
}
