//! The switch of one subscription, and what it reports: paused from outside, broken from inside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::health::{SubscriptionHealth, SubscriptionState};

/// The outside of a running subscription.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) subscriber: Arc<str>,
    pub(crate) queue: Arc<str>,
    paused: watch::Sender<bool>,
    state: watch::Receiver<SubscriptionState>,
}

/// The inside of it.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    paused: watch::Receiver<bool>,
    state: watch::Sender<SubscriptionState>,
}

/// Both sides of one subscription.
pub(crate) fn pair(subscriber: Arc<str>, queue: Arc<str>) -> (Handle, Switch) {
    let (pause, paused) = watch::channel(false);
    let (report, state) = watch::channel(SubscriptionState::Connecting);
    (
        Handle {
            subscriber,
            queue,
            paused: pause,
            state,
        },
        Switch {
            paused,
            state: report,
        },
    )
}

impl Handle {
    /// Whether an operator means this subscription by this name.
    pub(crate) fn is_called(&self, queue_or_subscriber: &str) -> bool {
        *self.queue == *queue_or_subscriber || *self.subscriber == *queue_or_subscriber
    }

    /// Pauses or resumes; the subscription follows as soon as it notices.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Resolves once the subscription is in such a state; `false` if it has ended instead.
    pub(crate) async fn reaches(&self, wanted: impl FnMut(&SubscriptionState) -> bool) -> bool {
        self.state.clone().wait_for(wanted).await.is_ok()
    }

    pub(crate) fn health(&self) -> SubscriptionHealth {
        SubscriptionHealth {
            subscriber: Arc::clone(&self.subscriber),
            queue: Arc::clone(&self.queue),
            state: self.state.borrow().clone(),
        }
    }
}

impl Switch {
    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Resolves when the switch has been moved. Cancel safe: a move is seen by the next call.
    pub(crate) async fn moved(&mut self) {
        // An error means that the handle is gone with its server; the stop signal follows.
        if self.paused.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn report(&self, state: SubscriptionState) {
        self.state.send_if_modified(|now| {
            let changed = *now != state;
            *now = state;
            changed
        });
    }
}
