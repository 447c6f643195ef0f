//! A handler, a convention and a publisher that do as a test says.

use std::{
    future::Ready,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tidings_core::{
    Address, Call, Completion, Envelope, Error, ErrorKind, Outcome, Reply,
    call::Message,
    codec::Format,
    convention::{Attachment, Convention, Failed, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    topology::Topology,
    transport::Publisher,
};
use tidings_layers::Recovery;
use tidings_testkit::log;
use tokio::sync::oneshot;
use tower_service::Service;

pub(crate) const QUEUE: &str = "acme.user_created.send_mail";

/// A delivered call with the key `user_created`.
pub(crate) fn call() -> Call {
    Call::new(
        Address::new("acme", "user_created"),
        Envelope::new(&b"secret"[..]),
    )
    .with_origin(QUEUE.into(), false)
}

/// A failure of the handler that asks for this.
pub(crate) fn failure(outcome: Outcome) -> Error {
    Error::new(ErrorKind::Handler, "the handler failed")
        .with_outcome(outcome)
        .with_source(io::Error::other("no mail today"))
}

/// A handler made of a function.
#[derive(Clone)]
pub(crate) struct Handler<F>(F);

pub(crate) fn handler<F, T>(function: F) -> Handler<F>
where
    F: FnMut(Call) -> T,
{
    Handler(function)
}

/// A handler that answers at once.
pub(crate) fn answers(
    answer: impl Fn() -> Result<Reply> + Clone,
) -> Handler<impl FnMut(Call) -> Ready<Result<Reply>> + Clone> {
    handler(move |_| std::future::ready(answer()))
}

impl<F, T> Service<Call> for Handler<F>
where
    F: FnMut(Call) -> T,
    T: Future<Output = Result<Reply>>,
{
    type Response = Reply;
    type Error = Error;
    type Future = T;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> T {
        (self.0)(call)
    }
}

/// Calls a service; the future is pinned, so that it can be polled.
pub(crate) fn start<S: Service<Call, Error = Error>>(service: &mut S) -> Pin<Box<S::Future>> {
    start_with(service, call())
}

pub(crate) fn start_with<S>(service: &mut S, call: Call) -> Pin<Box<S::Future>>
where
    S: Service<Call, Error = Error>,
{
    log::subscribe();
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(ready, Poll::Ready(Ok(()))), "not ready");
    Box::pin(service.call(call))
}

/// Polls once.
pub(crate) fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once and expects the end.
pub(crate) fn end<F: Future>(mut future: Pin<Box<F>>) -> F::Output {
    match poll(&mut future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("still pending"),
    }
}

/// A publisher whose confirms the test sends.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Vec<(Call, oneshot::Sender<Result<()>>)>>);

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Confirms or refuses the only publish, and returns it.
    pub(crate) fn answer(&self, answer: Result<()>) -> Call {
        let mut published = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(published.len(), 1, "one publish was expected");
        let (call, confirm) = published.remove(0);
        // Nobody listens any more if the handling was dropped.
        confirm.send(answer).ok();
        call
    }

    /// Forgets the only publish without an answer, as a publisher does that dies.
    pub(crate) fn answer_never(&self) -> Call {
        let mut published = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(published.len(), 1, "one publish was expected");
        published.remove(0).0
    }
}

impl Publisher for Outbox {
    fn publish(&self, call: Call) -> Completion {
        let (confirm, answer) = oneshot::channel();
        self.0.lock().unwrap().push((call, confirm));
        Completion::waiting(answer, "the publisher is gone")
    }
}

/// A convention that only plans.
struct Planner(Box<dyn Fn(&Failed<'_>) -> Plan + Send + Sync>);

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Planner")
    }
}

fn only_plans<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "this convention only plans",
    ))
}

impl Convention for Planner {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        Topology::default()
    }

    fn seal(&self, _: &Outgoing<'_>) -> Result<Call> {
        only_plans()
    }

    fn open<'a>(&self, _: &'a Message, _: &Attachment) -> Result<Opened<'a>> {
        only_plans()
    }

    fn attach(&self, _: &str, _: &Interest, _: &RetryPolicy) -> Result<Attachment> {
        only_plans()
    }

    fn recover(&self, failed: &Failed<'_>) -> Plan {
        (self.0)(failed)
    }
}

/// A recovery with this plan, and where its copies go.
pub(crate) fn recovery(
    plan: impl Fn(&Failed<'_>) -> Plan + Send + Sync + 'static,
) -> (Recovery, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    let attachment = Attachment {
        subscriber: "send_mail".into(),
        interest: Interest::All,
        queue: QUEUE.into(),
        topology: Topology::default(),
        retry: RetryPolicy::default(),
    };
    let convention = Arc::new(Planner(Box::new(plan)));
    let out = Arc::clone(&outbox);
    (Recovery::new(convention, Arc::new(attachment), out), outbox)
}
