//! A publisher that answers as it is told and remembers what it has confirmed.

use std::sync::{Arc, Mutex};

use tidings_core::{Call, Completion, Error, ErrorKind, error::Result, transport::Publisher};
use tokio::sync::{Notify, oneshot};

/// How publishes are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Confirmed at once.
    Confirm,
    /// Failed at once.
    Fail(ErrorKind),
    /// Not answered until [`Primary::release`].
    Hold,
}

/// A broker under the control of the test. Clones are the same broker.
#[derive(Clone, Debug)]
pub(crate) struct Primary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    handed_over: Notify,
}

#[derive(Debug)]
struct State {
    answer: Answer,
    /// From this publish on the answer is another.
    change: Option<(usize, Answer)>,
    refused: Vec<(String, ErrorKind)>,
    seen: Vec<String>,
    confirmed: Vec<Call>,
    held: Vec<(Call, oneshot::Sender<Result<()>>)>,
}

impl Primary {
    pub(crate) fn new(answer: Answer) -> Self {
        let state = State {
            answer,
            change: None,
            refused: Vec::new(),
            seen: Vec::new(),
            confirmed: Vec::new(),
            held: Vec::new(),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            handed_over: Notify::new(),
        }))
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.0.state.lock().unwrap().answer = answer;
    }

    /// Answers differently after this many publishes in all.
    pub(crate) fn answer_after(self, publishes: usize, answer: Answer) -> Self {
        self.0.state.lock().unwrap().change = Some((publishes, answer));
        self
    }

    /// Refuses calls with this key.
    pub(crate) fn refuse(self, key: &str, kind: ErrorKind) -> Self {
        self.0
            .state
            .lock()
            .unwrap()
            .refused
            .push((key.to_owned(), kind));
        self
    }

    /// Answers everything held back.
    pub(crate) fn release(&self, failure: Option<ErrorKind>) {
        let mut state = self.0.state.lock().unwrap();
        for (call, answer) in std::mem::take(&mut state.held) {
            let result = failure.map_or(Ok(()), |kind| Err(failed(kind)));
            if result.is_ok() {
                state.confirmed.push(call);
            }
            answer.send(result).ok();
        }
    }

    /// Waits until this many publishes are held back.
    pub(crate) async fn holds(&self, publishes: usize) {
        while self.0.state.lock().unwrap().held.len() < publishes {
            self.0.handed_over.notified().await;
        }
    }

    /// The keys of all publishes, in the order of hand-over.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.0.state.lock().unwrap().seen.clone()
    }

    pub(crate) fn confirmed(&self) -> Vec<Call> {
        self.0.state.lock().unwrap().confirmed.clone()
    }

    pub(crate) fn confirmed_keys(&self) -> Vec<String> {
        self.confirmed()
            .iter()
            .map(|call| call.address.key.to_string())
            .collect()
    }
}

impl Publisher for Primary {
    fn publish(&self, call: Call) -> Completion {
        let mut state = self.0.state.lock().unwrap();
        if let Some((publishes, answer)) = state.change
            && state.seen.len() >= publishes
        {
            state.answer = answer;
        }
        let key = call.address.key.to_string();
        let refused = state.refused.iter().find(|(refused, _)| *refused == key);
        let answer = refused.map_or(state.answer, |(_, kind)| Answer::Fail(*kind));
        state.seen.push(key);
        self.0.handed_over.notify_one();
        match answer {
            Answer::Confirm => {
                state.confirmed.push(call);
                Completion::ready(Ok(()))
            }
            Answer::Fail(kind) => Completion::ready(Err(failed(kind))),
            Answer::Hold => {
                let (answer, answered) = oneshot::channel();
                state.held.push((call, answer));
                Completion::waiting(answered, "the broker was dropped")
            }
        }
    }
}

fn failed(kind: ErrorKind) -> Error {
    Error::new(kind, "the broker said no")
}
