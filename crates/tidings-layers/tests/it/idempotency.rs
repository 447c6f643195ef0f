//! A request that comes again is answered, not handled.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tidings_core::{
    Address, Call, Deadline, Envelope, Error, ErrorKind, Fault, FaultCode, Outcome, Payload, Reply,
    error::Result,
    properties::Fields,
    reply_store::{Claim, Claimed, Keep, MemoryReplies, ReplyStore},
    transport::BoxFuture,
};
use tidings_layers::{Idempotency, IdempotencyLayer};
use tidings_testkit::log::Log;
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{failure, handler, poll, start_with},
    recorder::Recorder,
};

const LONG: Duration = Duration::from_secs(600);

fn request(exchange: &str, id: Option<&str>) -> Call {
    let mut envelope = Envelope::new("{}");
    envelope.properties = Fields {
        correlation_id: id.map(Into::into),
        ..Fields::default()
    }
    .into();
    Call::new(Address::new(exchange, "web1"), envelope)
}

fn layer() -> IdempotencyLayer {
    let store = Arc::new(MemoryReplies::new());
    IdempotencyLayer::new(store)
        .remember("create", LONG)
        .remember("create:b", LONG)
}

/// A service whose handler answers each call with another number, or as it is told.
fn numbered<A: Fn(u32) -> Result<Reply> + Clone + Send + 'static>(
    layer: &IdempotencyLayer,
    answer: A,
) -> (
    Idempotency<
        impl Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + use<A>,
    >,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler =
        handler(move |_| std::future::ready(answer(counted.fetch_add(1, Ordering::Relaxed))));
    (layer.layer(handler), calls)
}

