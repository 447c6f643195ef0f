//! What writing a message needs and need not be made anew: what the messages of a kind have in common, and paper.
//!
//! One lock for both, held for a look and never while a message is written: what its fields do when they are
//! serialized is not ours to know.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use tidings_core::{convention::Outgoing, error::Result};

use crate::{message::Head, names::Names};

/// How many names are remembered, and how many versions of each. A service publishes few kinds of messages; one
/// that republishes what strangers name must not grow without bound.
const REMEMBERED: (usize, usize) = (1_024, 16);

/// The largest buffer that is kept: one huge message must not cost its size for ever.
const LARGEST: usize = 64 * 1_024;

/// Room for a usual message.
const USUAL: usize = 512;

#[derive(Default)]
pub(crate) struct Desk(Mutex<Things>);

#[derive(Default)]
struct Things {
    heads: HashMap<String, Vec<Arc<Head>>, RandomState>,
    paper: Vec<u8>,
}

impl Desk {
    /// What this message has in common with others, and an empty buffer to write it to.
    pub(crate) fn prepare(
        &self,
        names: &Names,
        message: &Outgoing<'_>,
    ) -> Result<(Arc<Head>, Vec<u8>)> {
        let mut things = self.things();
        let head = things.head(names, message)?;
        let mut paper = std::mem::take(&mut things.paper);
        drop(things);
        paper.clear();
        paper.reserve(USUAL);
        Ok((head, paper))
    }

    /// Takes back the buffer for the next message.
    pub(crate) fn put_back(&self, paper: Vec<u8>) {
        if paper.capacity() <= LARGEST {
            self.things().paper = paper;
        }
    }

    /// A panic while the lock is held can only lose something that is made again.
    fn things(&self) -> MutexGuard<'_, Things> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Things {
    fn head(&mut self, names: &Names, message: &Outgoing<'_>) -> Result<Arc<Head>> {
        let known = self
            .heads
            .get(message.name)
            .and_then(|of_name| of_name.iter().find(|head| head.is_of(message)));
        if let Some(head) = known {
            return Ok(Arc::clone(head));
        }
        let head = Arc::new(Head::new(names, message)?);
        let (most_names, most_versions) = REMEMBERED;
        if self.heads.len() < most_names || self.heads.contains_key(message.name) {
            let of_name = self.heads.entry(message.name.to_owned()).or_default();
            if of_name.len() < most_versions {
                of_name.push(Arc::clone(&head));
            }
        }
        Ok(head)
    }
}
