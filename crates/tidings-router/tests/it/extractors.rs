//! What a handler may ask for: how many arguments, which ones, and the message last.

use std::time::Duration;

use tidings_core::{
    AnyMessage, Deadline, Error, ErrorKind, Headers, Metadata,
    call::Origin,
    error::Result,
    extensions::Extensions,
    extract::{FromCall, Scope},
};
use tidings_router::{FromState, Handler, Router, State};
use tower_service::Service;

use crate::bench::{Notes, UserCreated, call, handle, route, send, service};

type N = State<Notes>;

async fn accepts<H, Args: 'static>(handler: H)
where
    H: Handler<Args, Notes>,
{
    let notes = Notes::default();
    let reply = handle(handler, &notes, UserCreated::BODY).await.unwrap();
    assert!(reply.is_empty());
    assert_eq!(notes.take(), ["ada@example.com"]);
}

#[tokio::test]
async fn takes_up_to_eight_extractors_before_the_message() {
    let notes = Notes::default();
    let captured = notes.clone();
    let none = move |event: UserCreated| {
        captured.add(event.email);
        async {}
    };
    handle(none, &notes, UserCreated::BODY).await.unwrap();
    assert_eq!(notes.take(), ["ada@example.com"]);

    accepts(async |n: N, m: UserCreated| n.add(m.email)).await;
    accepts(async |n: N, _: N, m: UserCreated| n.add(m.email)).await;
    accepts(async |n: N, _: N, _: N, m: UserCreated| n.add(m.email)).await;
    accepts(async |n: N, _: N, _: N, _: N, m: UserCreated| n.add(m.email)).await;
    accepts(async |n: N, _: N, _: N, _: N, _: N, m: UserCreated| n.add(m.email)).await;
    accepts(six).await;
    accepts(seven).await;
    accepts(eight).await;
}

#[expect(clippy::too_many_arguments, reason = "that many must be possible")]
async fn six(n: N, _: N, _: N, _: N, _: N, _: N, m: UserCreated) {
    n.add(m.email);
}

#[expect(clippy::too_many_arguments, reason = "that many must be possible")]
async fn seven(n: N, _: N, _: N, _: N, _: N, _: N, _: N, m: UserCreated) {
    n.add(m.email);
}

#[expect(clippy::too_many_arguments, reason = "that many must be possible")]
async fn eight(n: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, m: UserCreated) {
    n.add(m.email);
}

#[tokio::test]
async fn hands_over_what_is_known_about_the_message() {
    async fn note(
        State(notes): State<Notes>,
        metadata: Metadata,
        headers: Headers,
        origin: Origin,
        event: UserCreated,
    ) {
        notes.add(format!("{} {}", metadata.id, metadata.name));
        notes.add(metadata.correlation_id().unwrap_or("none"));
        notes.add(headers.text("tenant").unwrap_or("none"));
        notes.add(format!("{} {}", origin.queue, origin.redelivered));
        notes.add(event.email);
    }
    let notes = Notes::default();
    let mut call = call(UserCreated::BODY);
    call.envelope.headers.set("tenant", "acme");
    send(&route(note, &notes), call).await.unwrap();
    assert_eq!(
        notes.take(),
        [
            "7 user.created",
            "c-1",
            "acme",
            "queue.bench true",
            "ada@example.com"
        ]
    );
}

#[tokio::test]
async fn an_origin_is_the_own_queue_for_a_call_that_was_not_delivered() {
    async fn note(State(notes): State<Notes>, origin: Origin, _: UserCreated) {
        notes.add(format!("{} {}", origin.queue, origin.redelivered));
    }
    let notes = Notes::default();
    let mut call = call(UserCreated::BODY);
    call.origin = None;
    send(&route(note, &notes), call).await.unwrap();
    assert_eq!(notes.take(), ["queue.bench false"]);
}

#[tokio::test(start_paused = true)]
async fn hands_over_the_deadline_of_the_call() {
    async fn note(State(notes): State<Notes>, deadline: Deadline, _: UserCreated) {
        notes.add(format!("{:?}", deadline.remaining()));
    }
    let notes = Notes::default();
    let mut call = call(UserCreated::BODY);
    call.deadline = Deadline::after(Duration::from_secs(5));
    send(&route(note, &notes), call.clone()).await.unwrap();
    call.deadline = Deadline::NEVER;
    send(&route(note, &notes), call).await.unwrap();
    assert_eq!(notes.take(), ["Some(5s)", "None"]);
}

