//! Requests that are handled here, or were a moment ago.
//!
//! An ack is lost when the channel of its delivery ends first: with the connection, or because an answer of somebody else
//! went to an exchange that was deleted. Then requests come again that were handled already, or still are. Their handlers are
//! not to do the work twice, so a request that comes again is looked for here. Only a bounded past is remembered,
//! and only by this process: whoever needs more asks for it (see [`idempotency`](crate::idempotency)).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidings_core::{Call, call::Message};
use tokio::sync::oneshot;

/// How many handled requests are remembered. An ack is on its way for a few milliseconds.
const MOST: usize = 1_024;

/// How many bytes these may have, with their answers.
const ROOM: usize = 4 << 20;

/// What is remembered of one queue.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// By number.
    at_work: Vec<Option<AtWork>>,
    free: Vec<usize>,
    /// From the oldest on.
    done: VecDeque<Done>,
    /// How large they are.
    bytes: usize,
}

#[derive(Debug)]
struct AtWork {
    request: Arc<Message>,
    /// Told when it is over.
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Done {
    request: Arc<Message>,
    answer: Option<Sent>,
}

/// An answer that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    message: Arc<Message>,
    mandatory: bool,
}

/// What is known of a request that has come again.
#[derive(Debug)]
pub(super) enum Known {
    /// It is being handled; resolves when that is over.
    AtWork(oneshot::Receiver<()>),
    /// It was handled, and this was the answer, if anybody waited for one.
    Done(Option<Sent>),
}

impl Recent {
    /// Notes that a request is about to be handled; `None` if nothing tells it from others.
    pub(super) fn begin(&self, request: &Arc<Message>) -> Option<usize> {
        request.envelope.properties.correlation_id()?;
        let at_work = AtWork {
            request: Arc::clone(request),
            waiting: Vec::new(),
        };
        let mut table = self.table();
        let number = table.free.pop().unwrap_or(table.at_work.len());
        if number == table.at_work.len() {
            table.at_work.push(None);
        }
        table.at_work[number] = Some(at_work);
        Some(number)
    }

    /// Notes that a request was handled and answered.
    pub(super) fn finish(&self, number: usize, answer: Option<Sent>) {
        let mut table = self.table();
        let Some(AtWork { request, waiting }) = table.take(number) else {
            return;
        };
        let done = Done { request, answer };
        table.bytes += done.bytes();
        table.done.push_back(done);
        let mut old = None;
        while table.done.len() > MOST || table.bytes > ROOM {
            let Some(done) = table.done.pop_front() else {
                break;
            };
            table.bytes -= done.bytes();
            old = Some(done);
        }
        // Outside the lock.
        drop(table);
        drop((old, waiting));
    }

    /// Notes that a request has not been handled after all.
    pub(super) fn forget(&self, number: usize) {
        let forgotten = self.table().take(number);
        drop(forgotten); // Outside the lock: it wakes who waits.
    }

    /// What is known of a request that has come again.
    pub(super) fn find(&self, request: &Message) -> Option<Known> {
        request.envelope.properties.correlation_id()?;
        let mut table = self.table();
        let mut at_work = table.at_work.iter_mut().flatten();
        if let Some(same) = at_work.find(|one| is_same(&one.request, request)) {
            let (tell, told) = oneshot::channel();
            same.waiting.push(tell);
            return Some(Known::AtWork(told));
        }
        let mut done = table.done.iter().rev();
        let same = done.find(|one| is_same(&one.request, request))?;
        Some(Known::Done(same.answer.clone()))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn take(&mut self, number: usize) -> Option<AtWork> {
        let taken = self.at_work.get_mut(number)?.take()?;
        self.free.push(number);
        Some(taken)
    }
}

impl Done {
    fn bytes(&self) -> usize {
        let answer = self.answer.as_ref().map(|sent| &sent.message);
        let messages = [Some(&self.request), answer];
        messages
            .into_iter()
            .flatten()
            .map(|message| message.envelope.payload.len())
            .sum()
    }
}

impl Sent {
    pub(super) fn of(answer: &Call) -> Self {
        Self {
            message: Arc::clone(answer.message()),
            mandatory: answer.mandatory,
        }
    }

