//! Whoever waits is answered before the request is acked, and what comes again is not answered yet.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Envelope, Error, ErrorKind, Outcome, Payload, Reply, Settlement,
    call::Message,
    codec::Format,
    convention::{Attachment, Convention, Failed, Interest, Opened, Outgoing, Plan},
    error::Result,
    retry_policy::RetryPolicy,
    topology::Topology,
    transport::Publisher,
};
use tidings_layers::AnswerLayer;
use tower_layer::Layer;

use crate::fakes::{
    Handler, Log, Outbox, QUEUE, answers, call, end, failure, poll, start, start_with,
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
