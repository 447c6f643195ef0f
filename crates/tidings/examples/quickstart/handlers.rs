//! The messages of the quick start and who handles them.

use std::{io, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{AnyMessage, Command, Event, HandlerError, Headers, Metadata, State, headers};

use crate::story::Story;

/// Somebody has signed up.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UserCreated {
    /// Where to write to.
    pub(crate) email: String,
}

/// Write this user down.
#[derive(Command, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PersistUser {
    /// Who it is.
    pub(crate) email: String,
}

/// Always succeeds.
pub(crate) async fn send_mail(State(story): State<Arc<Story>>, event: UserCreated) {
    story.tell("send_mail", &format!("wrote to {}", event.email));
    story.count(|counts| counts.mailed += 1);
}

/// Fails twice, then succeeds: any error means "bring it again".
pub(crate) async fn charge_card(
    State(story): State<Arc<Story>>,
    headers: Headers,
    event: UserCreated,
) -> Result<(), HandlerError> {
    let failures = headers.int(headers::REDELIVERY_COUNT).unwrap_or(0);
    if failures < 2 {
        story.tell(
            "charge_card",
            &format!(
                "attempt {} for {} failed: comes again in 4 s",
                failures + 1,
                event.email
            ),
        );
        story.count(|counts| counts.charge_failures += 1);
        return Err(io::Error::other("the payment gateway does not answer").into());
    }
    story.tell(
        "charge_card",
        &format!("attempt 3 for {} succeeded", event.email),
    );
    story.count(|counts| counts.charged += 1);
    Ok(())
}

/// Fails until the CRM is repaired, which the dead letters wait for.
pub(crate) async fn sync_crm(
    State(story): State<Arc<Story>>,
    headers: Headers,
    event: UserCreated,
) -> Result<(), HandlerError> {
    if story.crm_is_repaired() {
        story.tell("sync_crm", &format!("{} is in the CRM", event.email));
        story.count(|counts| counts.synced += 1);
        return Ok(());
    }
    let last = headers.int(headers::REDELIVERY_COUNT) == Some(1);
    let next = if last {
        "no attempt left, so it becomes a dead letter"
    } else {
        "comes again in 4 s"
    };
    story.tell(
        "sync_crm",
        &format!("the CRM is down for {}: {next}", event.email),
    );
    story.count(|counts| counts.dead_letters += u32::from(last));
    Err(io::Error::other("the CRM is down for maintenance").into())
}

/// A command has one receiver.
pub(crate) async fn persist_user(
    State(story): State<Arc<Story>>,
    metadata: Metadata,
    command: PersistUser,
) {
    let correlation = metadata.correlation_id().unwrap_or("none");
    story.tell(
        "persist_user",
        &format!("wrote {} down (correlation {correlation})", command.email),
    );
    story.count(|counts| counts.persisted += 1);
}

/// The store receives a copy of everything.
pub(crate) async fn archive(State(story): State<Arc<Story>>, message: AnyMessage) {
    story.tell(
        "archive",
        &format!(
            "kept {} v{}",
            message.metadata.name, message.metadata.version
        ),
    );
    story.count(|counts| counts.archived += 1);
}
