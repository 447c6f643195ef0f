//! Calls, files and a spool in memory that the tests share.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tidings_client::fallback::Spool;
use tidings_core::{
    Address, Call, Completion, Envelope, Error, ErrorKind,
    error::Result,
    transport::{BoxFuture, Publisher},
};

/// A call that is told from others by its key.
pub(crate) fn call(key: impl Into<Arc<str>>) -> Call {
    Call::new(Address::new("acme", key), Envelope::new("{}"))
}

/// `m0`, `m1`, …
pub(crate) fn keys(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|index| format!("m{index}")).collect()
}

/// A path of its own for a test, with nothing there.
pub(crate) fn path(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.spool"));
    fs::remove_file(&path).ok();
    path
}

/// A spool that keeps calls in memory, refuses if told to, and counts replays.
#[derive(Debug, Default)]
pub(crate) struct MemorySpool {
    kept: Mutex<Vec<Call>>,
    refusal: Option<ErrorKind>,
    replays: AtomicUsize,
}

impl MemorySpool {
    pub(crate) fn refusing(kind: ErrorKind) -> Self {
        Self {
            refusal: Some(kind),
            ..Self::default()
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        kept.iter()
            .map(|call| call.address.key.to_string())
            .collect()
    }

    pub(crate) fn replays(&self) -> usize {
        self.replays.load(Ordering::Relaxed)
    }
}

impl Spool for MemorySpool {
    fn store(&self, call: Call) -> Completion {
        Completion::ready(match self.refusal {
            Some(kind) => Err(Error::new(kind, "the spool has no room")),
            None => {
                self.kept.lock().unwrap().push(call);
                Ok(())
            }
        })
    }

    fn replay<'a>(&'a self, to: &'a dyn Publisher) -> BoxFuture<'a, Result<u64>> {
        self.replays.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut replayed = 0;
            loop {
                let first = self.kept.lock().unwrap().first().cloned();
                let Some(first) = first else {
                    return Ok(replayed);
                };
                to.publish(first).await?;
                self.kept.lock().unwrap().remove(0);
                replayed += 1;
            }
        })
    }

    fn kept(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async { Ok(self.kept.lock().unwrap().len() as u64) })
    }
}
