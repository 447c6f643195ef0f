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

    /// Resolves once the subscription has been tried.
    pub(crate) async fn tried(&self) {
        let tried = |state: &SubscriptionState| *state != SubscriptionState::Connecting;
        // An error means that the subscription is gone, which is an end, too.
        drop(self.state.clone().wait_for(tried).await);
    }

    /// Resolves once the subscription has followed the switch to this position, has ended, or the switch has been
    /// moved away again.
    pub(crate) async fn follows(&self, paused: bool) {
        let followed = |state: &SubscriptionState| {
            *state == SubscriptionState::Ended || (*state == SubscriptionState::Paused) == paused
        };
        let (mut state, mut switch) = (self.state.clone(), self.paused.subscribe());
        tokio::select! {
            _ = state.wait_for(followed) => {} // Cancel-safe: it only looks.
            _ = switch.wait_for(|now| *now != paused) => {} // Cancel-safe: it only looks.
        }
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

    /// After a pause, nothing has been tried yet.
    pub(crate) fn report_resumed(&self) {
        self.state.send_if_modified(|now| {
            let was_paused = *now == SubscriptionState::Paused;
            if was_paused {
                *now = SubscriptionState::Connecting;
            }
            was_paused
        });
    }

    pub(crate) fn report(&self, state: SubscriptionState) {
        self.state.send_if_modified(|now| {
            let changed = *now != state;
            *now = state;
            changed
        });
    }
}
