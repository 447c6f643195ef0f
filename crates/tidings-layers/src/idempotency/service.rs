//! Asks the store, and handles the request only if nobody has or does.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::metrics::counter;
use pin_project_lite::pin_project;
use tidings_core::{
    Call, Deadline, Error, ErrorKind, Payload, Reply,
    error::Result,
    metric::{REMEMBERED_REPLIES, label},
    reply_store::{Claim, Claimed, ReplyStore},
    transport::BoxFuture,
};
use tower_service::Service;
use tracing::{debug, warn};

use super::layer::Remembered;

/// See [the module](super).
#[derive(Clone)]
pub struct Idempotency<S> {
    inner: S,
    remembered: Arc<Remembered>,
}

impl<S> Idempotency<S> {
    pub(super) fn new(inner: S, remembered: Arc<Remembered>) -> Self {
        Self { inner, remembered }
    }
}

impl<S> Service<Call> for Idempotency<S>
where
    S: Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = IdempotencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, call: Call) -> Self::Future {
        let how_long = self.remembered.how_long(&call.address.exchange);
        let Some((how_long, key)) = how_long.zip(self.remembered.key(&call)) else {
            let future = self.inner.call(call);
            return IdempotencyFuture {
                step: Step::Through { future },
            };
        };
        let request = Request {
            key,
            exchange: Arc::clone(&call.address.exchange),
            deadline: call.deadline,
            how_long,
        };
        let store = Arc::clone(&self.remembered.store);
        // The service that is ready makes the call; the clone must become ready by itself.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let handle = move || service.call(call);
        let future = Box::pin(answer(store, request, handle));
        IdempotencyFuture {
            step: Step::Asking { future },
        }
    }
}

pin_project! {
    /// The future of [`Idempotency`].
    pub struct IdempotencyFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<F> {
        // A request whose answer is not remembered.
        Through { #[pin] future: F },
        // The question to the store, and the handling if there is one.
        Asking { future: BoxFuture<'static, Result<Reply>> },
    }
}

impl<F: Future<Output = Result<Reply>>> Future for IdempotencyFuture<F> {
    type Output = Result<Reply>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepNow::Through { future } => future.poll(cx),
            StepNow::Asking { future } => future.as_mut().poll(cx),
        }
    }
}

/// A request whose answer is remembered.
struct Request {
    key: String,
    exchange: Arc<str>,
    deadline: Deadline,
    how_long: Duration,
}

async fn answer<F: Future<Output = Result<Reply>>>(
    store: Arc<dyn ReplyStore>,
    request: Request,
    handle: impl FnOnce() -> F,
) -> Result<Reply> {
    loop {
        match store.claim(&request.key).await? {
            Claim::Fresh(claimed) => {
                let reply = handle().await?;
                request.keep(claimed, &reply).await;
                return Ok(reply);
            }
            Claim::Known(payload) => return Ok(request.repeat(payload)),
            Claim::Taken(ended) => tokio::select! {
                // Cancel-safe: it only tells that it is worth asking again.
                () = ended => {}
                // Cancel-safe: it only looks at the clock.
                () = request.deadline.passed() => return Err(still_handled()),
            },
        }
    }
}

impl Request {
    /// Keeps a reply. Whatever goes wrong here, the work is done and the caller gets its answer.
    async fn keep(&self, claimed: Claimed, reply: &Reply) {
        let payload = match reply.clone().into_result() {
            None => None,
            Some(Ok(payload)) => Some(payload),
            // A failure: the claim is given back, and the next delivery may do better.
            Some(Err(_)) => return,
        };
        if let Err(error) = claimed.keep(payload, self.how_long).await {
            warn!(
                exchange = &*self.exchange,
                error = error.chain(),
                "cannot remember a reply: if its request comes again, it is handled again"
            );
        }
    }

    fn repeat(&self, payload: Option<Payload>) -> Reply {
        let exchange = Arc::clone(&self.exchange);
        counter!(REMEMBERED_REPLIES, label::DESTINATION => exchange).increment(1);
        debug!(
            exchange = &*self.exchange,
            "answered with a remembered reply"
        );
        payload.map_or_else(Reply::empty, Reply::payload)
    }
}

fn still_handled() -> Error {
    let context =
        "the same request was being handled already, and was not done before the deadline";
    Error::new(ErrorKind::Timeout, context)
}

impl<S: fmt::Debug> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("inner", &self.inner)
            .field("remembered", &self.remembered)
            .finish()
    }
}

impl<F> fmt::Debug for IdempotencyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyFuture").finish_non_exhaustive()
    }
}
