//! Whoever waits is answered before the request is acked, and what comes again is not answered yet.

use std::{
    cell::RefCell,
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings_core::{
    Address, Call, Deadline, Envelope, Error, ErrorKind, Fault, FaultCode, Outcome, Payload, Reply,
    Settlement,
    call::Message,
    codec::Format,
    contract::Invalid,
    convention::{Attachment, Convention, Failed, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    topology::Topology,
    transport::Publisher,
};
use tidings_layers::AnswerLayer;
use tidings_testkit::log::Log;
use tokio::sync::oneshot;
use tower_layer::Layer;

use crate::fakes::{
    Handler, Outbox, QUEUE, answers, call, end, failure, handler, poll, start, start_with,
};

/// Answers with the payload or with the text of the error; a payload `?` cannot be written.
#[derive(Debug)]
struct Answers {
    anybody_waits: bool,
}

fn nothing_else<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "this convention only answers",
    ))
}

impl Convention for Answers {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        Topology::default()
    }

    fn seal(&self, _: &Outgoing<'_>) -> Result<Call> {
        nothing_else()
    }

    fn open<'a>(&self, _: &'a Message, _: &Attachment) -> Result<Opened<'a>> {
        nothing_else()
    }

    fn attach(&self, _: &str, _: &Interest, _: &RetryPolicy) -> Result<Attachment> {
        nothing_else()
    }

    fn answers(&self) -> bool {
        true
    }

    fn answer(&self, call: &Call, outcome: Result<&Reply, &Error>) -> Result<Option<Call>> {
        if !self.anybody_waits {
            return Ok(None);
        }
        let text = match outcome {
            Ok(reply) => match reply.clone().into_result() {
                Some(Ok(payload)) if payload.bytes == "?" => {
                    return Err(Error::new(ErrorKind::Invalid, "cannot be written"));
                }
                Some(Ok(payload)) => payload.bytes,
                other => format!("{other:?}").into(),
            },
            Err(error) => error.to_string().into(),
        };
        let address = Address::new(Arc::clone(&call.address.exchange), "caller");
        Ok(Some(Call::new(address, Envelope::new(text))))
    }

    fn recover(&self, _: &Failed<'_>) -> Plan {
        unreachable!("this layer answers and plans nothing")
    }
}

fn layer(anybody_waits: bool) -> (AnswerLayer, Arc<Outbox>) {
    let convention: Arc<dyn Convention> = Arc::new(Answers { anybody_waits });
    let outbox = Arc::new(Outbox::default());
    let publisher: Arc<dyn Publisher> = Arc::clone(&outbox) as _;
    (
        AnswerLayer::new(QUEUE.into(), &convention, &publisher),
        outbox,
    )
}

fn says(text: &'static str) -> Reply {
    Reply::payload(Payload::new(text))
}

#[test]
fn waits_for_the_confirm_of_the_answer() {
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Ok(says("done"))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending(), "not before the confirm");
    assert_eq!(outbox.len(), 1);
    assert!(poll(&mut future).is_pending() && outbox.len() == 1, "once");
    let answer = outbox.answer(Ok(()));
    assert_eq!(answer.envelope.payload.bytes, "done");
    assert_eq!(answer.address.to_string(), "acme/caller");
    assert_eq!(end(future).unwrap(), says("done"));
}

#[test]
fn a_failure_that_was_answered_is_acked_and_logged_once_without_the_payload() {
    let log = Log::start();
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Err(failure(Outcome::Retry))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    let answer = outbox.answer(Ok(()));
    assert_eq!(answer.envelope.payload.bytes, "the handler failed");
    let error = end(future).unwrap_err();
    assert_eq!(error.settlement(), Some(&Settlement::Ack));
    let lines = log.lines_with("whoever asked has been told");
    assert!(
        lines.len() == 1 && lines[0].contains("no mail today"),
        "{lines:?}"
    );
    assert!(!log.text().contains("secret"));
}

/// How loud the line is about a request that fails with this, its caller told.
fn check_level(level: &str, make: impl Fn() -> Error + Clone) {
    let log = Log::start();
    let (layer, outbox) = layer(true);
    let failing = make.clone();
    let mut service = layer.layer(answers(move || Err(failing())));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(Ok(()));
    assert!(end(future).is_err());
    let lines = log.lines_with("whoever asked has been told");
    assert!(
        lines.len() == 1 && lines[0].contains(level),
        "{:?}: {lines:?}",
        make()
    );
}

