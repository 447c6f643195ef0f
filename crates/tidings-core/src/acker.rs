//! The right to settle one delivery, once.
//!
//! Handlers and layers never see it: only the runtime's `settle` stage owns it. Settling consumes it, so
//! "acked twice" does not compile; dropping it gives the message back, so "forgot to ack" cannot happen.

use std::{fmt, mem, sync::Arc, time::Duration};

use crate::{call::Call, completion::Completion};

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Handled: the broker may forget it.
    Ack,
    /// Try again: back into the queue, after `delay` where the transport can (see
    /// [`Capability::DelayedNack`](crate::transport::Capability::DelayedNack)), else at once.
    Nack {
        /// How long it stays out of sight.
        delay: Option<Duration>,
    },
    /// Never again: to the queue's dead-letter exchange, or dropped where the queue has none.
    Reject,
}

/// What a transport does with settlements. One value serves all deliveries of a subscription.
pub trait Settle: Send + Sync + 'static {
    /// Settles the delivery `tag`. The completion resolves once the settlement cannot be undone by a crash; where the
    /// protocol confirms no settlement (AMQP 0.9.1), once it is recorded for sending. One that is lost on the way
    /// repeats the message, marked.
    ///
    /// # Errors
    /// The completion fails if the delivery is no longer ours, for example after a reconnect: it will come again.
    fn settle(&self, tag: u64, how: Settlement) -> Completion;

    /// Publishes an answer on the way that the settlement of this delivery takes, so that no ack that comes after the
    /// completion can take effect without the answer: a confirm is not waited for, because none is needed.
    ///
    /// # Errors
    /// The answer itself, unpublished, if there is no such way: then it has to be published and confirmed first.
    fn answer(&self, tag: u64, answer: Call) -> Result<Completion, Box<Call>> {
        let _ = tag;
        Err(Box::new(answer))
    }

    /// Whether the delivery is known to have gone back to its queue, for example with a lost connection: what is not
    /// begun need not begin, because it comes again.
    fn is_lost(&self, tag: u64) -> bool {
        let _ = tag;
        false
    }

    /// Gives the delivery back without anybody waiting. Called from `Drop`: must not block or panic.
    fn abandon(&self, tag: u64);
}

/// The right to settle one delivery. Dropping it leads to redelivery.
pub struct Acker {
    settle: Option<Arc<dyn Settle>>,
    tag: u64,
}

impl Acker {
    /// The right to settle the delivery `tag` with this subscription.
    #[must_use]
    pub fn new(settle: Arc<dyn Settle>, tag: u64) -> Self {
        Self {
            settle: Some(settle),
            tag,
        }
    }

    /// Whether the delivery has gone back already, and comes again: see [`Settle::is_lost`].
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let settle = self.settle.as_ref();
        settle.is_some_and(|settle| settle.is_lost(self.tag))
    }

    /// A way to answer whoever waits, ahead of the settlement; it is no right to settle.
    #[must_use]
    pub fn answerer(&self) -> Option<Answerer> {
        let settle = Arc::clone(self.settle.as_ref()?);
        Some(Answerer {
            settle,
            tag: self.tag,
        })
    }

    /// Settles the delivery.
    pub fn settle(mut self, how: Settlement) -> Completion {
        match mem::take(&mut self.settle) {
            Some(settle) => settle.settle(self.tag, how),
            None => Completion::ready(Ok(())),
        }
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle.abandon(self.tag);
        }
    }
}

/// Publishes an answer ahead of the settlement of one delivery. Travels with the call to whoever answers.
#[derive(Clone)]
pub struct Answerer {
    settle: Arc<dyn Settle>,
    tag: u64,
}

impl Answerer {
    /// See [`Settle::answer`].
    ///
    /// # Errors
    /// The answer itself, unpublished, if this transport has no such way.
    pub fn answer(&self, answer: Call) -> Result<Completion, Box<Call>> {
        self.settle.answer(self.tag, answer)
    }
}

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answerer")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Address, Call, Delivery, Envelope};

    #[derive(Default)]
    struct Book(Mutex<Vec<(u64, Option<Settlement>)>>);

    impl Settle for Book {
        fn settle(&self, tag: u64, how: Settlement) -> Completion {
            self.0.lock().unwrap().push((tag, Some(how)));
            Completion::ready(Ok(()))
        }

        fn abandon(&self, tag: u64) {
            self.0.lock().unwrap().push((tag, None));
        }
    }

    fn check(end: impl FnOnce(Acker), expected: Option<Settlement>) {
        let book = Arc::new(Book::default());
        end(Acker::new(Arc::clone(&book) as _, 7));
        assert_eq!(*book.0.lock().unwrap(), [(7, expected)]);
        assert_eq!(Arc::strong_count(&book), 1);
    }

    fn delivery(acker: Acker) -> Delivery {
        Delivery::new(Call::new(Address::queue("q"), Envelope::default()), acker)
    }

    #[test]
    fn settles_once_and_abandons_nothing_then() {
        for how in [
            Settlement::Ack,
            Settlement::Reject,
            Settlement::Nack {
                delay: Some(Duration::from_secs(1)),
            },
        ] {
            let expected = Some(how.clone());
            check(|acker| drop(acker.settle(how)), expected);
        }
        let ack = |acker| drop(delivery(acker).settle(Settlement::Ack));
        check(ack, Some(Settlement::Ack));
    }

    #[test]
    fn dropping_gives_the_message_back() {
        check(drop, None);
        check(|acker| drop(delivery(acker)), None);
        check(|acker| drop(delivery(acker).split()), None);
    }

    #[test]
    fn a_panic_gives_the_message_back() {
        let book = Arc::new(Book::default());
        let acker = Acker::new(Arc::clone(&book) as _, 7);
        let panicked = std::thread::spawn(move || {
            let _held = acker;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*book.0.lock().unwrap(), [(7, None)]);
    }
}