/// An extractor that is there only if the header is.
struct Tenant(String);

impl<S> FromCall<S> for Tenant {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        let tenant = scope.call.envelope.headers.text("tenant");
        tenant
            .map(|tenant| Self(tenant.to_owned()))
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "header `tenant` is missing: set it"))
    }
}

#[tokio::test]
async fn an_optional_extractor_may_fail_and_a_required_one_may_not() {
    async fn optional(State(notes): State<Notes>, tenant: Option<Tenant>, _: UserCreated) {
        notes.add(tenant.map_or("none".to_owned(), |tenant| tenant.0));
    }
    async fn required(State(notes): State<Notes>, tenant: Tenant, _: UserCreated) {
        notes.add(tenant.0);
    }
    let notes = Notes::default();
    handle(optional, &notes, UserCreated::BODY).await.unwrap();
    assert_eq!(notes.take(), ["none"]);

    let error = handle(required, &notes, UserCreated::BODY)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "header `tenant` is missing: set it");
    assert!(notes.take().is_empty(), "the handler must not run");

    let mut call = call(UserCreated::BODY);
    call.envelope.headers.set("tenant", "acme");
    send(&route(optional, &notes), call.clone()).await.unwrap();
    send(&route(required, &notes), call).await.unwrap();
    assert_eq!(notes.take(), ["acme", "acme"]);
}

#[tokio::test]
async fn any_message_keeps_the_fields_encoded() {
    async fn archive(State(notes): State<Notes>, message: AnyMessage) {
        assert!(message.is::<UserCreated>());
        assert_eq!(message.metadata.id, "7");
        let event: UserCreated = message.decode().unwrap();
        notes.add(event.email);
        let refused = message.decode::<Vec<u8>>().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Decode);
        notes.add(message.fields().unwrap().to_string());
    }
    let notes = Notes::default();
    handle(archive, &notes, UserCreated::BODY).await.unwrap();
    let fields = r#"{"email":"ada@example.com"}"#;
    assert_eq!(notes.take(), ["ada@example.com", fields]);
}

/// A state of which handlers ask for parts.
struct App {
    notes: Notes,
    sender: String,
}

struct Sender(String);

impl FromState<App> for Sender {
    fn from_state(app: &App) -> Result<Self> {
        Ok(Self(app.sender.clone()))
    }
}

impl FromState<App> for Notes {
    fn from_state(app: &App) -> Result<Self> {
        Ok(app.notes.clone())
    }
}

#[tokio::test]
async fn hands_over_parts_of_the_state() {
    async fn note(State(notes): State<Notes>, sender: State<Sender>, _: UserCreated) {
        notes.add(&*sender.0.0);
    }
    let notes = Notes::default();
    let app = App {
        notes: notes.clone(),
        sender: "noreply".to_owned(),
    };
    let routes = Router::new().on("note", note).with_state(app).into_routes();
    send(&routes[0], call(UserCreated::BODY)).await.unwrap();
    assert_eq!(notes.take(), ["noreply"]);
}

#[tokio::test]
async fn services_come_from_the_runtime() {
    #[derive(Clone)]
    struct Lamp(&'static str);

    impl<S> FromCall<S> for Lamp {
        fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
            let lamp = scope.services.get::<Self>().cloned();
            lamp.ok_or_else(|| Error::new(ErrorKind::Misuse, "no lamp"))
        }
    }
    async fn note(State(notes): State<Notes>, lamp: Lamp, _: UserCreated) {
        notes.add(lamp.0);
    }
    let notes = Notes::default();
    let route = route(note, &notes);
    let error = send(&route, call(UserCreated::BODY)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);

    let mut services = Extensions::default();
    services.insert(Lamp("lit"));
    let handling = service(&route, services).call(call(UserCreated::BODY));
    handling.await.unwrap();
    assert_eq!(notes.take(), ["lit"]);
}
