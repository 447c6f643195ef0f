//! A caller that can send anything and sees every reply.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;
use tidings::{
    Address, Call, Envelope, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::{Fields, Payload, Publisher, Subscriber, Subscription, Transport},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::QUEUE;
use crate::bed::PATIENCE;

/// A caller with a reply queue of its own.
pub(super) struct Probe {
    transport: Arc<dyn Transport>,
    publisher: Arc<dyn Publisher>,
    replies: Box<dyn Subscriber>,
    routed: BTreeSet<&'static str>,
    reply_to: Arc<str>,
}

/// A request, as odd as a test wants it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    exchange: &'static str,
    body: Vec<u8>,
    pub(super) fields: Fields,
}

impl Probe {
    pub(super) async fn open(transport: Arc<dyn Transport>) -> Self {
        let reply_to: Arc<str> = format!("probe-{}", Uuid::new_v4()).into();
        let queue = Queue::exclusive(Arc::clone(&reply_to));
        let topology = Topology::new().queue(queue);
        transport.declare(&topology).await.unwrap();
        let to = Subscription::to(Arc::clone(&reply_to)).with_prefetch(1_000);
        Self {
            replies: transport.subscribe(to).await.unwrap(),
            publisher: transport.publisher().await.unwrap(),
            routed: BTreeSet::new(),
            transport,
            reply_to,
        }
    }

    /// A request as the deployed client makes it.
    pub(super) fn request(&self, exchange: &'static str, body: impl Into<Vec<u8>>) -> Request {
        Request {
            exchange,
            body: body.into(),
            fields: Fields {
                reply_to: Some(Arc::clone(&self.reply_to)),
                correlation_id: Some(Uuid::new_v4().to_string().into()),
                expiration: Some(Duration::from_secs(300)),
                ..Fields::default()
            },
        }
    }

    /// Sends a request; returns when the broker has it.
    pub(super) async fn send(&mut self, request: Request) {
        if self.routed.insert(request.exchange) {
            let reply_to = &self.reply_to;
            let route = Topology::new()
                .exchange(Exchange::direct(request.exchange).transient())
                .queue(Queue::exclusive(Arc::clone(reply_to)))
                .bind(request.exchange, Arc::clone(reply_to), Arc::clone(reply_to));
            self.transport.declare(&route).await.unwrap();
        }
        let mut envelope = Envelope::default().transient();
        envelope.payload = Payload::json(request.body);
        envelope.properties = request.fields.into();
        let call = Call::new(Address::new(request.exchange, QUEUE), envelope);
        self.publisher.publish(call).await.unwrap();
    }

    /// Sends a request with this body, as the deployed client does.
    pub(super) async fn send_json(&mut self, exchange: &'static str, body: &Value) {
        let request = self.request(exchange, body.to_string());
        self.send(request).await;
    }

    /// The next reply.
    pub(super) async fn reply(&mut self) -> Call {
        let next = timeout(PATIENCE, self.replies.next()).await;
        let delivery = next.expect("a reply in time").unwrap().unwrap();
        let (call, acker) = delivery.split();
        acker.settle(Settlement::Ack).await.unwrap();
        call
    }

    /// The next replies, as they come.
    pub(super) async fn replies(&mut self, count: usize) -> Vec<Value> {
        let mut replies = Vec::new();
        while replies.len() < count {
            let reply = text(&self.reply().await);
            replies.push(serde_json::from_str(&reply).unwrap());
        }
        replies
    }

    /// Sends a request and returns the body of its reply, which must be the next.
    pub(super) async fn ask(&mut self, request: Request) -> String {
        let id = request.fields.correlation_id.clone();
        self.send(request).await;
        let reply = self.reply().await;
        let replied = reply.envelope.properties.correlation_id().cloned();
        assert_eq!(replied, id, "{}", text(&reply));
        text(&reply)
    }

    /// Asks as the deployed client does.
    pub(super) async fn ask_json(&mut self, exchange: &'static str, body: &Value) -> String {
        let request = self.request(exchange, body.to_string());
        self.ask(request).await
    }

    /// The next reply is the one to a request that is made now.
    pub(super) async fn has_no_further_reply(&mut self) {
        let last = r#"{"name": "the last one"}"#;
        let reply = self.ask(self.request("acc_echo", last)).await;
        assert!(reply.contains("the last one"), "{reply}");
    }
}

/// The body of a reply.
pub(super) fn text(reply: &Call) -> String {
    String::from_utf8(reply.envelope.payload.bytes.to_vec()).unwrap()
}
