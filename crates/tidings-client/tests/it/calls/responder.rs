//! The other side, written by hand from the description of the wire: what a request's body says is what it does.

use std::sync::{Arc, Mutex};

use tidings_core::{
    Address, Call, Delivery, Envelope, Payload, Settlement,
    error::Result,
    properties::Fields,
    tasks::Tasks,
    topology::{Exchange, Queue, Topology},
    transport::{Publisher, Subscription, Transport},
};
use tokio::sync::watch;

use super::bed::QUEUE;

/// The exchanges that it has handlers for.
const EXCHANGES: [&str; 2] = ["greet", "echo"];

/// Answers until it is dropped: to `greet` with what the test says, to `echo` with the body. It keeps what it got, and
/// does not answer what contains `silent`, answers twice what contains `twice`, and holds back what contains `hold`.
#[derive(Debug)]
pub(super) struct Responder {
    shared: Arc<Shared>,
    pub(super) transport: Arc<dyn Transport>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<String>,
    seen: watch::Sender<Vec<Call>>,
    held: Mutex<Vec<Call>>,
    publisher: Arc<dyn Publisher>,
}

impl Responder {
    pub(super) async fn start(transport: Arc<dyn Transport>) -> Self {
        let publisher = transport.publisher().await.unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(
                r#"{"success":true,"message":"Hello","data":{"text":"hello"}}"#.to_owned(),
            ),
            seen: watch::Sender::default(),
            held: Mutex::default(),
            publisher,
        });
        let responder = Self {
            shared: Arc::clone(&shared),
            transport,
            tasks: Tasks::new(),
        };
        responder.declare().await;
        let to = Subscription::to(QUEUE).with_prefetch(1_000);
        let mut requests = responder.transport.subscribe(to).await.unwrap();
        responder.tasks.spawn("responder", async move {
            while let Some(Ok(delivery)) = requests.next().await {
                shared.handle(delivery).await.unwrap();
            }
        });
        responder
    }

    /// Its queue and exchanges, as a deployed consumer declares them.
    pub(super) async fn declare(&self) {
        self.transport.declare(&topology()).await.unwrap();
    }

    /// Removes the exchanges, as a restart of a broker does with those that are not durable.
    pub(super) async fn forget_exchanges(&self) {
        let mut topology = topology();
        topology.queues.clear();
        topology.bindings.clear();
        self.transport.delete(&topology).await.unwrap();
    }

    /// What it answers to `greet` from now on.
    pub(super) fn says(&self, answer: &str) {
        *self.shared.answer.lock().unwrap() = answer.to_owned();
    }

    /// Waits until it has got so many requests, and returns them.
    pub(super) async fn seen(&self, number: usize) -> Vec<Call> {
        let mut seen = self.shared.seen.subscribe();
        seen.wait_for(|seen| seen.len() >= number)
            .await
            .unwrap()
            .clone()
    }

    /// Answers what it has held back, the last first.
    pub(super) async fn release(&self) {
        let held = std::mem::take(&mut *self.shared.held.lock().unwrap());
        for call in held.iter().rev() {
            self.shared.answer(call).await.unwrap();
        }
    }
}

impl Shared {
    async fn handle(&self, delivery: Delivery) -> Result<()> {
        let (call, acker) = delivery.split();
        let body = String::from_utf8_lossy(&call.envelope.payload.bytes).into_owned();
        if body.contains("hold") {
            self.held.lock().unwrap().push(call.clone());
        } else if !body.contains("silent") {
            self.answer(&call).await?;
        }
        if body.contains("twice") {
            self.answer(&call).await?;
        }
        self.seen.send_modify(|seen| seen.push(call));
        acker.settle(Settlement::Ack).await
    }

    async fn answer(&self, call: &Call) -> Result<()> {
        let body = match &*call.address.exchange {
            "echo" => call.envelope.payload.bytes.clone(),
            _ => self.answer.lock().unwrap().clone().into(),
        };
        let properties = &call.envelope.properties;
        let mut envelope = Envelope::default().transient();
        envelope.payload = Payload::json(body);
        envelope.properties = Fields {
            correlation_id: properties.correlation_id().cloned(),
            ..Fields::default()
        }
        .into();
        let to = properties
            .reply_to()
            .expect("every request has one")
            .clone();
        let answer = Call::new(Address::new(call.address.exchange.clone(), to), envelope);
        self.publisher.publish(answer.unroutable_is_fine()).await
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

fn topology() -> Topology {
    let topology = Topology::new().queue(Queue::new(QUEUE));
    EXCHANGES.into_iter().fold(topology, |topology, name| {
        topology
            .exchange(Exchange::direct(name).transient())
            .bind(name, QUEUE, QUEUE)
    })
}
