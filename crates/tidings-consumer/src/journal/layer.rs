//! Wraps a service in [`JournalService`].

use std::sync::Arc;

use tower_layer::Layer;

use super::{queue::Queue, service::JournalService, source::Source};

/// Records every request and its answer.
#[derive(Clone, Debug)]
pub struct JournalLayer {
    queue: Arc<Queue>,
    source: Arc<Source>,
}

impl JournalLayer {
    pub(super) fn new(queue: Arc<Queue>, source: Arc<Source>) -> Self {
        Self { queue, source }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        "journal: requests and answers, to the log server".to_owned()
    }
}

impl<S> Layer<S> for JournalLayer {
    type Service = JournalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        JournalService::new(inner, Arc::clone(&self.queue), Arc::clone(&self.source))
    }
}
