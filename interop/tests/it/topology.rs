//! `configure` and `clear`, again and again.

use tidings::topology::{Queue, Topology};

use crate::bed::{At, Bed, QUEUE, USER_CREATED, golden, on_each_broker};

on_each_broker![
    configuring_again_changes_nothing_and_loses_nothing,
    other_ttls_are_a_conflict_that_names_both,
    clearing_removes_everything_of_the_service_and_only_that,
    without_a_store_there_is_none,
    organization_and_service_come_from_the_environment,
    only_what_needs_subscribers_asks_for_them,
];

async fn configuring_again_changes_nothing_and_loses_nothing(at: At) {
    let bed = Bed::configured(&at, &["--main-ttl", "0"]).await;
    bed.publish(&[USER_CREATED]).await;
    let before = bed.waiting().await;
    assert_eq!(before.len(), 3, "two subscribers and the store: {before:?}");
    bed.run(&["configure", "--main-ttl", "0"])
        .await
        .printed("ok");
    assert_eq!(bed.waiting().await, before);
}

async fn other_ttls_are_a_conflict_that_names_both(at: At) {
    let bed = Bed::configured(&at, &["--main-ttl", "7000", "--retry-ttl", "40"]).await;
    bed.run(&["configure", "--main-ttl", "7000", "--retry-ttl", "50"])
        .await
        .refused("wants 50 ms");
    bed.run(&["configure", "--main-ttl", "8000", "--retry-ttl", "40"])
        .await
        .refused("exists with message TTL 7000 ms");
    bed.run(&["configure", "--main-ttl", "7000", "--retry-ttl", "40"])
        .await
        .printed("ok");
}

async fn clearing_removes_everything_of_the_service_and_only_that(at: At) {
    let bed = Bed::configured(&at, &[]).await;
    let transport = bed.open().await;
    let others = Topology::new()
        .queue(Queue::new("petacc.registration2.1.event.a.b"))
        .queue(Queue::new("other"));
    transport.declare(&others).await.unwrap();
    // A subscriber that no file names any more.
    let orphan = Topology::new().queue(Queue::new("retry.petacc.registration.1.event.a.gone"));
    transport.declare(&orphan).await.unwrap();
    bed.run(&["clear"]).await.printed("ok");
    let left = transport.queues(&[]).await.unwrap();
    let mut left: Vec<_> = left.iter().map(|queue| &*queue.name).collect();
    left.sort_unstable();
    assert_eq!(left, ["other", "petacc.registration2.1.event.a.b"]);
    bed.publish(&[USER_CREATED])
        .await
        .refused("exchange `petacc.registration` does not exist");
    let ran = bed.run(&["clear"]).await.printed("ok");
    assert_eq!(ran.code, Some(0), "what is absent is no error");
    bed.run(&["configure"]).await.printed("ok");
}

async fn without_a_store_there_is_none(at: At) {
    let bed = Bed::configured(&at, &["--no-store", "--main-ttl", "0"]).await;
    bed.publish(&[USER_CREATED]).await;
    let waiting = bed.waiting().await;
    assert_eq!(waiting.len(), 2, "the subscribers only: {waiting:?}");
    bed.consume(&["--only", "store_on_message"], 1)
        .await
        .refused("queue `store` does not exist");
}

async fn organization_and_service_come_from_the_environment(at: At) {
    let bed = Bed::new(&at);
    let run = async |arguments: &[&str]| {
        let mut command = bed.command(arguments);
        command.env("ACC_ORG", "acme").env("ACC_SVC", "shop");
        crate::bed::Ran::of(command.spawn().unwrap()).await
    };
    run(&["configure"]).await.printed("ok");
    let transport = bed.open().await;
    let named = |name: &str| [std::sync::Arc::from(name)];
    let ours = QUEUE.replace("petacc.registration", "acme.shop");
    transport.queues(&named(&ours)).await.unwrap();
    assert!(transport.queues(&named(QUEUE)).await.is_err());
    run(&["clear"]).await.printed("ok");
    assert!(transport.queues(&[]).await.unwrap().is_empty());
}

async fn only_what_needs_subscribers_asks_for_them(at: At) {
    let bed = Bed::configured(&at, &["--main-ttl", "0"]).await;
    let run = async |arguments: &[&str]| {
        let mut command = bed.bare(arguments);
        command.args(["--transport", &bed.url()]);
        crate::bed::Ran::of(command.spawn().unwrap()).await
    };
    let publish = run(&["publish"]).await;
    assert_eq!(
        (publish.code, publish.lines.len()),
        (Some(0), 0),
        "empty input"
    );
    let requeue = [
        "requeue",
        "--queue",
        "store",
        "--retry-routing-key",
        "store",
    ];
    run(&requeue)
        .await
        .printed(serde_json::json!({"requeued": 0}));
    run(&["consume"]).await.refused("--subscribers FILE");
    run(&["clear"]).await.printed("ok");
    run(&["configure"]).await.printed("ok");
    assert!(golden("subscribers.json").exists());
}
