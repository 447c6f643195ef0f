//! Wraps a service in [`Answer`].

use std::{fmt, sync::Arc};

use tidings_core::{convention::Convention, transport::Publisher};
use tower_layer::Layer;

use super::{
    recent::Recent,
    service::{Answer, Out},
};

/// Publishes answers as a convention says, or does nothing where nobody waits for any.
#[derive(Clone)]
pub struct AnswerLayer {
    out: Option<Arc<Out>>,
}

impl AnswerLayer {
    /// For the deliveries of this queue. Costs nothing under a convention that never answers.
    #[must_use]
    pub fn new(
        queue: Arc<str>,
        convention: &Arc<dyn Convention>,
        publisher: &Arc<dyn Publisher>,
    ) -> Self {
        let out = || Out {
            queue,
            convention: Arc::clone(convention),
            publisher: Arc::clone(publisher),
            recent: Recent::default(),
        };
        Self {
            out: convention.answers().then(|| Arc::new(out())),
        }
    }

    /// One line for the list of layers.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = match self.out {
            Some(_) => "whoever waits is answered before the request is acked",
            None => "nobody waits for an answer",
        };
        format!("answer: {what}")
    }
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Answer::new(inner, self.out.clone())
    }
}

impl fmt::Debug for AnswerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerLayer")
            .field("answers", &self.out.is_some())
            .finish()
    }
}
