//! Answers remembered in the memory of one process: for services of one process, and for tests.
//!
//! It is bounded by how many answers there are and by their bytes; the oldest make room for new ones. It
//! deliberately survives nothing: a request that comes again after a restart is handled again.

use std::{
    collections::{HashMap, VecDeque},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Claim, Claimed, Keep, ReplyStore};
use crate::{
    Payload,
    error::{Error, ErrorKind, Result},
    transport::BoxFuture,
};

/// How many answers, and how many bytes of them, unless it is said.
const ANSWERS: usize = 10_000;
const BYTES: usize = 64 * 1024 * 1024;

/// A [`ReplyStore`] in memory. Cloning it gives another handle on the same answers.
///
/// ```
/// use std::time::Duration;
/// use tidings_core::{Payload, reply_store::{Claim, MemoryReplies, ReplyStore}};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> tidings_core::Result<()> {
/// let store = MemoryReplies::new();
/// let Claim::Fresh(claimed) = store.claim("create_site 1").await? else {
///     panic!("nobody has asked before");
/// };
/// claimed.keep(Some(Payload::json("{}")), Duration::from_secs(600)).await?;
/// assert!(matches!(store.claim("create_site 1").await?, Claim::Known(Some(_))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemoryReplies {
    answers: usize,
    bytes: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    requests: HashMap<Arc<str>, Request>,
    /// Kept answers in the order in which they came; an entry whose number is not that of its request is stale.
    order: VecDeque<(Arc<str>, u64)>,
    /// How many bytes the kept answers have.
    bytes: usize,
    number: u64,
}

struct Request {
    number: u64,
    stage: Stage,
}

enum Stage {
    /// Somebody is handling it; the token tells when that has ended.
    Claimed(CancellationToken),
    Kept {
        reply: Option<Payload>,
        until: Instant,
    },
}

impl MemoryReplies {
    /// Up to ten thousand answers of 64 MiB together.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(ANSWERS, BYTES)
    }

    /// Up to so many answers, and so many bytes together.
    #[must_use]
    pub fn bounded(answers: usize, bytes: usize) -> Self {
        Self {
            answers,
            bytes,
            state: Arc::default(),
        }
    }

    /// How many answers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().order.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, key: &str) -> Claim {
        let mut state = self.state();
        state.forget_old(self.answers, self.bytes);
        match state.requests.get(key).map(|request| &request.stage) {
            Some(Stage::Claimed(ended)) => Claim::Taken(Box::pin(ended.clone().cancelled_owned())),
            Some(Stage::Kept { reply, until }) if *until > Instant::now() => {
                Claim::Known(reply.clone())
            }
            Some(Stage::Kept { .. }) | None => Claim::Fresh(self.begin(&mut state, key)),
        }
    }

    fn begin(&self, state: &mut State, key: &str) -> Claimed {
        let key: Arc<str> = key.into();
        state.forget(&key);
        state.number += 1;
        let request = Request {
            number: state.number,
            stage: Stage::Claimed(CancellationToken::new()),
        };
        let number = request.number;
        state.requests.insert(Arc::clone(&key), request);
        Claimed::new(Box::new(InMemory {
            store: self.clone(),
            key,
            number,
        }))
    }
}

impl Default for MemoryReplies {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyStore for MemoryReplies {
    fn claim<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Claim>> {
        Box::pin(async move { Ok(self.ask(key)) })
    }
}

impl State {
    /// Makes room: what has expired goes, and the oldest while there are too many.
    fn forget_old(&mut self, answers: usize, bytes: usize) {
        while let Some((key, number)) = self.order.front() {
            let request = self.requests.get(key).filter(|it| it.number == *number);
            let is_over = match request.map(|request| &request.stage) {
                Some(Stage::Kept { until, .. }) => *until <= Instant::now(),
                Some(Stage::Claimed(_)) | None => true,
            };
            if !is_over && self.order.len() <= answers && self.bytes <= bytes {
                return;
            }
            let key = Arc::clone(key);
            if request.is_some() {
                self.forget(&key);
            }
            self.order.pop_front();
        }
    }

    fn forget(&mut self, key: &str) {
        let Some(request) = self.requests.remove(key) else {
            return;
        };
        match request.stage {
            Stage::Claimed(ended) => ended.cancel(),
            Stage::Kept { reply, .. } => self.bytes -= size(reply.as_ref()),
        }
    }

