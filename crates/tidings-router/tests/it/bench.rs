//! A convention whose messages are their payload, and one route on a workbench.
//!
//! The convention stands in for a real one so that a failing test speaks of the router alone.

use std::{
    borrow::Cow,
    future::poll_fn,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind, Event, Reply, Settlement,
    call::Message,
    codec::Format,
    convention::{Attachment, Convention, Failed, Fate, Interest, Opened, Outgoing, Plan},
    error::Result,
    extensions::Extensions,
    retry_policy::RetryPolicy,
    topology::Topology,
};
use tidings_router::{Handler, Route, RouteService, Router, Subscriber};
use tower_service::Service;

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize, JsonSchema)]
#[event(crate = tidings_core)]
pub(crate) struct UserCreated {
    pub(crate) email: String,
}

impl UserCreated {
    pub(crate) const BODY: &str = r#"{"email": "ada@example.com"}"#;
}

/// Takes the payload as the fields; refuses one that starts with `?`.
#[derive(Debug)]
pub(crate) struct Plain;

impl Convention for Plain {
    fn format(&self) -> Format {
        Format::Json
    }

    fn topology(&self) -> Topology {
        Topology::new()
    }

    fn seal(&self, message: &Outgoing<'_>) -> Result<Call> {
        let mut body = Vec::new();
        (message.body)(self.format(), &mut body)?;
        Ok(Call::new(Address::queue(message.name), Envelope::new(body)))
    }

    fn open<'a>(&self, message: &'a Message, _: &Attachment) -> Result<Opened<'a>> {
        if message.envelope.payload.bytes.starts_with(b"?") {
            return Err(Error::new(ErrorKind::Decode, "the envelope is closed"));
        }
        Ok(Opened {
            id: "7".into(),
            name: "user.created".into(),
            version: 1,
            kind: "event".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            meta: r#"{"correlation_id": "c-1"}"#.into(),
            body: Cow::Borrowed(&message.envelope.payload.bytes),
        })
    }

    fn attach(&self, name: &str, interest: &Interest, retry: &RetryPolicy) -> Result<Attachment> {
        Ok(Attachment {
            subscriber: name.into(),
            interest: interest.clone(),
            queue: format!("queue.{name}").into(),
            topology: Topology::new(),
            retry: retry.clone(),
        })
    }

    fn recover(&self, _: &Failed<'_>) -> Plan {
        Plan::Settle {
            settlement: Settlement::Nack { delay: None },
            fate: Fate::Requeued,
        }
    }
}

/// What handlers write down; the state of every router here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The only route of a router with one handler.
pub(crate) fn route<H, Args: 'static>(handler: H, notes: &Notes) -> Route
where
    H: Handler<Args, Notes>,
{
    let router = Router::new().subscriber(Subscriber::new("bench").on(handler));
    let mut routes = router.with_state(notes.clone()).into_routes();
    assert_eq!(routes.len(), 1);
    routes.remove(0)
}

/// The service of a route, over [`Plain`].
pub(crate) fn service(route: &Route, services: Extensions) -> RouteService {
    let attachment = Plain
        .attach(route.subscriber(), route.interest(), &RetryPolicy::new(0))
        .unwrap();
    route.service(Arc::new(Plain), Arc::new(attachment), Arc::new(services))
}

pub(crate) fn call(body: &str) -> Call {
    let envelope = Envelope::new(body.to_owned());
    Call::new(Address::queue("queue.bench"), envelope).with_origin("queue.bench".into(), true)
}

pub(crate) async fn send(route: &Route, call: Call) -> Result<Reply> {
    let mut service = service(route, Extensions::default());
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(call).await
}

/// Hands one message to one handler.
pub(crate) async fn handle<H, Args: 'static>(handler: H, notes: &Notes, body: &str) -> Result<Reply>
where
    H: Handler<Args, Notes>,
{
    send(&route(handler, notes), call(body)).await
}
