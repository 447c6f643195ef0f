//! A server of calls over the broker in memory, and somebody who calls it by hand.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{
    Address, Call, Deadline, Envelope, HandlerError, Request,
    contract::Response,
    lock::FencingToken,
    properties::Fields,
    topology::Exchange,
    transport::{Inbox, Publisher, Transport},
};
use tidings_embedded::Embedded;
use tidings_router::{Router, State, Subscriber};
use tidings_rpc::Rpc;
use tidings_server::{Server, ServerBuilder};
use tokio::sync::{Semaphore, mpsc};

pub(crate) const QUEUE: &str = "web1";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Requests with equal keys exclude one another.
#[derive(Debug, Request, Serialize, Deserialize, JsonSchema)]
#[request(exchange = "work", response = u32, lock = "key", crate = tidings_core)]
pub(crate) struct Work {
    pub(crate) key: String,
    pub(crate) number: u32,
}

/// One at a time.
#[derive(Debug, Request, Serialize, Deserialize, JsonSchema)]
#[request(exchange = "count", response = u32, crate = tidings_core)]
pub(crate) struct Count {
    pub(crate) number: u32,
}

/// Handlers say here what they do, and wait here until they may go on.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    said: mpsc::UnboundedSender<String>,
    go: Arc<Semaphore>,
}

impl Stage {
    async fn act(&self, what: String) {
        self.said.send(what).unwrap();
        self.go.acquire().await.unwrap().forget();
    }

    /// Lets so many handlers go on.
    pub(crate) fn go(&self, handlers: usize) {
        self.go.add_permits(handlers);
    }
}

#[expect(clippy::panic, reason = "a handler that panics is what is tested")]
async fn work(
    State(stage): State<Stage>,
    token: Option<FencingToken>,
    request: Work,
) -> Result<Response<u32>, HandlerError> {
    let token = token.map_or_else(String::new, |token| format!(" with {token}"));
    stage
        .act(format!("work {}{}{token}", request.key, request.number))
        .await;
    match &*request.key {
        "fail" => Err(HandlerError::fatal("a secret of the handler")),
        "panic" => panic!("on purpose"),
        _ => Ok(Response::success("Worked", request.number)),
    }
}

async fn count(State(stage): State<Stage>, request: Count) -> Response<u32> {
    stage.act(format!("count {}", request.number)).await;
    Response::success("Counted", request.number)
}

pub(crate) fn subscriber() -> Subscriber<Stage> {
    Subscriber::new(QUEUE).on_request(work).on_request(count)
}

/// The broker, the stage and a caller.
pub(crate) struct Rig {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) stage: Stage,
    said: mpsc::UnboundedReceiver<String>,
    publisher: Arc<dyn Publisher>,
    inbox: Inbox,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let transport: Arc<dyn Transport> = Arc::new(Embedded::memory());
        let inbox = transport.reply_queue().await.unwrap();
        for name in ["work", "count", "other"] {
            let exchange = Exchange::direct(name).transient();
            transport
                .route_replies(&inbox.reply_to, &exchange)
                .await
                .unwrap();
        }
        let (say, said) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        Self {
            publisher: transport.publisher().await.unwrap(),
            stage: Stage { said: say, go },
            transport,
            said,
            inbox,
        }
    }

    pub(crate) fn server(&self) -> ServerBuilder {
        let rpc = Rpc::new(QUEUE).unwrap().exchange("other").unwrap();
        Server::builder(Arc::clone(&self.transport), rpc).concurrency(2)
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .subscriber(subscriber())
            .with_state(self.stage.clone())
    }

    /// Sends a request whose caller waits for ever.
    pub(crate) async fn ask(&self, exchange: &str, body: Value) {
        self.ask_for(exchange, body, None).await;
    }

    /// Sends a request whose caller waits this long. Its correlation id is its `number`.
    pub(crate) async fn ask_for(&self, exchange: &str, body: Value, wait: Option<Duration>) {
        let fields = Fields {
            correlation_id: Some(body["number"].to_string().into()),
            reply_to: Some(Arc::clone(&self.inbox.reply_to)),
            expiration: wait,
            ..Fields::default()
        };
        let envelope = Envelope::new(body.to_string()).with_properties(fields);
        let call = Call::new(Address::new(exchange, QUEUE), envelope);
        self.publisher.publish(call).await.unwrap();
    }

    /// Works on this number of this key.
    pub(crate) async fn work(&self, key: &str, number: u32) {
        self.ask("work", json!({"key": key, "number": number}))
            .await;
    }

    /// Where answers come to.
    pub(crate) fn reply_to(&self) -> Arc<str> {
        Arc::clone(&self.inbox.reply_to)
    }

    /// The next answer: to which request, and what.
    pub(crate) async fn answer(&mut self) -> (String, Value) {
        let answer = self.inbox.replies.next().await.unwrap().unwrap();
        let (call, acker) = answer.split();
        acker.settle(tidings_core::Settlement::Ack).await.unwrap();
        let id = call.envelope.properties.correlation_id().unwrap();
        let body = serde_json::from_slice(&call.envelope.payload.bytes).unwrap();
        (id.to_string(), body)
    }

    /// The message of the next answer, and to which request.
    pub(crate) async fn told(&mut self) -> (String, String) {
        let (id, body) = self.answer().await;
        (id, body["message"].as_str().unwrap().to_owned())
    }

    /// The next thing a handler does.
    pub(crate) async fn begun(&mut self) -> String {
        self.said.recv().await.unwrap()
    }

    /// What a handler has done that nobody has waited for.
    pub(crate) fn begun_already(&mut self) -> Option<String> {
        self.said.try_recv().ok()
    }

    /// Lets so many handlers go on.
    pub(crate) fn go(&self, handlers: usize) {
        self.stage.go(handlers);
    }

    /// Resolves once the queue holds so many messages in all.
    pub(crate) async fn depth(&self, expected: u64) {
        let deadline = Deadline::after(60 * SECOND);
        loop {
            let queues = [QUEUE.into()];
            let status = self.transport.queues(&queues).await.unwrap();
            if status[0].depth() == expected {
                return;
            }
            assert!(!deadline.is_past(), "{status:?}");
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
}