    /// The claim with this number, which only its holder ends.
    fn claimed(&mut self, key: &str, number: u64) -> Option<&mut Request> {
        let request = self.requests.get_mut(key)?;
        (request.number == number).then_some(request)
    }
}

fn size(reply: Option<&Payload>) -> usize {
    reply.map_or(0, Payload::len)
}

/// A claim in memory.
struct InMemory {
    store: MemoryReplies,
    key: Arc<str>,
    number: u64,
}

impl InMemory {
    fn keep_now(&self, reply: Option<Payload>, how_long: Duration) -> Result<()> {
        let mut state = self.store.state();
        let size = size(reply.as_ref());
        if size > self.store.bytes {
            state.forget(&self.key);
            let context = format!(
                "a reply of {size} bytes is not remembered: the store in memory holds {} bytes",
                self.store.bytes
            );
            return Err(Error::new(ErrorKind::Full, context));
        }
        let Some(until) = Instant::now().checked_add(how_long) else {
            state.forget(&self.key);
            let context = format!("a reply cannot be remembered for {how_long:?}");
            return Err(Error::new(ErrorKind::Misuse, context));
        };
        if let Some(request) = state.claimed(&self.key, self.number) {
            let kept = Stage::Kept { reply, until };
            if let Stage::Claimed(ended) = mem::replace(&mut request.stage, kept) {
                ended.cancel();
            }
            state.bytes += size;
            state.order.push_back((Arc::clone(&self.key), self.number));
            state.forget_old(self.store.answers, self.store.bytes);
        }
        Ok(())
    }
}

impl Keep for InMemory {
    fn keep(
        self: Box<Self>,
        reply: Option<Payload>,
        how_long: Duration,
    ) -> BoxFuture<'static, Result<()>> {
        let kept = self.keep_now(reply, how_long);
        Box::pin(std::future::ready(kept))
    }

    fn release(self: Box<Self>) {
        let mut state = self.store.state();
        if state.claimed(&self.key, self.number).is_some() {
            state.forget(&self.key);
        }
    }
}

impl fmt::Debug for MemoryReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplies")
            .field("answers", &self.answers)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn keep(store: &MemoryReplies, key: &str, reply: &'static str, how_long: Duration) {
        let Claim::Fresh(claimed) = store.claim(key).await.unwrap() else {
            panic!("`{key}` is known");
        };
        let reply = Some(Payload::new(reply));
        claimed.keep(reply, how_long).await.unwrap();
    }

    async fn is_known(store: &MemoryReplies, key: &str) -> bool {
        matches!(store.claim(key).await.unwrap(), Claim::Known(_))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_expires() {
        let store = MemoryReplies::new();
        keep(&store, "a", "1", LONG).await;
        tokio::time::advance(LONG - Duration::from_millis(1)).await;
        assert!(is_known(&store, "a").await);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_known(&store, "a").await);
        assert!(store.is_empty() && store.state().bytes == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_make_room() {
        let store = MemoryReplies::bounded(2, 10);
        for key in ["a", "b", "c"] {
            keep(&store, key, "1", LONG).await;
        }
        assert!(!is_known(&store, "a").await && is_known(&store, "b").await);
        keep(&store, "d", "123456789", LONG).await;
        assert!(!is_known(&store, "b").await && is_known(&store, "c").await);
        assert_eq!((store.len(), store.state().bytes), (2, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_is_too_large_is_not_kept_and_the_request_is_free_again() {
        let store = MemoryReplies::bounded(2, 3);
        let Claim::Fresh(claimed) = store.claim("a").await.unwrap() else {
            panic!("nobody has asked before");
        };
        let refused = claimed.keep(Some(Payload::new("1234")), LONG).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        assert!(matches!(store.claim("a").await.unwrap(), Claim::Fresh(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_leave_no_more_than_its_bounds() {
        let store = MemoryReplies::bounded(100, BYTES);
        for number in 0..100_000 {
            let key = format!("key {number}");
            let Claim::Fresh(claimed) = store.ask(&key) else {
                panic!("{key} is new");
            };
            if number % 2 == 0 {
                claimed.keep(None, LONG).await.unwrap();
            }
        }
        let state = store.state();
        assert_eq!((state.requests.len(), state.order.len()), (100, 100));
    }
}
