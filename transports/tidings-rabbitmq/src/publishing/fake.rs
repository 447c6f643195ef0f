//! A broker for the tests of the publish task: it does what the test says, when the test says it.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use tidings_core::{
    Address, Call, Completion, Envelope, Error, ErrorKind, Result, call::Message, tasks::Tasks,
    transport::BoxFuture,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Publishing, Times,
    line::{Line, Loss, Refusal, Returned, Source, Verdict},
};
use crate::error;

/// The publish task with a broker that the test plays.
pub(super) struct Stage {
    pub(super) publishing: Publishing,
    pub(super) tasks: Tasks,
    lines: Option<mpsc::UnboundedSender<FakeLine>>,
    is_blocked: Arc<AtomicBool>,
}

impl Stage {
    /// With a window and a limit, and no channel yet.
    pub(super) fn new(times: Times, window: usize, limit: usize) -> Self {
        let (lines, opened) = mpsc::unbounded_channel();
        let is_blocked = Arc::new(AtomicBool::new(false));
        let source = FakeSource {
            lines: Arc::new(tokio::sync::Mutex::new(opened)),
            is_blocked: Arc::clone(&is_blocked),
        };
        let (publishing, task) = Publishing::prepare(source, times, window, limit, error::closed);
        let tasks = Tasks::new();
        tasks.spawn("publishing", task);
        Self {
            publishing,
            tasks,
            lines: Some(lines),
            is_blocked,
        }
    }

    /// Whether the broker reads nothing from the connection on which the next channel is to be opened.
    pub(super) fn block(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::SeqCst);
    }

    /// The next channel, on this connection.
    pub(super) fn open(&self, generation: u64) -> FakeLine {
        self.open_as(generation, false)
    }

    pub(super) fn open_as(&self, generation: u64, is_precious: bool) -> FakeLine {
        let line = FakeLine::new(generation, is_precious);
        if let Some(lines) = &self.lines {
            lines.send(line.clone()).expect("the task runs");
        }
        line
    }

    /// There will never be another channel.
    pub(super) fn close(&mut self) {
        self.lines = None;
    }

    pub(super) fn publish(&self, to: &str) -> Completion {
        self.publishing.publish(call(to))
    }

    /// As one does on whose answer a delivery depends.
    pub(super) fn publish_patiently(&self, to: &str) -> Completion {
        self.publishing.publish(call(to).patiently())
    }

    /// Publishes to each and gives up the answers.
    pub(super) fn publish_all(&self, to: &[&str]) -> Vec<Completion> {
        to.iter().map(|to| self.publish(to)).collect()
    }
}

/// `key` or `exchange/key`; what is behind a `#` is the payload.
pub(super) fn call(to: &str) -> Call {
    let (address, payload) = to.split_once('#').unwrap_or((to, ""));
    let address = match address.split_once('/') {
        Some((exchange, key)) => Address::new(exchange, key),
        None => Address::queue(address),
    };
    Call::new(address, Envelope::new(payload.to_owned()))
}

/// Lets everything happen that can happen without the clock.
pub(super) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn kind(completion: Completion) -> Result<(), ErrorKind> {
    completion.await.map_err(|error| error.kind())
}

struct FakeSource {
    lines: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<FakeLine>>>,
    is_blocked: Arc<AtomicBool>,
}

impl Source for FakeSource {
    type Line = FakeLine;

    fn open(&mut self) -> BoxFuture<'static, Result<FakeLine>> {
        let lines = Arc::clone(&self.lines);
        Box::pin(async move { lines.lock().await.recv().await.ok_or_else(error::closed) })
    }

    fn trouble(&self) -> String {
        "nobody is there".to_owned()
    }

    fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::SeqCst)
    }

    fn ended(&self) -> Error {
        error::closed()
    }
}

/// A channel that the test answers on.
#[derive(Clone)]
pub(super) struct FakeLine {
    generation: u64,
    is_precious: bool,
    sent: Arc<Mutex<Vec<Sent>>>,
    probes: Arc<Mutex<Vec<Sent>>>,
    blocked: Arc<watch::Sender<Option<String>>>,
    over: CancellationToken,
    is_broken: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
}

struct Sent {
    message: Arc<Message>,
    answer: Option<oneshot::Sender<Verdict>>,
}