    /// The answer, to be sent once more.
    pub(super) fn again(self) -> Call {
        let answer = Call::of(self.message);
        if self.mandatory {
            return answer;
        }
        answer.unroutable_is_fine()
    }
}

/// Whether it is the same request, delivered again. A broker may have counted its deliveries in a header.
fn is_same(one: &Message, other: &Message) -> bool {
    let (ours, theirs) = (&one.envelope, &other.envelope);
    ours.properties.correlation_id() == theirs.properties.correlation_id()
        && ours.properties.reply_to() == theirs.properties.reply_to()
        && one.address == other.address
        && ours.payload.bytes == theirs.payload.bytes
}

#[cfg(test)]
mod tests {
    use tidings_core::{Address, Envelope};

    use super::*;

    fn request(id: &str, body: impl Into<Vec<u8>>) -> Arc<Message> {
        let mut envelope = Envelope::new(body.into());
        envelope.properties.fields_mut().correlation_id = Some(id.into());
        Arc::clone(Call::new(Address::new("action", "queue"), envelope).message())
    }

    fn answer(text: &'static str) -> Sent {
        Sent::of(&Call::new(Address::queue("caller"), Envelope::new(text)).unroutable_is_fine())
    }

    /// What was answered to a request that was handled.
    fn answered(recent: &Recent, request: &Message) -> Option<String> {
        match recent.find(request)? {
            Known::Done(Some(sent)) => {
                let again = sent.again();
                assert!(!again.mandatory);
                Some(String::from_utf8_lossy(&again.envelope.payload.bytes).into_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_same_request_is_found() {
        let recent = Recent::default();
        let number = recent.begin(&request("1", "body")).unwrap();
        recent.finish(number, Some(answer("one")));
        assert_eq!(
            answered(&recent, &request("1", "body")).as_deref(),
            Some("one")
        );
        for other in [request("2", "body"), request("1", "other")] {
            assert!(recent.find(&other).is_none());
        }
        let mut elsewhere = Message::clone(&request("1", "body"));
        elsewhere.envelope.properties.fields_mut().reply_to = Some("somebody".into());
        assert!(recent.find(&elsewhere).is_none());
        let mut counted = Message::clone(&request("1", "body"));
        counted.envelope.headers.set("x-delivery-count", 1);
        assert!(recent.find(&counted).is_some());
        let nameless = Call::new(Address::new("action", "queue"), Envelope::new("body"));
        assert_eq!(recent.begin(nameless.message()), None);
        assert!(recent.find(&nameless).is_none());
    }

    #[test]
    fn who_comes_while_it_is_handled_is_told_when_it_is_over() {
        let recent = Recent::default();
        let request = request("1", "body");
        for is_handled in [false, true] {
            let number = recent.begin(&request).unwrap();
            let Some(Known::AtWork(mut over)) = recent.find(&request) else {
                panic!("it is at work");
            };
            assert_eq!(over.try_recv(), Err(oneshot::error::TryRecvError::Empty));
            match is_handled {
                true => recent.finish(number, None),
                false => recent.forget(number),
            }
            assert_eq!(over.try_recv(), Err(oneshot::error::TryRecvError::Closed));
            assert_eq!(recent.find(&request).is_some(), is_handled);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let recent = Recent::default();
        let check = |count: usize, size: usize, left: usize| {
            for number in 0..count {
                let request = request(&number.to_string(), vec![0; size]);
                let number = recent.begin(&request).unwrap();
                recent.finish(number, Some(answer("")));
            }
            let table = recent.table();
            assert_eq!((table.done.len(), table.bytes), (left, left * size));
            assert_eq!(table.at_work.len(), 1, "places are used again");
        };
        check(2 * MOST, 0, MOST);
        check(9, ROOM / 4, 4);
        check(1, ROOM + 1, 0);
    }
}
