//! Whose turn it is in this process: whoever asks first for a key is first to ask the database for it.
//!
//! So a process asks with one voice for each key, however many wait, and a key that nobody waits for or holds has no
//! entry.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The keys that somebody in this process waits for or holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<Arc<str>, Entry>>>);

#[derive(Debug)]
struct Entry {
    users: usize,
    line: Arc<Semaphore>,
    freed: Arc<Notify>,
}

impl Turns {
    /// Stands in the line of a key.
    pub(crate) fn enter(&self, key: &str) -> Place {
        let mut entries = self.entries();
        let (key, line, freed) = match entries.get_key_value(key) {
            Some((key, entry)) => (
                Arc::clone(key),
                Arc::clone(&entry.line),
                Arc::clone(&entry.freed),
            ),
            None => (key.into(), Arc::new(Semaphore::new(1)), Arc::default()),
        };
        let entry = entries.entry(Arc::clone(&key)).or_insert_with(|| Entry {
            users: 0,
            line: Arc::clone(&line),
            freed: Arc::clone(&freed),
        });
        entry.users += 1;
        Place {
            turns: self.clone(),
            key,
            line,
            freed,
        }
    }

    /// Somewhere else this key was given back: whoever waits may ask again.
    pub(crate) fn wake(&self, key: &str) {
        if let Some(entry) = self.entries().get(key) {
            // Those who wait now, and the one who is about to.
            entry.freed.notify_waiters();
            entry.freed.notify_one();
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line of a key.
pub(crate) struct Place {
    turns: Turns,
    key: Arc<str>,
    line: Arc<Semaphore>,
    freed: Arc<Notify>,
}

impl Place {
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Waits until everybody before has had their turn.
    ///
    /// # Cancel safety
    /// Yes: whoever goes leaves the line.
    pub(crate) async fn turn(self) -> Turn {
        // Nobody closes a line: without a permit it would be our turn all the same.
        let permit = Arc::clone(&self.line).acquire_owned().await.ok();
        Turn {
            _permit: permit,
            place: self,
        }
    }

    /// Waits this long, or until the key was given back somewhere.
    ///
    /// # Cancel safety
    /// Yes: at worst whoever asks next does so later.
    pub(crate) async fn pause(&self, at_most: Duration) {
        // Either is fine.
        drop(tokio::time::timeout(at_most, self.freed.notified()).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.turns.entries();
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                entries.remove(&self.key);
            }
        }
    }
}

/// The turn to ask for a key, and to hold it. Dropping it lets the next one ask.
pub(crate) struct Turn {
    // Declared first, so that the next one is let in before the entry may go.
    _permit: Option<OwnedSemaphorePermit>,
    place: Place,
}

impl Turn {
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.place.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::future::FutureExt;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_asking_and_keys_do_not_wait_for_each_other() {
        let turns = Turns::default();
        let first = turns.enter("a").turn().await;
        let mut second = Box::pin(turns.enter("a").turn());
        let mut third = Box::pin(turns.enter("a").turn());
        let never = CancellationToken::new();
        never.cancel();
        assert!(
            (&mut second)
                .with_cancellation_token(&never)
                .await
                .is_none()
        );
        assert!((&mut third).with_cancellation_token(&never).await.is_none());
        drop(turns.enter("b").turn().await);
        drop(first);
        assert!((&mut third).with_cancellation_token(&never).await.is_none());
        drop(second);
        third.await;
        assert!(turns.entries().is_empty(), "nobody is left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_given_back_elsewhere_ends_the_pause() {
        let turns = Turns::default();
        let (a, b) = (turns.enter("a"), turns.enter("b"));
        let long = Duration::from_secs(60);
        let started = tokio::time::Instant::now();
        turns.wake("a");
        turns.wake("nobody waits for this");
        a.pause(long).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        b.pause(long).await;
        assert!(started.elapsed() >= long);
    }
}
