//! One record, and how it is written for the log server.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tidings_core::{Payload, call::Message, codec::Format, error::Result};
use tidings_rpc::UNEXPECTED;
use tokio::sync::OwnedSemaphorePermit;

use super::source::Source;

/// What waits to be shipped.
pub(super) struct Record {
    pub(super) source: Arc<Source>,
    pub(super) exchange: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) content: Content,
    /// The bytes that it takes up in the queue.
    pub(super) room: OwnedSemaphorePermit,
}

/// What it is about.
pub(super) enum Content {
    /// A request, as it came.
    Request(Arc<Message>),
    /// The answer to one.
    Answer {
        payload: Payload,
        /// Why it failed.
        traceback: Option<String>,
    },
}

/// Which of the log server's two places a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Requests,
    Responses,
}

#[derive(Serialize)]
struct Request<'a> {
    correlation_id: &'a str,
    request_payload: Value,
    virtual_host_name: &'a str,
    queue_name: &'a str,
    rabbitmq_username: &'a str,
    hostname: &'a str,
    exchange_name: &'a str,
}

#[derive(Serialize)]
struct Response<'a> {
    correlation_id: &'a str,
    response_payload: Value,
    traceback: Option<&'a str>,
}

impl Record {
    /// Where it goes, what is sent there, and the room that it takes up until it has arrived.
    pub(super) fn write(self) -> (Place, Result<Bytes>, OwnedSemaphorePermit) {
        let (place, body) = match &self.content {
            Content::Request(message) => (Place::Requests, self.request(message)),
            Content::Answer { payload, traceback } => (
                Place::Responses,
                self.response(payload, traceback.as_deref()),
            ),
        };
        (place, body, self.room)
    }

    fn request(&self, message: &Message) -> Result<Bytes> {
        let source = &*self.source;
        encode(&Request {
            correlation_id: &self.id,
            request_payload: self.members(message),
            virtual_host_name: &source.virtual_host,
            queue_name: source.rpc.queue(),
            rabbitmq_username: &source.username,
            hostname: &source.hostname,
            exchange_name: &self.exchange,
        })
    }

    /// As the request was understood, or as it came if it was not.
    fn members(&self, message: &Message) -> Value {
        let Source { rpc, requests, .. } = &*self.source;
        let understood = requests.get(&*self.exchange).and_then(|request| {
            let body = rpc.body(message).ok()?;
            // Decoding runs code of the contract's author, who is not there to see what it does here.
            let members = catch_unwind(AssertUnwindSafe(|| {
                (request.normalise)(Format::Json, &body)
            }));
            members.ok()?.ok().filter(Value::is_object)
        });
        match understood {
            Some(members) => rpc.redact(message, members),
            None => rpc.redact_body(message),
        }
    }

    fn response(&self, payload: &Payload, traceback: Option<&str>) -> Result<Bytes> {
        let answer = match serde_json::from_slice(&payload.bytes) {
            Ok(answer @ Value::Object(_)) => answer,
            Ok(answer) => json!({ "answer": answer }),
            Err(_) => json!({ "undecodable_bytes": payload.len() }),
        };
        // Who was told the reason can read it in the answer.
        let is_unexpected = answer["message"] == UNEXPECTED;
        encode(&Response {
            correlation_id: &self.id,
            response_payload: self.source.rpc.redact_answer(&self.exchange, answer),
            traceback: traceback.filter(|_| is_unexpected),
        })
    }
}

fn encode(record: &impl Serialize) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(512);
    Format::Json.encode(record, &mut bytes)?;
    Ok(bytes.into())
}
