//! Hands each call on, keeps a clone of it if somebody may wait for its answer, and publishes that answer.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tidings_core::{
    Call, Completion, Error, ErrorKind, Fault, FaultCode, Outcome, Reply, Settlement,
    acker::Answerer, contract::Invalid, convention::Convention, error::Result,
    transport::Publisher,
};
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::{error, warn};

use super::recent::{Known, Recent, Sent};

/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Answer<S> {
    inner: S,
    out: Option<Arc<Out>>,
}

/// What says how to answer, and what carries the answer.
pub(super) struct Out {
    pub(super) queue: Arc<str>,
    pub(super) convention: Arc<dyn Convention>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) recent: Recent,
}

impl<S> Answer<S> {
    pub(super) fn new(inner: S, out: Option<Arc<Out>>) -> Self {
        Self { inner, out }
    }
}

impl<S: Service<Call, Response = Reply, Error = Error>> Service<Call> for Answer<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let mut request = self.out.as_ref().map(|out| Request {
            out: Arc::clone(out),
            call: call.clone(),
            number: None,
            answer: None,
        });
        let step = request.as_mut().and_then(Request::begin);
        let step = step.unwrap_or_else(|| Step::Handling {
            future: self.inner.call(call),
        });
        Answering { request, step }
    }
}

impl Out {
    /// Sends an answer once more, if there was one.
    fn repeat(&self, answer: Option<Sent>) -> Completion {
        match answer {
            Some(answer) => self.publisher.publish(answer.again().patiently()),
            None => Completion::ready(Ok(())),
        }
    }
}

/// What may be waited for.
struct Request {
    out: Arc<Out>,
    call: Call,
    /// Its number among those at work, while it is handled.
    number: Option<usize>,
    answer: Option<Sent>,
}

pin_project! {
    /// The future of [`Answer`].
    ///
    /// # Cancel safety
    /// Dropping it never loses an answer: the request is settled by nobody and comes again.
    pub struct Answering<F> {
        request: Option<Request>,
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        // The same request is being handled.
        Waiting { over: oneshot::Receiver<()> },
        Handling { #[pin] future: F },
        Sending { confirm: Completion, result: Option<Result<Reply>> },
    }
}

impl<F: Future<Output = Result<Reply>>> Future for Answering<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepNow::Waiting { over } => {
                    let _over = ready!(Pin::new(over).poll(cx)).is_ok();
                    let Some(step) = this.request.as_ref().and_then(Request::known) else {
                        return Poll::Ready(Err(given_back()));
                    };
                    this.step.set(step);
                }
                StepNow::Handling { future } => {
                    let result = ready!(future.poll(cx));
                    let Some(request) = this.request else {
                        return Poll::Ready(result);
                    };
                    let (confirm, result) = request.answer(result);
                    let Some(confirm) = confirm else {
                        return Poll::Ready(request.finish(result));
                    };
                    this.step.set(Step::Sending {
                        confirm,
                        result: Some(result),
                    });
                }
                StepNow::Sending { confirm, result } => {
                    let sent = ready!(Pin::new(confirm).poll(cx));
                    let result = result.take().unwrap_or_else(|| Err(polled_again()));
                    let Some(request) = this.request else {
                        return Poll::Ready(result);
                    };
                    match request.instead(&sent, &result) {
                        Some((confirm, error)) => this.step.set(Step::Sending {
                            confirm,
                            result: Some(Err(error)),
                        }),
                        None => {
                            let result = request.answered(sent, result);
                            return Poll::Ready(request.finish(result));
                        }
                    }
                }
            }
        }
    }
}

impl Request {
    /// Notes that it is handled from now on, unless it has come again and need not be: then, what is done instead.
    fn begin<F>(&mut self) -> Option<Step<F>> {
        let known = self.known();
        if known.is_none() {
            self.number = self.out.recent.begin(self.call.message());
        }
        known
    }

    /// What is done instead of handling it, if it has come again and is known.
    fn known<F>(&self) -> Option<Step<F>> {
        let has_come_again = self.call.is_redelivered();
        let known = has_come_again.then(|| self.out.recent.find(&self.call))??;
        Some(match known {
            Known::AtWork(over) => Step::Waiting { over },
            Known::Done(answer) => Step::Sending {
                confirm: self.out.repeat(answer),
                result: Some(Ok(Reply::empty())),
            },
        })
    }

    /// Notes that it was handled, if nobody is to handle it again.
    fn finish(&mut self, result: Result<Reply>) -> Result<Reply> {
        let settlement = result.as_ref().err().map(Error::settlement);
        let is_done = matches!(settlement, None | Some(Some(Settlement::Ack)));
        if let Some(number) = self.number.take_if(|_| is_done) {
            self.out.recent.finish(number, self.answer.take());
        }
        result
    }

    /// Publishes what answers this result, if anybody waits, and returns what has become of the result by that.
    fn answer(&mut self, result: Result<Reply>) -> (Option<Completion>, Result<Reply>) {
        if let Err(error) = &result
            && self.comes_again(error)
        {
            return (None, result);
        }
        let answer = self.out.convention.answer(&self.call, result.as_ref());
        let (answer, result) = match answer {
            Ok(answer) => (answer, result),
            // A reply that cannot be written is a failure like another, and whoever waits is told so.
            Err(error) => {
                let told = self.out.convention.answer(&self.call, Err(&error));
                (told.unwrap_or_default(), Err(error))
            }
        };
        (answer.map(|answer| self.send(answer)), result)
    }