impl FakeLine {
    fn new(generation: u64, is_precious: bool) -> Self {
        Self {
            generation,
            is_precious,
            sent: Arc::default(),
            probes: Arc::default(),
            blocked: Arc::new(watch::Sender::new(None)),
            over: CancellationToken::new(),
            is_broken: Arc::default(),
            looks: Arc::default(),
        }
    }

    /// Where everything sent on it went, in order.
    pub(super) fn sent(&self) -> Vec<String> {
        addresses(&self.lock())
    }

    /// Where all probes went.
    pub(super) fn probed(&self) -> Vec<String> {
        addresses(&self.probes.lock().unwrap())
    }

    /// How often the task has looked whether the broker reads: a task that is at rest does not.
    pub(super) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// Answers the publish with this number, in the order of sending.
    pub(super) fn answer(&self, index: usize, verdict: Verdict) {
        answer(&mut self.lock()[index], verdict);
    }

    pub(super) fn confirm(&self, index: usize) {
        self.answer(index, Verdict::Confirmed(None));
    }

    /// Confirms one, with the returned message of another.
    pub(super) fn confirm_returning(&self, index: usize, returned: usize) {
        let message = Arc::clone(&self.lock()[returned].message);
        let returned = Returned {
            exchange: message.address.exchange.to_string(),
            key: message.address.key.to_string(),
            payload: message.envelope.payload.bytes.to_vec(),
        };
        self.answer(index, Verdict::Confirmed(Some(Box::new(returned))));
    }

    pub(super) fn answer_probe(&self, index: usize, verdict: Verdict) {
        answer(&mut self.probes.lock().unwrap()[index], verdict);
    }

    /// The broker closes the channel under everything that is not answered.
    pub(super) fn refuse(&self, code: u16, text: &str) {
        self.lose(&refused(code, text));
    }

    pub(super) fn lose(&self, loss: &Loss) {
        for sent in &mut *self.lock() {
            answer(sent, Verdict::Lost(loss.clone()));
        }
    }

    /// The connection ends.
    pub(super) fn end(&self) {
        self.over.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// The task panics when it sends next.
    pub(super) fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }

    pub(super) fn block(&self, why: Option<&str>) {
        self.blocked.send_replace(why.map(str::to_owned));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap()
    }
}

pub(super) fn refused(code: u16, text: &str) -> Loss {
    Loss::Refused(Refusal {
        code,
        text: text.to_owned(),
    })
}

fn addresses(sent: &[Sent]) -> Vec<String> {
    sent.iter()
        .map(|sent| sent.message.address.to_string())
        .collect()
}

fn answer(sent: &mut Sent, verdict: Verdict) {
    if let Some(answer) = sent.answer.take() {
        // The task may have given it up.
        drop(answer.send(verdict));
    }
}

/// Notes the message at the first poll, as lapin queues frames at the first poll.
async fn send(sent: Arc<Mutex<Vec<Sent>>>, message: Arc<Message>) -> Verdict {
    let (answer, answered) = oneshot::channel();
    let answer = Some(answer);
    sent.lock().unwrap().push(Sent { message, answer });
    match answered.await {
        Ok(verdict) => verdict,
        Err(_) => poll_fn(|_| Poll::Pending).await,
    }
}

impl Line for FakeLine {
    fn send(
        &self,
        message: &Arc<Message>,
        _mandatory: bool,
    ) -> impl Future<Output = Verdict> + Send + 'static {
        let is_broken = self.is_broken.load(Ordering::SeqCst);
        assert!(!is_broken, "the test wants a panic");
        send(Arc::clone(&self.sent), Arc::clone(message))
    }

    fn probe(&self, message: &Arc<Message>, _mandatory: bool) -> BoxFuture<'static, Verdict> {
        Box::pin(send(Arc::clone(&self.probes), Arc::clone(message)))
    }

    fn is_precious(&self) -> bool {
        self.is_precious
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn over(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.over.clone().cancelled_owned())
    }

    fn why(&self) -> String {
        "it was cut".to_owned()
    }

    fn blocked(&self) -> Option<String> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.blocked.borrow().clone()
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        let mut blocked = self.blocked.subscribe();
        Box::pin(async move {
            let _still_there = blocked.wait_for(Option::is_none).await.is_ok();
        })
    }

    fn condemn(&self, _why: String) {
        self.over.cancel();
    }
}
