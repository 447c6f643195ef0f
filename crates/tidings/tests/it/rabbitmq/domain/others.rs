//! Other organizations on the same virtual host, and what petisco has declared there.

use super::*;

#[tokio::test]
async fn one_store_for_a_virtual_host_and_a_way_out() {
    let Some(bed) = Bed::new().await else { return };
    let ours = domain().build().unwrap();
    let theirs = Domain::builder("other", "shop").retry_ttl(RETRY);
    let without = theirs.clone().without_store().build().unwrap();
    let theirs = theirs.build().unwrap();
    let nothing = ClearBefore::NOTHING;
    let configurer = Configurer::new(&ours, &*bed.transport);
    configurer.configure(&[], nothing).await.unwrap();
    let refused = Configurer::new(&theirs, &*bed.transport);
    let error = refused.configure(&[], nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("organization `acme`"), "{error}");
    Configurer::new(&without, &*bed.transport)
        .configure(&[attachment(&without)], nothing)
        .await
        .unwrap();
    let cleared = Configurer::new(&theirs, &*bed.transport)
        .clear(&[])
        .await
        .unwrap();
    assert_eq!(cleared.kept_store_of.as_deref(), Some("acme"));
    assert_eq!(
        bed.queues().await.len(),
        3,
        "the store alone: {:?}",
        bed.queues().await
    );
    for _ in 0..2 {
        let cleared = configurer.clear(&[]).await.unwrap();
        assert_eq!(cleared.kept_store_of, None);
    }
    assert_eq!(bed.queues().await, [""; 0]);
}

/// What petisco has declared is joined, and only what it does not know is added.
#[tokio::test]
async fn joining_declares_only_what_is_ours_alone() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let built = domain().joining_existing().build().unwrap();
    let configurer = Configurer::new(&built, &*bed.transport);
    let attachments = [attachment(&built)];
    configurer
        .configure(&attachments, ClearBefore::NOTHING)
        .await
        .unwrap();
    let before = bed.queues().await;
    let fail = bed.failing(1);
    let subscriber = Subscriber::new("mail").on(never).on_dead_letters(fail);
    let server = Server::builder(Arc::clone(&bed.transport), built)
        .without_declaring()
        .start(Router::new().subscriber(subscriber))
        .await
        .unwrap();
    assert!(server.health().ready, "{:?}", server.health());
    let mut added = bed.queues().await;
    added.retain(|name| !before.contains(name));
    assert_eq!(added, [format!("retry.dead_letter.{Q}")]);
    bed.publish(
        "dead_letter.acme.shop",
        &domain::names::dead_letter(Q),
        Headers::new(),
    )
    .await;
    bed.call().await;
    bed.call().await;
    server.drain(Duration::from_secs(5)).await;
    bed.transport
        .close(Deadline::after(PATIENCE))
        .await
        .unwrap();
}
