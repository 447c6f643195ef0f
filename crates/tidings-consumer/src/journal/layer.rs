//! Wraps a service in [`JournalService`].

use std::sync::Arc;

use tower_layer::Layer;

use super::{queue::Queue, service::JournalService, source::Source};

/// Records every request and its answer.
#[derive(Clone, Debug)]
pub struct JournalLayer {
    to: Option<(Arc<Queue>, Arc<Source>)>,
}

impl JournalLayer {
    /// Records nothing: for programs without a log server.
    #[must_use]
    pub const fn off() -> Self {
        Self { to: None }
    }

    pub(super) fn new(queue: Arc<Queue>, source: Arc<Source>) -> Self {
        Self {
            to: Some((queue, source)),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        let to = if self.to.is_some() {
            "requests and answers, to the log server"
        } else {
            "off"
        };
        format!("journal: {to}")
    }
}

impl<S> Layer<S> for JournalLayer {
    type Service = JournalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        JournalService::new(inner, self.to.clone())
    }
}
