//! Remembered replies in a table. A claim is a row with a lease; keeping its reply turns it into a row with an answer.

use std::{fmt, sync::Arc, time::Duration};

use tidings_core::{
    Payload,
    error::{Error, ErrorKind, Result},
    reply_store::{Claim, Claimed, Keep, ReplyStore},
    tasks::Tasks,
    transport::BoxFuture,
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    database::{Database, Found, Kept},
    error,
    keeper::{Handle, Hold},
    key::column,
    locks::jittered,
    turns::{Place, Turns},
};

/// How long somebody waits for a request that somebody else handles, before asking again.
const PAUSE: Duration = Duration::from_millis(250);
/// A database that does not answer in this time is out of reach.
const PATIENCE: Duration = Duration::from_secs(5);
/// What expires while we look may be missed so often.
const LOOKS: usize = 3;

/// The remembered replies of a store.
#[derive(Clone)]
pub(crate) struct Replies {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) keeper: Handle,
    pub(crate) turns: Turns,
    pub(crate) tasks: Tasks,
    pub(crate) largest: usize,
}

impl ReplyStore for Replies {
    fn claim<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Claim>> {
        Box::pin(async move {
            let (tell, answer) = oneshot::channel();
            let (replies, place) = (self.clone(), self.turns.enter(&column(key)));
            // In a task of its own, so that a question is never left without an answer.
            self.tasks.spawn("claim", async move {
                // Whoever asked may have gone: then a claim is dropped here, and so given back.
                drop(tell.send(replies.ask(place).await));
            });
            answer.await.unwrap_or_else(|_| Err(error::closed()))
        })
    }
}

impl Replies {
    async fn ask(&self, place: Place) -> Result<Claim> {
        let key = Arc::clone(place.key());
        for _ in 0..LOOKS {
            if let Ok(hold) = self.keeper.take(&key, None).await? {
                let replies = self.clone();
                return Ok(Claim::Fresh(Claimed::new(Box::new(InTable {
                    replies,
                    hold,
                    key,
                }))));
            }
            let found = timeout(PATIENCE, self.database.find(&key)).await;
            match found.unwrap_or_else(|_| Err(error::too_slow("cannot look a reply up")))? {
                Some(Found::Kept(reply)) => return Ok(Claim::Known(reply)),
                Some(Found::Claimed) => break,
                // It expired between the two questions.
                None => {}
            }
        }
        Ok(Claim::Taken(Box::pin(async move {
            place.pause(jittered(PAUSE)).await;
        })))
    }

    async fn write(&self, kept: Kept) -> Result<()> {
        let kept = timeout(PATIENCE, self.database.keep(kept)).await;
        if kept.unwrap_or_else(|_| Err(error::too_slow("cannot keep a reply")))? {
            return Ok(());
        }
        let context = "a reply was not kept: the request took longer than its lease, and somebody else has it now";
        Err(Error::new(ErrorKind::Conflict, context))
    }
}

/// A claim as a row.
struct InTable {
    replies: Replies,
    hold: Hold,
    key: Arc<str>,
}

impl InTable {
    fn check(&self, reply: Option<&Payload>) -> Result<()> {
        let (size, largest) = (reply.map_or(0, Payload::len), self.replies.largest);
        if size <= largest {
            return Ok(());
        }
        let context = format!(
            "a reply of {size} bytes is not remembered: the store keeps replies of up to {largest}"
        );
        Err(Error::new(ErrorKind::Full, context))
    }

    async fn keep_now(self, reply: Option<Payload>, how_long: Duration) -> Result<()> {
        self.check(reply.as_ref())?;
        let token = self.hold.token();
        self.hold.settle();
        self.replies
            .write(Kept {
                token,
                reply,
                how_long,
            })
            .await?;
        self.hold.forget();
        self.replies.turns.wake(&self.key);
        Ok(())
    }
}

impl Keep for InTable {
    fn keep(
        self: Box<Self>,
        reply: Option<Payload>,
        how_long: Duration,
    ) -> BoxFuture<'static, Result<()>> {
        let tasks = self.replies.tasks.clone();
        Box::pin(async move {
            let (tell, answer) = oneshot::channel();
            tasks.spawn("keep", async move {
                // It is kept whether or not somebody wants to know.
                drop(tell.send((*self).keep_now(reply, how_long).await));
            });
            answer.await.unwrap_or_else(|_| Err(error::closed()))
        })
    }

    fn release(self: Box<Self>) {
        self.hold.release();
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("database", &self.database)
            .field("largest", &self.largest)
            .finish_non_exhaustive()
    }
}
