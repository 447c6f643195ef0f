//! The handlers of a virtual host as a router: those that are linked, or their stand-ins, and one for what nobody handles.

use std::sync::Arc;

use serde_json::Value;
use tidings_core::{
    AnyMessage, Error, ErrorKind, Kind, Payload, Reply, codec::Format, convention::Interest,
    error::Result, respond::Respond,
};
use tidings_router::{
    AnyHandler, OrderKey, Router, States, Subscriber,
    registry::{Registration, RequestInfo},
};

use crate::plan::Plan;

/// The router of a virtual host.
///
/// Each handler is a subscriber of its own under the name of the queue, so that each has its own locks; the server joins
/// them again.
pub(crate) fn router(plan: &Plan, states: States, mock: bool) -> Router {
    let queue: Arc<str> = plan.host.queue.as_str().into();
    let mut router = Router::new();
    for registration in &plan.handlers {
        let handler = if mock {
            stand_in(registration)
        } else {
            (registration.handler)()
        };
        let mut subscriber = Subscriber::new(Arc::clone(&queue)).on_any(handler);
        if let Some(lock) = OrderKey::lock_of(&registration.request) {
            subscriber = subscriber.ordered_by(lock);
        }
        router = router.subscriber(subscriber);
    }
    let rest = Interest::Queue {
        name: Arc::clone(&queue),
        kind: Some(Kind::Call),
    };
    let nobody = AnyHandler::new(nobody).with_interest(rest);
    router
        .subscriber(Subscriber::new(queue).on_any(nobody))
        .with_state(states)
}

/// Answers requests that nobody handles, at once, instead of letting their callers wait.
async fn nobody(request: AnyMessage) -> Unhandled {
    Unhandled(request.metadata.name)
}

/// A request to an exchange that nobody handles.
struct Unhandled(String);

impl Respond for Unhandled {
    fn respond(self) -> Result<Reply> {
        Err(Error::new(ErrorKind::NoRoute, no_handler(&self.0)))
    }
}

/// What whoever calls an exchange that nobody handles is told.
pub(crate) fn no_handler(exchange: &str) -> String {
    format!("No handler for exchange `{exchange}`")
}

/// Answers requests without doing anything: checked as the handler's would be, answered with what it might say.
fn stand_in(registration: &Registration) -> AnyHandler<States> {
    let request = registration.request;
    let schema = Arc::new((request.reply_schema)());
    let pretend = move |message: AnyMessage| {
        let made_up = make_up(&request, &message, &schema);
        async move { Answered(made_up) }
    };
    AnyHandler::new(pretend).with_interest(Interest::Contract(request.contract))
}

fn make_up(request: &RequestInfo, message: &AnyMessage, schema: &Value) -> Result<Reply> {
    (request.normalise)(Format::Json, &message.body)?;
    let mut reply = tidings_rpc::sample::of(schema, &mut fastrand::Rng::new())?;
    if let Some(success @ Value::Bool(_)) = reply.get_mut("success") {
        *success = Value::Bool(true);
    }
    let mut bytes = Vec::with_capacity(128);
    Format::Json.encode(&reply, &mut bytes)?;
    Ok(Reply::payload(Payload::json(bytes)))
}

/// What a stand-in says.
struct Answered(Result<Reply>);

impl Respond for Answered {
    fn respond(self) -> Result<Reply> {
        self.0
    }
}
