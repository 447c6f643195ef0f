//! Where every error ends and every acknowledgement begins.
//!
//! | the stack returns | settlement |
//! |---|---|
//! | `Ok(_)` | ack |
//! | `Err` that names a settlement | that settlement; a nack at once waits a short pause |
//! | `Err`, defer | nack: comes again after the wanted time |
//! | any other `Err` | nack: comes again after a short pause |
//! | cancelled, or a panic outside the stack | given back, by the acker's `Drop` |
//!
//! The layers `redeliver` and `dead_letter` have dealt with nearly every failure before it gets here: they
//! publish a copy, wait for its confirm, and only then let the error name the settlement `Ack`. What names none
//! is what they could not make safe, so nothing here acks an error by itself.

use std::time::Duration;

use tidings_core::{Acker, Error, Outcome, Reply, Settlement, error::Result};
use tracing::warn;

/// How long a message that could not be dealt with stays out of sight, so that it does not spin.
const PAUSE: Duration = Duration::from_millis(250);

/// Settles one delivery by the outcome of its handling.
///
/// `delayed_nack` says whether the transport keeps a nacked message back by itself; where it does not, the
/// delivery is held here for [`PAUSE`] and no longer.
pub(crate) async fn settle(result: Result<Reply>, acker: Acker, delayed_nack: bool, queue: &str) {
    let settlement = settlement(result);
    if !delayed_nack && matches!(settlement, Settlement::Nack { .. }) {
        // The table lets no nack wait for less.
        tokio::time::sleep(PAUSE).await;
    }
    if let Err(error) = acker.settle(settlement).await {
        warn!(
            error = error.chain(),
            queue, "could not settle a delivery; unless it is settled after all, it comes again"
        );
    }
}

/// The table. A failure that is given back at once would come back at once, so it always waits a little.
fn settlement(result: Result<Reply>) -> Settlement {
    let Err(error) = result else {
        return Settlement::Ack;
    };
    match error
        .settlement()
        .cloned()
        .unwrap_or_else(|| by_outcome(&error))
    {
        Settlement::Nack { delay } => Settlement::Nack {
            delay: Some(delay.unwrap_or(PAUSE).max(PAUSE)),
        },
        settlement => settlement,
    }
}

/// Nothing is rejected here: a failure that nobody could make safe may concern the message or not, and a queue
/// may have no dead letters.
fn by_outcome(error: &Error) -> Settlement {
    let delay = match error.outcome() {
        Outcome::Defer(delay) => delay,
        _ => PAUSE,
    };
    Settlement::Nack { delay: Some(delay) }
}

#[cfg(test)]
mod tests {
    use tidings_core::ErrorKind;

    use super::*;

    fn check(outcome: Outcome, expected: &Settlement) {
        let error = Error::new(ErrorKind::Handler, "failed").with_outcome(outcome);
        assert_eq!(settlement(Err(error)), *expected, "{outcome:?}");
    }

    #[test]
    fn no_error_is_ever_acked() {
        check(Outcome::Fatal, &Settlement::Nack { delay: Some(PAUSE) });
        check(
            Outcome::Defer(Duration::ZERO),
            &Settlement::Nack { delay: Some(PAUSE) },
        );
        check(Outcome::Retry, &Settlement::Nack { delay: Some(PAUSE) });
        check(Outcome::Requeue, &Settlement::Nack { delay: Some(PAUSE) });
        let minute = Duration::from_secs(60);
        check(
            Outcome::Defer(minute),
            &Settlement::Nack {
                delay: Some(minute),
            },
        );
    }

    #[test]
    fn a_wanted_settlement_wins() {
        let error = Error::new(ErrorKind::Handler, "failed").with_settlement(Settlement::Ack);
        assert_eq!(settlement(Err(error)), Settlement::Ack);
    }

    #[test]
    fn what_is_given_back_at_once_waits_a_little() {
        let error = Error::new(ErrorKind::Handler, "failed")
            .with_settlement(Settlement::Nack { delay: None });
        assert_eq!(
            settlement(Err(error)),
            Settlement::Nack { delay: Some(PAUSE) }
        );
    }

    #[test]
    fn success_is_acked() {
        assert_eq!(settlement(Ok(Reply::empty())), Settlement::Ack);
    }
}
