//! One lapin connection, from its handshake to its end.

use std::{
    fmt,
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{Channel, Connection, ErrorKind};
use tidings_core::Result;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::dial::Dialled;
use crate::error;

/// One life of a connection. Cloning it gives another handle.
#[derive(Clone)]
pub(crate) struct Generation(Arc<Inner>);

struct Inner {
    number: u64,
    connection: Connection,
    socket: Option<TcpStream>,
    over: CancellationToken,
    why: Mutex<Option<String>>,
    /// Whether numbers of channels are lost to it.
    spent: AtomicBool,
    /// Why the broker refuses to read from us, while it does, and since when.
    blocked: watch::Sender<Option<Blocked>>,
    alarm: Alarm,
}

/// What the connections of a transport tell one another: how many of them the broker blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm(Arc<AtomicUsize>);

/// A broker that is short of memory or disk and does not read from this connection.
#[derive(Clone, Debug)]
struct Blocked {
    why: String,
    since: Instant,
}

impl Generation {
    pub(super) fn new(number: u64, dialled: Dialled, alarm: Alarm) -> Self {
        Self(Arc::new(Inner {
            number,
            connection: dialled.connection,
            socket: dialled.socket,
            over: CancellationToken::new(),
            why: Mutex::new(None),
            spent: AtomicBool::new(false),
            blocked: watch::Sender::new(None),
            alarm,
        }))
    }

    /// Counts up with each reconnect of one supervised connection.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// A new channel.
    ///
    /// # Errors
    /// What the broker or lapin says, mapped; a dead connection ends the generation.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        loop {
            let error = match self.0.connection.create_channel().await {
                Ok(channel) => return Ok(channel),
                Err(error) => error,
            };
            let is_connected = self.0.connection.status().connected();
            if error::code(&error).is_some() && is_connected {
                // lapin keeps the error of a channel that the broker closed for whoever gets its number next, and
                // the number with it. The next number may be a better one.
                self.0.spent.store(true, Ordering::Relaxed);
                continue;
            }
            let is_full = matches!(error.kind(), ErrorKind::ChannelsLimitReached);
            if is_full && self.0.spent.load(Ordering::Relaxed) {
                self.end("the broker has closed too many of its channels");
                return Err(error::used_up());
            }
            self.suspect(&error);
            return Err(error::of_connection(&error));
        }
    }

    /// How many channels may be used for a short while: most of them are for subscriptions.
    pub(crate) fn spare_channels(&self) -> usize {
        let most = self.0.connection.configuration().channel_max();
        usize::from(most / 8).max(1)
    }

    /// Tells of an error that somebody met on a channel of it: ends the generation if the connection is dead.
    pub(crate) fn suspect(&self, error: &lapin::Error) {
        if !self.0.connection.status().connected() {
            self.end(error::said(error));
        }
    }

    /// Ends it; the supervisor makes the next one. The first reason stays.
    pub(crate) fn end(&self, why: impl Into<String>) {
        let mut reason = self.0.why.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert_with(|| why.into());
        drop(reason);
        self.0.over.cancel();
    }

    /// Resolves when it has ended.
    ///
    /// # Cancel safety
    /// Yes: it only looks at a flag.
    pub(crate) async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Why it ended.
    pub(crate) fn why(&self) -> String {
        let why = self.0.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone().unwrap_or_else(|| "it was closed".to_owned())
    }

    /// Why the broker has stopped reading from this connection, while it has.
    pub(crate) fn blocked(&self) -> Option<String> {
        let blocked = self.0.blocked.borrow();
        blocked.as_ref().map(|blocked| blocked.why.clone())
    }

    /// For how long it has.
    pub(crate) fn blocked_for(&self) -> Option<Duration> {
        let blocked = self.0.blocked.borrow();
        blocked.as_ref().map(|blocked| blocked.since.elapsed())
    }

    /// Whether the broker blocks this connection, or another of the transport. One that it does not block is blocked as soon
    /// as something is published on it (measured with 3.10): acks are still read until then.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.0.alarm.0.load(Ordering::Relaxed) > 0
    }

    /// Resolves with the reason once the broker stops reading from this connection; at once if it has.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn blocking(&self) -> String {
        let mut blocked = self.0.blocked.subscribe();
        // The sender lives in `self`.
        let _still_here = blocked.wait_for(Option::is_some).await.is_ok();
        self.blocked().unwrap_or_default()
    }

    /// Resolves once the broker reads from this connection; at once if it does.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub(crate) async fn unblocked(&self) {
        let mut blocked = self.0.blocked.subscribe();
        // The sender lives in `self`.
        let _still_here = blocked.wait_for(Option::is_none).await.is_ok();
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// Ends its socket, whatever has become of the goodbye: what was delivered on it goes back to its queues.
    pub(super) fn cut(&self) {
        if let Some(socket) = &self.0.socket {
            // One that is not connected any more needs no end.
            let _ended = socket.shutdown(Shutdown::Both).is_ok();
        }
    }

    /// Notes that the broker does not read, and why, or that it does. Returns whether that is news.
    pub(super) fn block(&self, why: Option<String>) -> bool {
        let since = Instant::now();
        let blocked = why.map(|why| Blocked { why, since });
        let Inner {
            blocked: known,
            alarm,
            ..
        } = &*self.0;
        known.send_if_modified(|known| {
            if known.is_some() == blocked.is_some() {
                return false;
            }
            match blocked {
                Some(_) => alarm.0.fetch_add(1, Ordering::Relaxed),
                None => alarm.0.fetch_sub(1, Ordering::Relaxed),
            };
            *known = blocked;
            true
        })
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.0.number)
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}
