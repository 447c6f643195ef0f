//! What is published, and with which context.

use serde_json::json;
use tidings::{Client, ErrorKind, HandlerError, Metadata, Router, State};

use crate::world::{Log, PersistUser, UserCreated, publish, start};

#[tokio::test(start_paused = true)]
async fn a_handler_passes_correlation_and_causation_on() {
    async fn react(
        State(seen): State<Log<Metadata>>,
        metadata: Metadata,
        client: Client,
        event: UserCreated,
    ) -> Result<(), HandlerError> {
        seen.push(metadata);
        client
            .send(&PersistUser {
                user_id: event.user_id,
            })
            .await?;
        Ok(())
    }
    async fn persist(State(seen): State<Log<Metadata>>, metadata: Metadata, _command: PersistUser) {
        seen.push(metadata);
    }
    let seen = Log::default();
    let test = start(
        Router::new()
            .on("react", react)
            .on("persist", persist)
            .with_state(seen.clone()),
    )
    .await;
    let client = test
        .client()
        .with_meta(json!({"correlation_id": "c-1", "tenant": "x"}))
        .unwrap();
    client.publish(&UserCreated { user_id: 1 }).await.unwrap();
    test.rest().await.unwrap();

    let seen = seen.entries();
    assert_eq!(
        seen[0].meta,
        json!({"correlation_id": "c-1", "tenant": "x"})
    );
    assert_eq!(seen[1].correlation_id(), Some("c-1"));
    assert_eq!(seen[1].causation_id(), Some(seen[0].id.as_str()));
    assert_eq!(
        test.published::<PersistUser>().unwrap(),
        [PersistUser { user_id: 1 }]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_would_receive_is_an_error_unless_that_is_fine() {
    let domain = tidings::Domain::builder("acme", "shop")
        .without_store()
        .build()
        .unwrap();
    let test = tidings::testing::TestServer::start(domain, Router::new())
        .await
        .unwrap();
    let error = publish(&test, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
    assert!(
        error.to_string().contains("acme.shop.1.event.user_created"),
        "{error}"
    );
    test.client()
        .unroutable_is_fine()
        .publish(&UserCreated { user_id: 1 })
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn publishes_arrive_in_the_order_of_the_calls_without_awaiting_each() {
    async fn note(State(log): State<Log<u32>>, event: UserCreated) {
        log.push(event.user_id);
    }
    let log = Log::default();
    let subscriber = tidings::Subscriber::new("note").on(note).concurrency(1);
    let test = start(Router::new().subscriber(subscriber).with_state(log.clone())).await;
    let publishing: Vec<_> = (0..1_000)
        .map(|user_id| test.client().publish(&UserCreated { user_id }))
        .collect();
    for confirmed in publishing {
        confirmed.await.unwrap();
    }
    test.rest().await.unwrap();
    assert_eq!(log.entries(), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn fresh_messages_carry_no_headers() {
    async fn check(headers: tidings::Headers, _event: UserCreated) {
        assert!(headers.is_empty(), "{headers:?}");
    }
    let test = start(Router::new().on("check", check)).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    assert_eq!(test.handled("check").len(), 1);
    assert_eq!(test.handled("check")[0].result, Ok(()));
}
