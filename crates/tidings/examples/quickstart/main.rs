//! Tidings in ten seconds: events, a command, the store, retries, dead letters, a redrive. No server needed.
//!
//! Read `main` first; `handlers.rs` holds the subscribers, `story.rs` what is told and counted.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod handlers;
mod story;

use std::{sync::Arc, time::Duration};

use tidings::{
    Call, Client, Contract as _, Domain, Kind, RetryPolicy, Router, Server, Subscriber, domain,
    redrive, transport::Transport,
};

use crate::{
    handlers::{PersistUser, UserCreated, archive, charge_card, persist_user, send_mail, sync_crm},
    story::Story,
};

#[tokio::main]
async fn main() -> tidings::Result<()> {
    let story = Arc::new(Story::begin());
    let domain = Domain::builder("acme", "registration")
        .retry_ttl(Duration::from_secs(4))
        .build()?;
    let transport = tidings::open("embedded:").await?;
    let server = Server::builder(Arc::clone(&transport), domain.clone())
        .start(router(&story))
        .await?;

    publish(&story, server.client()).await?;
    story
        .wait_for("charged cards and dead letters", |counts| {
            (counts.charged, counts.dead_letters) == (2, 2)
        })
        .await?;
    redrive_the_crm(&story, &domain, &*transport).await?;
    story
        .wait_for("both in the CRM", |counts| counts.synced == 2)
        .await?;

    server.drain(Duration::from_secs(5)).await;
    story.end()
}

/// Who receives what. The names become part of the queues' names.
fn router(story: &Arc<Story>) -> Router {
    story.tell(
        "start",
        "three subscribers of user.created, one of persist.user, and the store",
    );
    let sync_crm = Subscriber::new("sync_crm")
        .on(sync_crm)
        .retry(RetryPolicy::new(1));
    Router::new()
        .on("send_mail", send_mail)
        .on("charge_card", charge_card)
        .subscriber(sync_crm)
        .on("persist_user", persist_user)
        .on("archive", archive)
        .with_state(Arc::clone(story))
}

/// Two users sign up: an event that states it and a command that has it written down.
async fn publish(story: &Story, client: &Client) -> tidings::Result<()> {
    let client = client.with_meta(serde_json::json!({ "correlation_id": "quickstart" }))?;
    for user in ["ada@example.com", "bob@example.com"] {
        let email = user.to_owned();
        client.publish(&UserCreated { email }).await?;
        let email = user.to_owned();
        client.send(&PersistUser { email }).await?;
        story.tell(
            "publish",
            &format!("{user} signed up: event and command are confirmed, so they are safe"),
        );
    }
    Ok(())
}

/// What an operator does once the cause is mended: the dead letters go back to where they came from.
async fn redrive_the_crm(
    story: &Story,
    domain: &Domain,
    transport: &dyn Transport,
) -> tidings::Result<()> {
    story.tell("operator", "the CRM is back: redriving its dead letters");
    story.repair_the_crm();
    let queue = domain
        .names()
        .queue(Kind::Event, 1, UserCreated::NAME, "sync_crm")?;
    let again = |dead_letter: &Call| {
        story.tell_reason(dead_letter);
        domain::redrive(dead_letter).ok()
    };
    let redriven = redrive(transport, domain::names::dead_letter(&queue), again).await?;
    story.tell(
        "operator",
        &format!("{} messages are in their queue again", redriven.moved),
    );
    Ok(())
}