#[test]
fn an_alert_can_tell_what_is_wrong_here_from_what_was_refused() {
    let of_kind = |kind| move || Error::new(kind, "why");
    for kind in [
        ErrorKind::Handler,
        ErrorKind::Panic,
        ErrorKind::Misuse,
        ErrorKind::Unavailable,
        ErrorKind::NotFound,
    ] {
        check_level("ERROR", of_kind(kind));
    }
    for kind in [
        ErrorKind::Decode,
        ErrorKind::Timeout,
        ErrorKind::NoRoute,
        ErrorKind::Full,
    ] {
        check_level(" WARN", of_kind(kind));
    }
    check_level(" WARN", || {
        Error::new(ErrorKind::Invalid, "does not fit").with_source(Invalid::new(Vec::new()))
    });
    // A rule that is broken by somebody else's message is no mistake of this request.
    check_level("ERROR", of_kind(ErrorKind::Invalid));
    let fault = |code| move || of_kind(ErrorKind::Handler)().with_source(Fault::new(code, "no"));
    check_level(" WARN", fault(FaultCode::NotFound));
    check_level(" WARN", fault(FaultCode::Unavailable));
    check_level("ERROR", fault(FaultCode::Internal));
    check_level("ERROR", fault(FaultCode::DataLoss));
}

/// What becomes of a handled request whose answer ends in this way.
fn check_sent(sent: Result<()>, is_acked: bool) {
    let kind = sent.as_ref().err().map(Error::kind);
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Ok(says("done"))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(sent);
    match end(future) {
        Ok(_) => assert!(is_acked, "{kind:?}"),
        Err(error) => {
            assert!(!is_acked, "{kind:?}");
            assert_eq!(error.outcome(), Outcome::Requeue);
            assert_eq!(error.settlement(), None);
            assert_eq!(Some(error.kind()), kind);
        }
    }
}

#[test]
fn a_caller_that_is_gone_is_no_failure_and_an_answer_that_was_not_sent_is_one() {
    let failed = |kind| Err(Error::new(kind, "not sent"));
    check_sent(Ok(()), true);
    check_sent(failed(ErrorKind::Unroutable), true);
    check_sent(failed(ErrorKind::NotFound), true);
    check_sent(failed(ErrorKind::Unconfirmed), false);
    check_sent(failed(ErrorKind::Unavailable), false);
    check_sent(failed(ErrorKind::Full), false);
}

#[test]
fn a_reply_that_cannot_be_written_is_answered_as_a_failure() {
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Ok(says("?"))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    let answer = outbox.answer(Ok(()));
    assert_eq!(answer.envelope.payload.bytes, "cannot be written");
    let error = end(future).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.settlement(), Some(&Settlement::Ack));
}

#[test]
fn a_reply_that_is_never_taken_is_answered_as_a_failure_and_comes_not_again() {
    let too_large = || Err(Error::new(ErrorKind::Misuse, "too large"));
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Ok(says("done"))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(too_large());
    assert!(poll(&mut future).is_pending(), "a failure goes out instead");
    let answer = outbox.answer(Ok(()));
    let said = &answer.envelope.payload.bytes;
    assert_eq!(said, "the reply cannot be sent: too large");
    let error = end(future).unwrap_err();
    assert_eq!(error.settlement(), Some(&Settlement::Ack));

    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    outbox.answer(too_large());
    assert!(poll(&mut future).is_pending());
    outbox.answer(too_large());
    let error = end(future).unwrap_err();
    assert_eq!(
        error.settlement(),
        Some(&Settlement::Ack),
        "not even that can be sent"
    );
}

#[test]
fn an_answer_that_may_not_be_sent_is_given_up_and_logged_once_as_an_error() {
    let log = Log::start();
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Ok(says("done"))));
    let mut future = start(&mut service);
    assert!(poll(&mut future).is_pending());
    let why = "cannot publish to `acme/caller`: give the user permission to write";
    outbox.answer(Err(Error::new(ErrorKind::Denied, why)));
    let error = end(future).unwrap_err();
    assert_eq!(error.settlement(), Some(&Settlement::Ack));
    assert_eq!(outbox.len(), 0, "a failure could not be sent, either");
    let lines = log.lines_with(why);
    let is_error = |line: &String| line.contains("ERROR") && line.contains("given up");
    assert!(lines.len() == 1 && lines.iter().all(is_error), "{lines:?}");
}

/// A request that can be told from others, delivered for the first time or again.
fn request(id: &str, is_redelivered: bool) -> Call {
    let mut call = call().with_origin(QUEUE.into(), is_redelivered);
    call.envelope.properties.fields_mut().correlation_id = Some(id.into());
    call
}

