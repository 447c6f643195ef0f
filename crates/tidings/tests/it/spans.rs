//! What a handling says about itself.

use tidings::{HandlerError, Metadata, Router, State};

use crate::{
    logs::Logs,
    world::{Log, UserCreated, publish, start},
};

async fn refuse(
    State(ids): State<Log<String>>,
    metadata: Metadata,
    _event: UserCreated,
) -> Result<(), HandlerError> {
    ids.push(metadata.id);
    Err(HandlerError::fatal("not today"))
}

/// It is in the body, so whoever made the span did not know it.
#[tokio::test(start_paused = true)]
async fn the_span_and_the_failure_in_it_name_the_message() {
    let logs = Logs::start();
    let ids = Log::default();
    let test = start(Router::new().on("refuse", refuse).with_state(ids.clone())).await;
    publish(&test, 1).await.unwrap();
    test.rest().await.unwrap();
    let field = format!("messaging.message.id=\"{}\"", ids.entries()[0]);
    let text = logs.text();
    let failure = text
        .lines()
        .find(|line| line.contains("became a dead letter"));
    assert!(failure.is_some_and(|line| line.contains(&field)), "{text}");
}
