//! What the service manager is told: ready, stopping, and one line about how it is going.
//!
//! Without `NOTIFY_SOCKET` nobody is told anything. A service manager that does not listen is no reason to fail.

use sd_notify::NotifyState;
use tracing::debug;

/// It serves.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It is still doing this.
pub(crate) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// It has been asked to end.
pub(crate) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing the requests under way"),
    ]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager does not listen");
    }
}