fn number(number: u32) -> Result<Reply> {
    Ok(Reply::payload(Payload::json(number.to_string())))
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_gets_the_first_reply() {
    let (mut service, calls) = numbered(&layer(), number);
    let recorder = Recorder::default();
    let _local = ::metrics::set_default_local_recorder(&recorder);
    let first = start_with(&mut service, request("create", Some("1")))
        .await
        .unwrap();
    for _ in 0..2 {
        let again = start_with(&mut service, request("create", Some("1")))
            .await
            .unwrap();
        assert_eq!(again, first);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let counter = "tidings_remembered_replies{messaging.destination.name=create}";
    assert_eq!(recorder.counter(counter), 2);

    tokio::time::advance(LONG).await;
    let late = start_with(&mut service, request("create", Some("1")))
        .await
        .unwrap();
    assert_ne!(late, first, "it was forgotten");
}

#[tokio::test(start_paused = true)]
async fn the_same_request_elsewhere_is_another() {
    let layer = layer();
    let places = [layer.clone(), layer.clone().within("a"), layer.within("b")];
    for layer in places {
        let (mut service, calls) = numbered(&layer, number);
        for _ in 0..2 {
            let request = request("create", Some("1"));
            start_with(&mut service, request).await.unwrap();
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_says_nothing_is_remembered_as_well() {
    let (mut service, calls) = numbered(&layer(), |_| Ok(Reply::empty()));
    for _ in 0..2 {
        let reply = start_with(&mut service, request("create", Some("1")))
            .await
            .unwrap();
        assert!(reply.is_empty());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_same_request_of_a_contract_that_asks_is_remembered() {
    let (mut service, calls) = numbered(&layer(), number);
    let different = [
        ("create", Some("b:1")),
        ("create:b", Some("1")),
        ("create", Some("1")),
        ("create", Some("2")),
    ];
    let handled_again = [
        ("create", None),
        ("create", Some("")),
        ("delete", Some("1")),
    ];
    let all = different
        .into_iter()
        .chain(handled_again)
        .chain(handled_again);
    for (expected, (exchange, id)) in (1..).zip(all) {
        start_with(&mut service, request(exchange, id))
            .await
            .unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), expected, "{exchange} {id:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_handled_again() {
    fn fault() -> Reply {
        Reply::fault(Fault::new(FaultCode::Unavailable, "not today"))
    }
    let answers: [fn() -> Result<Reply>; 2] = [|| Err(failure(Outcome::Fatal)), || Ok(fault())];
    for failed in answers {
        let answer = move |attempt| {
            if attempt == 0 {
                failed()
            } else {
                number(attempt)
            }
        };
        let (mut service, calls) = numbered(&layer(), answer);
        let first = start_with(&mut service, request("create", Some("1"))).await;
        assert!(first.is_err() || first.unwrap() == fault());
        start_with(&mut service, request("create", Some("1")))
            .await
            .unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}

/// A service whose first call waits to be told how it ends.
fn held_up(
    layer: &IdempotencyLayer,
) -> (
    Idempotency<
        impl Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + use<>,
    >,
    oneshot::Sender<()>,
) {
    let (go_on, told) = oneshot::channel::<()>();
    let told = Arc::new(Mutex::new(Some(told)));
    let handler = handler(move |_| {
        let told = told.lock().unwrap().take();
        async move {
            match told {
                Some(told) => {
                    told.await.ok();
                    number(1)
                }
                None => number(2),
            }
        }
    });
    (layer.layer(handler), go_on)
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_it_is_handled_waits_for_the_reply() {
    let (mut service, go_on) = held_up(&layer());
    let mut first = start_with(&mut service, request("create", Some("1")));
    assert!(poll(&mut first).is_pending());
    let mut second = start_with(&mut service, request("create", Some("1")));
    assert!(poll(&mut second).is_pending());
    let mut impatient = request("create", Some("1"));
    impatient.deadline = Deadline::after(Duration::from_secs(1));
    let refused = start_with(&mut service, impatient).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Timeout);

    go_on.send(()).unwrap();
    let first = first.await.unwrap();
    assert_eq!(second.await.unwrap(), first);
    assert_eq!(first, number(1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_is_handled_by_who_waits() {
    let (mut service, _go_on) = held_up(&layer());
    let mut first = start_with(&mut service, request("create", Some("1")));
    assert!(poll(&mut first).is_pending());
    let mut second = start_with(&mut service, request("create", Some("1")));
    assert!(poll(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.unwrap(), number(2).unwrap());
}

/// A store that cannot be reached: at once, or when a reply is to be kept.
#[derive(Debug)]
struct Away {
    gives_claims: bool,
}

struct CannotKeep;

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "the database is away")
}

impl ReplyStore for Away {
    fn claim<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Claim>> {
        Box::pin(async {
            if self.gives_claims {
                return Ok(Claim::Fresh(Claimed::new(Box::new(CannotKeep))));
            }
            Err(away())
        })
    }
}

impl Keep for CannotKeep {
    fn keep(self: Box<Self>, _: Option<Payload>, _: Duration) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Err(away()) })
    }

    fn release(self: Box<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn without_its_store_a_request_is_not_handled() {
    let store = Arc::new(Away {
        gives_claims: false,
    });
    let layer = IdempotencyLayer::new(store).remember("create", LONG);
    let (mut service, calls) = numbered(&layer, number);
    let refused = start_with(&mut service, request("create", Some("1")))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::Unavailable, Outcome::Retry)
    );
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    start_with(&mut service, request("delete", Some("1")))
        .await
        .unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it is not remembered");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_kept_is_sent_and_logged() {
    let log = Log::start();
    let layer = IdempotencyLayer::new(Arc::new(Away { gives_claims: true }));
    let (mut service, _) = numbered(&layer.remember("create", LONG), number);
    let reply = start_with(&mut service, request("create", Some("1"))).await;
    assert_eq!(reply.unwrap(), number(0).unwrap());
    assert_eq!(log.lines_with("the database is away").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_remembered_costs_no_question() {
    let mut service = layer().layer(handler(|_| pending::<Result<Reply>>()));
    let mut future = start_with(&mut service, request("delete", Some("1")));
    assert!(matches!(poll(&mut future), Poll::Pending));
    assert!(IdempotencyLayer::new(Arc::new(MemoryReplies::new())).is_idle());
}
