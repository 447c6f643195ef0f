//! What a service under test did: every attempt, every dead letter.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use serde_json::Value;
use tidings_core::{
    Call, Error, Headers, Outcome, Reply,
    convention::{Attachment, Convention, Interest},
    error::Result,
    headers,
    retry_policy::RetryPolicy,
    topology::Topology,
};
use tower_layer::Layer;
use tower_service::Service;

use super::fields;

/// One attempt of a handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Handled {
    /// The queue that the message came out of.
    pub queue: String,
    /// The message's identity.
    pub id: String,
    /// The message's dotted name.
    pub name: String,
    /// The message's fields.
    pub fields: Value,
    /// Whether the broker may have delivered it before.
    pub redelivered: bool,
    /// How the attempt ended; an error is its whole chain.
    pub result: std::result::Result<(), String>,
    /// What a failed attempt asked for.
    pub outcome: Option<Outcome>,
}

/// A message that became a dead letter.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Why: `max_retries`, `fatal`, `undecodable`, …
    pub reason: String,
    /// The last error, its whole chain.
    pub error: String,
    /// How often it was tried.
    pub attempts: i64,
    /// The copy that was published.
    pub call: Call,
}

impl DeadLetter {
    /// Reads what a dead-lettered copy says of itself; `None` for any other call.
    pub(super) fn read(call: &Call) -> Option<Self> {
        let headers: &Headers = &call.envelope.headers;
        Some(Self {
            reason: headers.text(headers::REASON)?.to_owned(),
            error: headers.text(headers::ERROR).unwrap_or_default().to_owned(),
            attempts: headers.int(headers::ATTEMPTS).unwrap_or_default(),
            call: call.clone(),
        })
    }

    pub(super) fn is_of(&self, subscriber: &str) -> bool {
        self.call.envelope.headers.text(headers::SUBSCRIBER) == Some(subscriber)
    }
}

/// What has been handled so far.
#[derive(Debug)]
pub(super) struct Journal {
    convention: Arc<dyn Convention>,
    handled: Mutex<Vec<Handled>>,
}

impl Journal {
    pub(super) fn new(convention: Arc<dyn Convention>) -> Self {
        Self {
            convention,
            handled: Mutex::default(),
        }
    }

    /// The attempts at these queues.
    pub(super) fn at(&self, queues: &[Arc<str>]) -> Vec<Handled> {
        let handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        handled
            .iter()
            .filter(|attempt| queues.iter().any(|queue| **queue == attempt.queue))
            .cloned()
            .collect()
    }

    fn begin(&self, call: &Call) -> Handled {
        let opened = self.convention.open(call, &anywhere()).ok();
        let opened = opened.as_ref();
        Handled {
            queue: call.queue().to_owned(),
            id: opened
                .map(|opened| opened.id.clone().into_owned())
                .unwrap_or_default(),
            name: opened
                .map(|opened| opened.name.clone().into_owned())
                .unwrap_or_default(),
            fields: opened.map_or(Value::Null, |opened| fields(&opened.body)),
            redelivered: call.is_redelivered(),
            result: Ok(()),
            outcome: None,
        }
    }

    fn end(&self, mut attempt: Handled, result: &Result<Reply>) {
        if let Err(error) = result {
            attempt.result = Err(error.chain());
            attempt.outcome = Some(error.outcome());
        }
        self.handled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(attempt);
    }
}

/// An attachment to any queue: messages are read for what they say themselves.
pub(super) fn anywhere() -> Attachment {
    Attachment {
        subscriber: "test".into(),
        interest: Interest::Queue {
            name: "test".into(),
            kind: None,
        },
        queue: "test".into(),
        topology: Topology::new(),
        retry: RetryPolicy::default(),
    }
}

/// Writes every attempt into a journal.
#[derive(Clone, Debug)]
pub(super) struct JournalLayer(Arc<Journal>);

impl JournalLayer {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self(journal)
    }
}

impl<S> Layer<S> for JournalLayer {
    type Service = Journaled<S>;

    fn layer(&self, inner: S) -> Journaled<S> {
        Journaled {
            inner,
            journal: Arc::clone(&self.0),
        }
    }
}

/// A service whose attempts are written down.
#[derive(Clone, Debug)]
pub(super) struct Journaled<S> {
    inner: S,
    journal: Arc<Journal>,
}

impl<S> Service<Call> for Journaled<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (journal, attempt) = (Arc::clone(&self.journal), self.journal.begin(&call));
        let handling = self.inner.call(call);
        Box::pin(async move {
            let result = handling.await;
            journal.end(attempt, &result);
            result
        })
    }
}
