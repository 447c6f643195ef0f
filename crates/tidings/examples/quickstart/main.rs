//! Tidings in ten seconds: events, a command, the store, retries, dead letters, a redrive. No server needed.
//!
//! Read `main` first; `handlers.rs` holds the subscribers, `story.rs` what is told and counted.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod handlers;
mod story;

use std::{sync::Arc, time::Duration};

use tidings::{
    Call, Contract as _, Domain, Kind, RetryPolicy, Router, Server, Subscriber, domain, redrive,
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

    story.tell(
        "start",
        "three subscribers of user.created, one of persist.user, and the store",
    );
    let router = Router::new()
        .on("send_mail", send_mail)
        .on("charge_card", charge_card)
        .subscriber(
            Subscriber::new("sync_crm")
                .on(sync_crm)
                .retry(RetryPolicy::new(1)),
        )
        .on("persist_user", persist_user)
        .on("archive", archive)
        .with_state(Arc::clone(&story));
    let server = Server::builder(Arc::clone(&transport), domain.clone())
        .start(router)
        .await?;

    let client = server
        .client()
        .with_meta(serde_json::json!({ "correlation_id": "quickstart" }))?;
    for email in ["ada@example.com", "bob@example.com"] {
        story.tell(
            "publish",
            &format!("user.created for {email}: confirmed, so it is safe"),
        );
        client
            .publish(&UserCreated {
                email: email.into(),
            })
            .await?;
        client
            .send(&PersistUser {
                email: email.into(),
            })
            .await?;
    }

    story
        .wait_for("two dead letters", |counts| {
            counts.dead_letters == 2 && counts.charged == 2
        })
        .await?;
    story.tell("operator", "the CRM is back: redriving its dead letters");
    story.repair_the_crm();
    let queue = domain
        .names()
        .queue(Kind::Event, 1, UserCreated::NAME, "sync_crm")?;
    let dead_letters = domain::names::dead_letter(&queue);
    let again = |dead_letter: &Call| {
        story.tell_reason(dead_letter);
        domain::redrive(dead_letter).ok()
    };
    let redriven = redrive(&*transport, dead_letters, again).await?;
    story.tell(
        "operator",
        &format!("{} messages are in their queue again", redriven.moved),
    );
    story
        .wait_for("both in the CRM", |counts| counts.synced == 2)
        .await?;

    server.drain(Duration::from_secs(5)).await;
    story.end()
}
