//! The way of one call: a line, a way back, the request, and the wait for the answer.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Call, Completion, Deadline, Error, ErrorKind, Payload, error::Result, topology::Exchange,
};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, field::Empty, info_span};

use super::{
    failure,
    line::{Line, Route},
    observed,
    pending::{Answer, Refusal, Waiting},
    switchboard::Switchboard,
};

/// The first pause before another try to get a line; doubled each time.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest expiration that AMQP brokers take, 49 days.
const LONGEST_EXPIRATION: Duration = Duration::from_millis(u32::MAX as u64);

/// How a call is made.
pub(super) struct Asking {
    switchboard: Arc<Switchboard>,
    name: Box<str>,
    back: Option<Exchange>,
    timeout: Duration,
    deadline: Deadline,
    started: Instant,
}

/// What is known of a call while it is under way: what its error says if its time is over.
#[derive(Default)]
struct Progress {
    /// Whether the request was handed over.
    sent: bool,
    /// Why it has not been sent yet.
    trouble: Option<Error>,
    way: Option<(Arc<Line>, Arc<Route>)>,
    /// Whether the exchange was found not to be there any more, which happens once.
    turned_back: bool,
    /// Whether a line was found to have ended, after which the next is opened without a pause; that happens once.
    hurried: bool,
}

/// What came of sending a request.
enum Sent {
    Answered(Payload),
    /// It has certainly not arrived anywhere, and there may be another way.
    Not(Error),
    Failed(Error),
}

impl Asking {
    pub(super) fn new(
        switchboard: Arc<Switchboard>,
        name: &str,
        back: Option<Exchange>,
        timeout: Duration,
        deadline: Deadline,
    ) -> Self {
        let left = deadline.remaining().unwrap_or(Duration::MAX);
        let timeout = timeout.min(left);
        Self {
            switchboard,
            name: name.into(),
            back,
            timeout,
            deadline: Deadline::after(timeout),
            started: Instant::now(),
        }
    }

    /// Makes a call that could be sealed.
    pub(super) async fn run(self, call: Result<Call>) -> Result<Payload> {
        let span = info_span!(
            "call",
            otel.name = %format_args!("call {}", self.name),
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.operation.type = "send",
            messaging.operation.name = "call",
            messaging.destination.name = &*self.name,
        );
        let watched = span.clone();
        let done = self.ask_in_time(call).instrument(span).await;
        if let Err(error) = &done {
            watched.record("error.type", error.kind().as_str());
            watched.record("otel.status_code", "ERROR");
        }
        done
    }

    async fn ask_in_time(&self, call: Result<Call>) -> Result<Payload> {
        let mut progress = Progress::default();
        let done = match call {
            Ok(call) => self.before_the_deadline(call, &mut progress).await,
            Err(error) => Err(error),
        };
        let took = self.started.elapsed();
        match (&done, &progress.way) {
            (Ok(_), Some((_, route))) => route.answered.record(took.as_secs_f64()),
            (Ok(_), None) => {}
            (Err(error), _) => observed::failed(&self.name, error.kind(), took),
        }
        done
    }

    async fn before_the_deadline(
        &self,
        mut call: Call,
        progress: &mut Progress,
    ) -> Result<Payload> {
        let address = call.address.clone();
        let Some(instant) = self.deadline.instant() else {
            return self.ask(&mut call, progress).await;
        };
        // Cancel-safe: what waits takes its entry along.
        if let Ok(done) = timeout_at(instant, self.ask(&mut call, progress)).await {
            return done;
        }
        let impairments = self.switchboard.transport.impairments();
        if !progress.sent {
            let trouble = progress.trouble.take();
            let error = failure::not_sent(&address, self.timeout, &impairments, trouble);
            return Err(error);
        }
        // Perhaps it came and found no way: the next call makes sure that there is one.
        if let Some((line, route)) = &progress.way {
            line.forget(route);
        }
        Err(failure::no_answer(&address, self.timeout, &impairments))
    }

