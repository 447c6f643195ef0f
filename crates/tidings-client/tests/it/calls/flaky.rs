//! A transport that fails on command: it refuses to open an inbox, and ends the ones that it has opened.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tidings_core::{
    Call, Completion, Deadline, Delivery, Error, ErrorKind,
    error::Result,
    topology::{Exchange, Topology},
    transport::{
        BoxFuture, Capabilities, Inbox, Publisher, QueueStatus, Subscriber, Subscription, Transport,
    },
};
use tidings_embedded::Embedded;
use tokio::sync::watch;

/// The embedded broker, with inboxes that end on command.
#[derive(Debug)]
pub(super) struct Flaky {
    inner: Embedded,
    /// What is said to whoever wants an inbox.
    refusal: Mutex<Option<ErrorKind>>,
    cut: watch::Sender<u64>,
    closed: watch::Sender<u64>,
    /// How many of the next inboxes are open no longer than nobody publishes.
    pub(super) stillborn: AtomicUsize,
    pub(super) opened: AtomicUsize,
    pub(super) routed: AtomicUsize,
}

impl Flaky {
    pub(super) fn new(inner: Embedded) -> Arc<Self> {
        Arc::new(Self {
            inner,
            refusal: Mutex::default(),
            cut: watch::Sender::new(0),
            closed: watch::Sender::new(0),
            stillborn: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            routed: AtomicUsize::new(0),
        })
    }

    /// Ends every inbox that is open.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }

    /// Closes the way out of every inbox that is open, and leaves the way in.
    pub(super) fn close_publishers(&self) {
        self.closed.send_modify(|closed| *closed += 1);
    }

    /// How many inboxes are being read.
    pub(super) fn read(&self) -> usize {
        self.cut.receiver_count()
    }

    /// What becomes of the next inboxes.
    pub(super) fn refuse(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.refusal.lock().unwrap() = kind.into();
    }

    fn refused(&self) -> Result<()> {
        match *self.refusal.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "refused on purpose")),
            None => Ok(()),
        }
    }
}

impl Transport for Flaky {
    fn scheme(&self) -> &'static str {
        "flaky"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.declare(topology)
    }

    fn delete<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.delete(topology)
    }

    fn publisher(&self) -> BoxFuture<'_, Result<Arc<dyn Publisher>>> {
        self.inner.publisher()
    }

    fn subscribe(&self, to: Subscription) -> BoxFuture<'_, Result<Box<dyn Subscriber>>> {
        self.inner.subscribe(to)
    }

    fn reply_queue(&self) -> BoxFuture<'_, Result<Inbox>> {
        Box::pin(async {
            self.refused()?;
            self.opened.fetch_add(1, Ordering::SeqCst);
            let inbox = self.inner.reply_queue().await?;
            let mut cut = self.cut.subscribe();
            let until = Box::pin(async move {
                drop(cut.changed().await);
            });
            let replies = Box::new(Cuttable {
                inner: Some(inbox.replies),
                until,
            });
            let lives = |left: usize| left.checked_sub(1);
            let stillborn = &self.stillborn;
            let is_stillborn = stillborn.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lives);
            let age = *self.closed.borrow();
            let publisher = Arc::new(Closable {
                inner: inbox.publisher,
                age: is_stillborn.map_or(age, |_| u64::MAX),
                closed: self.closed.subscribe(),
            });
            Ok(Inbox {
                replies,
                publisher,
                ..inbox
            })
        })
    }

    fn route_replies<'a>(
        &'a self,
        inbox: &'a Arc<str>,
        exchange: &'a Exchange,
    ) -> BoxFuture<'a, Result<()>> {
        self.routed.fetch_add(1, Ordering::SeqCst);
        self.inner.route_replies(inbox, exchange)
    }

    fn queues<'a>(&'a self, named: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<QueueStatus>>> {
        self.inner.queues(named)
    }

    fn close(&self, deadline: Deadline) -> BoxFuture<'_, Result<()>> {
        self.inner.close(deadline)
    }
}

/// Yields an error and then nothing once it was cut, as inboxes do.
struct Cuttable {
    inner: Option<Box<dyn Subscriber>>,
    until: BoxFuture<'static, ()>,
}

impl Subscriber for Cuttable {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        if self.until.as_mut().poll(cx).is_ready() {
            self.inner = None;
            let error = Error::new(ErrorKind::Unavailable, "cut on purpose");
            return Poll::Ready(Some(Err(error)));
        }
        inner.poll_next(cx)
    }
}

/// Refuses everything once it was closed.
#[derive(Debug)]
struct Closable {
    inner: Arc<dyn Publisher>,
    age: u64,
    closed: watch::Receiver<u64>,
}

impl Publisher for Closable {
    fn publish(&self, call: Call) -> Completion {
        if *self.closed.borrow() == self.age {
            return self.inner.publish(call);
        }
        Completion::ready(Err(Error::new(ErrorKind::Closed, "closed on purpose")))
    }
}
