//! Publishing: every publish is kept until the broker has confirmed it, and published again when a connection dies first.
//!
//! [`Publishing`] is a handle; `engine` is the task behind it. A publish travels from the handle through a queue into the
//! task (`job`), onto a channel (`flight`, `window`), and its answer back. `refusal` finds out whose fault it was when the
//! broker closes the channel, and `quarantine` keeps exchanges apart that it has refused.
//!
//! # Guarantees
//! Publishes of one task are sent in the order of the calls, and sent again in that order after a reconnect. Only those to an
//! exchange that the broker has refused wait aside until it takes one, and may be overtaken by those to other exchanges.

mod amqp;
mod engine;
#[cfg(test)]
mod fake;
mod flight;
mod job;
mod line;
mod quarantine;
mod readers;
mod refusal;
#[cfg(test)]
mod tests;
mod window;

use std::{fmt, sync::Arc, time::Duration};

use lapin::Channel;
use tidings_core::{Call, Completion, Deadline, Error, Result};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::refusal::{impossible, is_direct_reply};
use self::{
    amqp::{Given, Outbound},
    engine::Engine,
    job::{Handed, Shared},
    line::Source,
    readers::{Found, Readers, Way},
};
use crate::{
    config::RabbitMqConfig,
    connection::{Generation, Reactor, Supervised},
    error,
};

/// How many publishes may wait for their answer at a time.
const LIMIT: usize = 65_536;

/// The longest time that a publish may wait, whatever is asked for: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is said if the task ends without an answer, which only happens when its thread is gone.
const LOST: &str = "the RabbitMQ transport ended before it knew whether the publish arrived: open it again, then publish again if that does no harm";

/// How long everything may take. Tests shorten it.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// How long a publish may wait for its answer.
    confirm: Duration,
    /// How long the broker may confirm nothing while something is on its way.
    watchdog: Duration,
    /// How much longer for each mebibyte that is on its way.
    per_mebibyte: Duration,
    /// How long after the death of a channel answers are waited for that were given before.
    grace: Duration,
    /// The pause between two publishes to an exchange that the broker has refused.
    pause: Duration,
    /// How often the task looks at the clock while something waits.
    tick: Duration,
}

impl Times {
    fn new(confirm: Duration) -> Self {
        Self {
            // Nobody waits for longer, and no clock overflows.
            confirm: confirm.min(LONGEST),
            watchdog: Duration::from_secs(10),
            per_mebibyte: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            pause: Duration::from_millis(50),
            tick: Duration::from_secs(1),
        }
    }
}

/// A handle on the publish task. The task ends when the last one is dropped and everything handed over is answered.
#[derive(Clone)]
pub(crate) struct Publishing {
    handed: mpsc::UnboundedSender<Handed>,
    shared: Arc<Shared>,
    limit: usize,
    watchdog: Duration,
    /// How long a publish may wait for its answer.
    patience: Duration,
    ended: fn() -> Error,
    /// Where direct replies may go; `None` where none are sent.
    readers: Option<Arc<Readers>>,
}

impl Publishing {
    /// Publishes over a supervised connection, for as long as that is kept up.
    pub(crate) fn start(
        connection: Supervised,
        config: &Arc<RabbitMqConfig>,
        reactor: &Arc<Reactor>,
    ) -> Self {
        let source = Outbound(connection);
        let publishing = Self::over_source(source, config, reactor, error::closed);
        let (config, shared) = (Arc::clone(config), Arc::clone(&publishing.shared));
        let readers = Readers::new(config, reactor, shared);
        Self {
            readers: Some(Arc::new(readers)),
            ..publishing
        }
    }

    /// Publishes over one channel, which somebody consumes on. Nothing is published again on another: when the channel is
    /// gone, what is on its way fails with `Unconfirmed`, and everything later with `Closed`.
    ///
    /// # Errors
    /// If the channel is dead already.
    pub(crate) async fn over(
        channel: Channel,
        generation: Generation,
        config: &RabbitMqConfig,
        reactor: &Reactor,
    ) -> Result<Self> {
        let source = Given::prepare(channel, generation).await?;
        Ok(Self::over_source(
            source,
            config,
            reactor,
            amqp::inbox_ended,
        ))
    }

    fn over_source(
        source: impl Source,
        config: &RabbitMqConfig,
        reactor: &Reactor,
        ended: fn() -> Error,
    ) -> Self {
        let times = Times::new(config.confirm_timeout);
        let (publishing, engine) = Self::prepare(source, times, config.window, LIMIT, ended);
        reactor.spawn("RabbitMQ publishing", engine);
        publishing
    }

