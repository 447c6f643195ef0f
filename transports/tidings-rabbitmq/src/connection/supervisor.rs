//! Makes generations, one after the other.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::Event;
use tidings_core::{
    Result,
    metric::{self, label},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Alarm, Generation, Reactor, Restore, Role, State, Supervised, backoff::Backoff, dial::dial,
};
use crate::{config::RabbitMqConfig, error};

/// How often a generation is looked at, besides the events that lapin sends.
const LOOK: Duration = Duration::from_millis(500);

/// A generation that lived for so long was well: the next loss is a new one, and the first attempt comes soon.
const STEADY: Duration = Duration::from_secs(10);

/// How often a connection that cannot be made is mentioned, after the first time.
const MENTION: Duration = Duration::from_secs(60);

/// How long the broker may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

struct Supervisor {
    config: Arc<RabbitMqConfig>,
    role: Role,
    restore: Restore,
    alarm: Alarm,
    state: watch::Sender<State>,
    stop: CancellationToken,
    /// The number of the next generation.
    next: u64,
}

/// Connects for the first time, within the time that the configuration gives, and leaves a supervisor behind.
pub(super) async fn open(
    config: Arc<RabbitMqConfig>,
    role: Role,
    restore: Restore,
    alarm: &Alarm,
    reactor: &Reactor,
) -> Result<Supervised> {
    let (state, watched) = watch::channel(State::Down {
        attempts: 0,
        reason: "not connected yet".to_owned(),
    });
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor {
        config,
        role,
        restore,
        alarm: alarm.clone(),
        state,
        stop: stop.clone(),
        next: 0,
    };
    let first = async move {
        let connected = supervisor.first().await;
        connected.map(|generation| (supervisor, generation))
    };
    let (supervisor, generation) = reactor
        .run("connect to RabbitMQ", first)
        .await
        .unwrap_or_else(|| Err(error::closed()))?;
    reactor.spawn("RabbitMQ connection", supervisor.run(generation));
    Ok(Supervised {
        role,
        state: watched,
        stop,
    })
}

impl Drop for Supervisor {
    /// However the supervisor ends, nobody waits for a connection that nobody makes.
    fn drop(&mut self) {
        self.state.send_replace(State::Closed);
    }
}

impl Supervisor {
    /// The first generation. What cannot become better by waiting is an error at once.
    async fn first(&mut self) -> Result<Generation> {
        let (deadline, mut backoff) = (Instant::now() + self.config.wait, Backoff::default());
        loop {
            let error = match self.connect().await {
                Ok(generation) => return Ok(generation),
                Err(error) => error,
            };
            let pause = backoff.next();
            if !error.is_retryable() || Instant::now() + pause > deadline {
                return Err(error);
            }
            tracing::info!(error = %error.chain(), ?pause, "RabbitMQ is not there yet, trying again");
            sleep(pause).await;
        }
    }

    async fn run(mut self, first: Generation) {
        let (mut generation, mut backoff) = (first, Backoff::default());
        loop {
            let since = Instant::now();
            self.state.send_replace(State::Up(generation.clone()));
            self.watch(&generation).await;
            if self.stop.is_cancelled() {
                break;
            }
            let why = generation.why();
            tracing::warn!(role = %self.role, %why, "the connection to RabbitMQ is lost, making it again");
            drop(generation);
            if since.elapsed() >= STEADY {
                backoff = Backoff::default();
            }
            match self.again(why, &mut backoff).await {
                Some(next) => generation = next,
                None => break,
            }
        }
    }

    /// Returns when the generation has ended, or was ended because the connection is to be closed for good.
    async fn watch(&self, generation: &Generation) {
        let mut events = std::pin::pin!(generation.connection().events_listener());
        loop {
            tokio::select! {
                // Cancel-safe: both only look at a flag.
                () = generation.over() => break,
                () = self.stop.cancelled() => break,
                // Cancel-safe: an event stays in its channel until it is received.
                Some(event) = events.next() => Self::note(generation, event, self.role),
                () = sleep(LOOK) => {}
            }
            if !generation.connection().status().connected() {
                generation.end("the connection was lost");
            }
        }
        let goodbye = generation.connection().close(200, "goodbye".into());
        // A dead connection cannot be closed in order, and does not need to be.
        let _closed = timeout(GOODBYE, goodbye)
            .await
            .is_ok_and(|closed| closed.is_ok());
        generation.cut();
        // Not before: whoever hears of it drops channels, and lapin takes it for an error of the connection if one is dropped
        // while that is being closed.
        generation.end("it was closed");
        if generation.block(None) {
            blocked_connections(self.role).decrement(1.0);
        }
    }

    fn note(generation: &Generation, event: Event, role: Role) {
        match event {
            Event::ConnectionBlocked(why) => blocked(generation, &why, role),
            Event::ConnectionUnblocked => unblocked(generation, role),
            // Channel errors come here too: only a dead connection ends the generation.
            Event::Error(error) => generation.suspect(&error),
            _ => {}
        }
    }

    /// The next generation; `None` if the connection is closed meanwhile.
    async fn again(&mut self, why: String, backoff: &mut Backoff) -> Option<Generation> {
        let (mut reason, since) = (why, Instant::now());
        let (mut said, mut said_at) = (String::new(), since);
        loop {
            self.state.send_replace(State::Down {
                attempts: backoff.attempts(),
                reason: reason.clone(),
            });
            let pause = backoff.next();
            let stop = self.stop.clone();
            let attempt = async {
                sleep(pause).await;
                self.connect().await
            };
            let connected = tokio::select! {
                // Cancel-safe: a connection that is not finished is dropped, which closes its socket.
                connected = attempt => connected,
                // Cancel-safe: it only looks at a flag.
                () = stop.cancelled() => return None,
            };
            match connected {
                Ok(generation) => {
                    let down_seconds = since.elapsed().as_secs();
                    tracing::info!(role = %self.role, down_seconds, "connected to RabbitMQ again");
                    metrics::counter!(metric::RECONNECTS).increment(1);
                    return Some(generation);
                }
                Err(error) => {
                    reason = error.chain();
                    // An hour without a broker is one piece of news, not a thousand.
                    if reason != said || said_at.elapsed() >= MENTION {
                        let down_seconds = since.elapsed().as_secs();
                        tracing::warn!(role = %self.role, %reason, down_seconds, "RabbitMQ cannot be reached, trying again");
                        (said, said_at) = (reason.clone(), Instant::now());
                    }
                }
            }
        }
    }

    /// One attempt, with everything that belongs to the connection restored.
    async fn connect(&mut self) -> Result<Generation> {
        let dialled = dial(&self.config, self.role).await?;
        let generation = Generation::new(self.next, dialled, self.alarm.clone());
        self.next += 1;
        (self.restore)(generation.clone()).await?;
        Ok(generation)
    }
}

fn blocked(generation: &Generation, why: &str, role: Role) {
    if generation.block(Some(why.to_owned())) {
        tracing::warn!(%role, why, "RabbitMQ has blocked the connection: publishes wait");
        blocked_connections(role).increment(1.0);
    }
}

fn unblocked(generation: &Generation, role: Role) {
    let blocked_seconds = generation.blocked_for().map(|it| it.as_secs_f32());
    if generation.block(None) {
        tracing::info!(%role, blocked_seconds, "RabbitMQ reads from the connection again");
        blocked_connections(role).decrement(1.0);
    }
}

fn blocked_connections(role: Role) -> metrics::Gauge {
    metrics::gauge!(metric::BLOCKED_CONNECTIONS, label::CONNECTION => role.to_string())
}