    /// Asks until there is an answer or a reason why there will be none.
    async fn ask(&self, call: &mut Call, progress: &mut Progress) -> Result<Payload> {
        let mut pause = PAUSE;
        loop {
            let trouble = match self.way(progress).await {
                Ok((line, route)) => match self.send(call, &line, &route, progress).await {
                    Sent::Answered(answer) => return Ok(answer),
                    Sent::Failed(error) => return Err(error),
                    Sent::Not(error) if progress.hurried => ended(error),
                    // Another way is there, or is about to be opened: no reason to wait.
                    Sent::Not(error) => {
                        progress.hurried = line.has_ended();
                        progress.trouble = Some(error);
                        continue;
                    }
                },
                Err(error) => error,
            };
            if trouble.kind() != ErrorKind::Unavailable {
                return Err(trouble.within(format!("call of `{}`", self.name)));
            }
            progress.trouble = Some(trouble);
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(2 * pause);
        }
    }

    /// A line, and the way back to it.
    async fn way(&self, progress: &mut Progress) -> Result<(Arc<Line>, Arc<Route>)> {
        let line = self.switchboard.line().await?;
        let transport = &*self.switchboard.transport;
        let route = line.route(transport, &self.name, self.back.as_ref()).await;
        let route = route.map_err(|error| match line.has_ended() {
            // Whatever it is called there: the next line may do.
            true => ended(error),
            false => error,
        })?;
        progress.way = Some((Arc::clone(&line), Arc::clone(&route)));
        Ok((line, route))
    }

    async fn send(
        &self,
        call: &mut Call,
        line: &Line,
        route: &Arc<Route>,
        progress: &mut Progress,
    ) -> Sent {
        let waiting = match line.pending.enter(&route.exchange) {
            Ok(waiting) => waiting,
            Err(Refusal::Full(limit)) => {
                return Sent::Failed(failure::crowded(&call.address, limit));
            }
            Err(Refusal::Ended) => return Sent::Not(lost()),
        };
        let fields = call.envelope.properties.fields_mut();
        fields.correlation_id = Some(waiting.correlation_id());
        fields.reply_to = Some(Arc::clone(&line.reply_to));
        fields.expiration = self.expiration();
        let mut request = call.clone();
        request.deadline = self.deadline;
        let published = line.publisher.publish(request);
        progress.sent = true;
        let error = match answer(waiting, published).await {
            Ok(Some(Answer::Reply(answer))) => return Sent::Answered(answer),
            Ok(Some(Answer::Unroutable)) => {
                return Sent::Failed(failure::nobody(&call.address));
            }
            Ok(Some(Answer::Vanished(why))) => {
                return Sent::Failed(failure::vanished(&call.address, &why));
            }
            Ok(None) => return Sent::Failed(failure::cut_off(&call.address, &line.reason())),
            Err(error) => error,
        };
        match error.kind() {
            // It was deleted, or a broker that was restarted has forgotten it.
            ErrorKind::NotFound if self.back.is_some() && !progress.turned_back => {
                progress.turned_back = true;
                line.vanished(route, &error.to_string());
            }
            // Nothing of it was sent, and nothing else will be on this line.
            ErrorKind::Closed => line.pending.end(&error.to_string()),
            _ => return Sent::Failed(failure::not_taken(&call.address, error)),
        }
        progress.sent = false;
        Sent::Not(error)
    }

    /// How long the request may wait in its queue: as long as its caller, where the time that it took to get here counts
    /// by whole seconds, so that a request that goes out at once says the timeout itself, as deployed clients do.
    fn expiration(&self) -> Option<Duration> {
        self.deadline.instant()?;
        let passed = Duration::from_secs(self.started.elapsed().as_secs());
        let left = self.timeout.saturating_sub(passed);
        let millis = left.as_nanos().div_ceil(1_000_000).max(1);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        Some(Duration::from_millis(millis).min(LONGEST_EXPIRATION))
    }
}

/// Waits for the answer and, until it is known, for what became of the request. An answer wins; `None` if none can come
/// any more.
async fn answer(mut waiting: Waiting, mut published: Completion) -> Result<Option<Answer>> {
    tokio::select! {
        biased;
        answered = &mut waiting => return Ok(answered), // Cancel-safe: whoever is answered needs no confirm.
        taken = &mut published => taken?, // Cancel-safe: `waiting` is polled again below.
    }
    Ok(waiting.await)
}

/// The line has ended before anything was sent on it. Whatever that is called there: the next one may do.
fn ended(error: Error) -> Error {
    lost().with_source(error)
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the address for answers was lost")
}