    /// The handle, and the task to be run.
    fn prepare<S: Source>(
        source: S,
        times: Times,
        window: usize,
        limit: usize,
        ended: fn() -> Error,
    ) -> (Self, impl Future<Output = ()> + Send + use<S>) {
        let (handed, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new());
        let publishing = Self {
            handed,
            shared: Arc::clone(&shared),
            limit,
            watchdog: times.watchdog,
            patience: times.confirm,
            ended,
            readers: None,
        };
        let task = async move {
            Engine::new(source, received, shared, times, window)
                .run()
                .await;
        };
        (publishing, task)
    }

    /// Hands a call over. The completion knows what became of it.
    pub(crate) fn publish(&self, call: Call) -> Completion {
        let handed = match &self.readers {
            Some(readers) if is_direct_reply(&call.address) => self.reply_to(call, readers),
            _ => self.hand_over(call),
        };
        match handed {
            Ok(answer) => Completion::waiting(answer, LOST),
            Err(error) => Completion::ready(Err(error)),
        }
    }

    fn hand_over(&self, call: Call) -> Result<oneshot::Receiver<Result<()>>> {
        let (handed, answered) = self.enter(call)?;
        if self.pass(handed).is_err() {
            self.shared.leave();
            return Err(self.lost());
        }
        Ok(answered)
    }

    /// Hands a direct reply over, if need be after its address was tried.
    fn reply_to(
        &self,
        call: Call,
        readers: &Arc<Readers>,
    ) -> Result<oneshot::Receiver<Result<()>>> {
        match readers.way(&call.address) {
            Way::Safe => return self.hand_over(call),
            Way::Impossible => return Err(refusal::no_such_reader(&call.address)),
            Way::Unknown => {}
        }
        let (handed, answered) = self.enter(call)?;
        let (this, tried, patience) = (self.clone(), Arc::clone(readers), self.patience);
        let trial = async move {
            let address = &handed.message.address;
            let found = tried.try_out(address, patience).await;
            let (handed, result) = match found {
                Ok(Found::Somebody) => match this.pass(handed) {
                    Ok(()) => return,
                    Err(handed) => (handed, Err(this.lost())),
                },
                Ok(Found::Nobody) => (handed, Ok(())),
                Err(error) => (handed, Err(error)),
            };
            this.shared.leave();
            // Nobody has to wait for it.
            let _heard = handed.answer.send(result).is_ok();
        };
        if readers.spawn(trial) {
            return Ok(answered);
        }
        self.shared.leave();
        Err((self.ended)())
    }

    /// Counts a call as pending, unless it cannot be sent or too many are.
    fn enter(&self, call: Call) -> Result<(Handed, oneshot::Receiver<Result<()>>)> {
        if let Some(error) = impossible(&call) {
            return Err(error);
        }
        // There are no more patient ones than deliveries at work, which are limited elsewhere; if publishes of others kept
        // them out, those deliveries would be handled again.
        let limit = if call.patient { usize::MAX } else { self.limit };
        if !self.shared.enter(limit) {
            return Err(refusal::crowded(self.limit));
        }
        if self.shared.is_closing() {
            self.shared.leave();
            return Err(self.lost());
        }
        let (answer, answered) = oneshot::channel();
        let mandatory = call.mandatory && !is_direct_reply(&call.address);
        let is_patient = call.patient;
        let message = call.into_message();
        let handed = Handed {
            message,
            mandatory,
            is_patient,
            answer,
        };
        Ok((handed, answered))
    }

    /// Passes on to the task what was counted; gives it back if the task has ended.
    fn pass(&self, handed: Handed) -> Result<(), Handed> {
        if self.shared.has_ended() {
            return Err(handed);
        }
        self.handed.send(handed).map_err(|failed| failed.0)
    }

    /// Why nothing is published any more.
    fn lost(&self) -> Error {
        if self.shared.has_panicked() {
            refusal::failed()
        } else {
            (self.ended)()
        }
    }

    /// What keeps publishes from being confirmed, although the connection seems to be up.
    pub(crate) fn impairment(&self) -> Option<String> {
        if self.shared.has_ended() {
            return (!self.shared.is_closing()).then(|| refusal::ENDED.to_owned());
        }
        let age = self.shared.age().filter(|age| *age >= self.watchdog)?;
        let pending = self.shared.pending();
        let seconds = age.as_secs();
        Some(format!(
            "{pending} publishes are not confirmed by RabbitMQ, the oldest for {seconds} s"
        ))
    }

    /// Takes no more publishes, and waits for the answers to those under way.
    ///
    /// # Errors
    /// [`Timeout`](tidings_core::ErrorKind::Timeout) if some are left at the deadline; they are still under way.
    pub(crate) async fn drain(&self, deadline: Deadline) -> Result<()> {
        self.shared.close();
        tokio::select! {
            // Cancel-safe: both only look.
            () = self.shared.empty() => Ok(()),
            () = deadline.passed() => Err(refusal::drained(self.shared.pending())),
        }
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing")
            .field("pending", &self.shared.pending())
            .finish_non_exhaustive()
    }
}