    /// Ahead of the ack on its own way where the transport has one; else published and confirmed. A request that comes
    /// again may have come because of such an answer, so its own is confirmed.
    fn send(&mut self, answer: Call) -> Completion {
        self.answer = self.number.map(|_| Sent::of(&answer));
        let ahead = self.call.extensions.get::<Answerer>();
        let answer = match ahead.filter(|_| !self.call.is_redelivered()) {
            Some(answerer) => match answerer.answer(answer) {
                Ok(ahead) => return ahead,
                Err(answer) => *answer,
            },
            None => answer,
        };
        // To handle a request again would help nobody: whoever waits for a broker that takes nothing waits here.
        self.out.publisher.publish(answer.patiently())
    }

    /// Whether the request will be handled once more while its caller waits.
    fn comes_again(&self, error: &Error) -> bool {
        if error.settlement().is_some() {
            return true;
        }
        match error.outcome() {
            Outcome::Requeue => true,
            Outcome::Defer(wait) => {
                let left = self.call.deadline.remaining();
                left.is_none_or(|left| wait < left)
            }
            _ => false,
        }
    }

    /// For a reply that the broker will never take, because it is too large for example: a failure that says so goes out in
    /// its place. Handling the request again would end in the same way.
    fn instead(
        &mut self,
        sent: &Result<()>,
        result: &Result<Reply>,
    ) -> Option<(Completion, Error)> {
        // Where nothing may be sent to, a failure may not, either.
        let is_this_one = |cause: &&Error| cause.kind() == ErrorKind::Misuse;
        let cause = sent.as_ref().err().filter(is_this_one)?;
        result.as_ref().ok()?;
        let error = Error::new(
            ErrorKind::Misuse,
            format!("the reply cannot be sent: {cause}"),
        );
        let told = self.out.convention.answer(&self.call, Err(&error));
        let told = told.ok().flatten()?;
        Some((self.send(told), error))
    }

    /// The answer is out, or it could not be sent.
    fn answered(&self, sent: Result<()>, result: Result<Reply>) -> Result<Reply> {
        match sent {
            Err(cause) if is_in_vain(&cause) => {
                let what = "a request is given up: the broker will take no answer to it";
                if let Err(error) = &result {
                    self.log(error, what);
                }
                if result.is_ok() || cause.kind() == ErrorKind::Denied {
                    self.log(&cause, what);
                }
                Err(result
                    .err()
                    .unwrap_or(cause)
                    .with_settlement(Settlement::Ack))
            }
            Err(cause) if !is_gone(&cause) => Err(self.unsent(cause, result.err().as_ref())),
            Ok(()) | Err(_) => result.map_err(|error| {
                self.log(&error, "a request failed; whoever asked has been told");
                error.with_settlement(Settlement::Ack)
            }),
        }
    }

    fn unsent(&self, cause: Error, error: Option<&Error>) -> Error {
        if let Some(error) = error {
            self.log(error, "a request failed, and its answer could not be sent");
        }
        let context = format!(
            "cannot send the answer to a request of queue `{}`, so the request comes again: check that the broker takes \
             messages",
            self.out.queue
        );
        Error::new(cause.kind(), context)
            .with_outcome(Outcome::Requeue)
            .with_source(cause)
    }

    fn log(&self, error: &Error, what: &'static str) {
        let (queue, exchange) = (&*self.out.queue, &*self.call.address.exchange);
        let properties = &self.call.envelope.properties;
        let correlation_id = properties.correlation_id().map(AsRef::as_ref);
        let (kind, chain) = (error.kind().as_str(), error.chain());
        if is_refusal(error) {
            warn!(queue, exchange, correlation_id, error.type = kind, error = chain, "{what}");
        } else {
            error!(queue, exchange, correlation_id, error.type = kind, error = chain, "{what}");
        }
    }
}

/// Whether the request, its time or its moment is what was wrong, so that callers are told what: nothing that whoever runs
/// the service has to mend. A fault that says that an invariant is broken is no refusal, though it was meant to be told.
fn is_refusal(error: &Error) -> bool {
    if let Some(fault) = error.source_ref::<Fault>() {
        return !matches!(
            fault.code,
            FaultCode::Internal | FaultCode::DataLoss | FaultCode::Unknown
        );
    }
    error.source_ref::<Invalid>().is_some()
        || matches!(
            error.kind(),
            ErrorKind::Decode | ErrorKind::Timeout | ErrorKind::NoRoute | ErrorKind::Full
        )
}

/// Whether nobody is there any more to receive the answer: a caller that gives up takes its reply address away.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unroutable | ErrorKind::NotFound)
}

/// Whether the same answer will never be taken, however often it is sent.
fn is_in_vain(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Misuse | ErrorKind::Denied)
}

/// For a request that was waited for in vain: whoever handled it has given it back.
fn given_back() -> Error {
    let context = "the request was given back by whoever handled it";
    Error::new(ErrorKind::Closed, context).with_outcome(Outcome::Requeue)
}

fn polled_again() -> Error {
    Error::new(ErrorKind::Closed, "polled after it had ended")
}

/// However it ends, it is handled no longer.
impl Drop for Request {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.out.recent.forget(number);
        }
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("queue", &self.queue)
            .field("convention", &self.convention)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("waits", &self.request.is_some())
            .finish_non_exhaustive()
    }
}