#[test]
fn a_request_that_comes_again_after_it_was_answered_is_answered_and_not_handled() {
    let (layer, outbox) = layer(true);
    let handled = AtomicU32::new(0);
    let mut service = layer.layer(handler(|_| {
        let count = 1 + handled.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Reply::payload(Payload::new(count.to_string()))))
    }));
    for (call, count) in [
        (request("1", false), "1"),
        (request("1", true), "1"),
        (request("1", true), "1"),
        (request("2", true), "2"),
        (request("1", false), "3"),
        (request("2", true), "2"),
    ] {
        let mut future = start_with(&mut service, call);
        assert!(poll(&mut future).is_pending(), "the answer is confirmed");
        let answer = outbox.answer(Ok(()));
        assert_eq!(answer.envelope.payload.bytes, count);
        assert_eq!(answer.address.to_string(), "acme/caller");
        assert!(end(future).is_ok());
    }
}

#[test]
fn a_request_that_comes_again_while_it_is_handled_waits_for_that_answer() {
    let (layer, outbox) = layer(true);
    let (reply, replied) = oneshot::channel();
    let replied = RefCell::new(Some(replied));
    let mut service = layer.layer(handler(|_| {
        let replied = replied.take().expect("it is handled once");
        async move { replied.await.map_err(|_| failure(Outcome::Retry)) }
    }));
    let mut first = start_with(&mut service, request("1", false));
    assert!(poll(&mut first).is_pending());
    let mut again = start_with(&mut service, request("1", true));
    assert!(poll(&mut again).is_pending());
    reply.send(says("done")).unwrap();
    assert!(poll(&mut first).is_pending() && poll(&mut again).is_pending());
    outbox.answer(Ok(()));
    assert!(end(first).is_ok());
    assert!(poll(&mut again).is_pending());
    let answer = outbox.answer(Ok(()));
    assert_eq!(answer.envelope.payload.bytes, "done");
    assert!(end(again).is_ok());
}

#[test]
fn a_request_that_was_given_back_is_handled_when_it_comes_again() {
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(|| Err(failure(Outcome::Requeue))));
    for is_redelivered in [false, true, true] {
        let future = start_with(&mut service, request("1", is_redelivered));
        assert_eq!(end(future).unwrap_err().to_string(), "the handler failed");
    }
    // Dropped while it was at work: nobody has handled it.
    let mut service = layer.layer(handler(|_| pending::<Result<Reply>>()));
    let mut first = start_with(&mut service, request("1", false));
    assert!(poll(&mut first).is_pending());
    let mut again = start_with(&mut service, request("1", true));
    assert!(poll(&mut again).is_pending());
    drop(first);
    let error = end(again).unwrap_err();
    assert_eq!(
        (error.outcome(), error.settlement()),
        (Outcome::Requeue, None)
    );
    assert_eq!(outbox.len(), 0);
}

/// Whether a failure that asks for this is answered at once to a caller with this much patience.
fn check_answered(outcome: Outcome, patience: Option<Duration>, expected: bool) {
    let (layer, outbox) = layer(true);
    let mut service = layer.layer(answers(move || Err(failure(outcome))));
    let mut call = call();
    call.deadline = patience.map_or(Deadline::NEVER, Deadline::after);
    let is_pending = poll(&mut start_with(&mut service, call)).is_pending();
    assert_eq!(is_pending, expected, "{outcome:?} {patience:?}");
    assert_eq!(outbox.len(), usize::from(expected));
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_in_time_is_not_answered_yet() {
    let second = Duration::from_secs(1);
    check_answered(Outcome::Requeue, None, false);
    check_answered(Outcome::Requeue, Some(second), false);
    check_answered(Outcome::Defer(second), None, false);
    check_answered(Outcome::Defer(second), Some(2 * second), false);
    check_answered(Outcome::Defer(2 * second), Some(second), true);
    check_answered(Outcome::Retry, Some(second), true);
    check_answered(Outcome::Fatal, None, true);
}

#[test]
fn what_has_been_settled_inside_is_left_alone() {
    let (layer, outbox) = layer(true);
    let settled = || failure(Outcome::Fatal).with_settlement(Settlement::Ack);
    let mut service = layer.layer(answers(move || Err(settled())));
    assert!(end(start(&mut service)).is_err());
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_delivery_that_nobody_waits_for_passes_as_it_is() {
    fn passes(
        handler: Handler<impl FnMut(Call) -> std::future::Ready<Result<Reply>> + Clone>,
    ) -> Result<Reply> {
        let (layer, outbox) = layer(false);
        let result = end(start(&mut layer.layer(handler)));
        assert_eq!(outbox.len(), 0);
        result
    }
    assert_eq!(passes(answers(|| Ok(says("done")))).unwrap(), says("done"));
    let error = passes(answers(|| Err(failure(Outcome::Retry)))).unwrap_err();
    assert_eq!(error.settlement(), None, "it is for the layers outside");
}
