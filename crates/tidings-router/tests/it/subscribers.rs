//! Names, interests, options and states of what a router holds.

use std::time::Duration;

use tidings_core::{AnyMessage, Contract, Kind, convention::Interest, retry_policy::RetryPolicy};
use tidings_router::{OrderKey, Route, Router, State, Subscriber};

use crate::bench::{Notes, UserCreated, call, send};

async fn typed(_: UserCreated) {}
async fn any(_: AnyMessage) {}

fn routes(subscriber: Subscriber) -> Vec<Route> {
    Router::new().subscriber(subscriber).into_routes()
}

fn check(subscriber: Subscriber, expected: &[Interest]) {
    let routes = routes(subscriber);
    let interests: Vec<_> = routes
        .iter()
        .map(|route| route.interest().clone())
        .collect();
    assert_eq!(interests, expected);
    assert!(routes.iter().all(|route| &**route.subscriber() == "s"));
}

#[test]
fn the_last_argument_is_the_interest() {
    let contract = Interest::Contract(UserCreated::info());
    let s = || Subscriber::new("s");
    check(s(), &[]);
    check(s().on(typed), std::slice::from_ref(&contract));
    check(s().on(any), &[Interest::All]);
    check(s().on(typed).on(any), &[contract.clone(), Interest::All]);
    check(
        s().on_dead_letters(typed).on_dead_letters(any),
        &[
            Interest::DeadLetters(Box::new(contract)),
            Interest::DeadLetters(Box::new(Interest::All)),
        ],
    );
    let queue = |kind| Interest::Queue {
        name: "legacy".into(),
        kind,
    };
    check(
        s().on_queue("legacy", Some(Kind::Command), any)
            .on_queue("legacy", None, typed),
        &[queue(Some(Kind::Command)), queue(None)],
    );
    let named = Interest::Named {
        name: "user.created".to_owned(),
        version: 2,
        kind: Kind::Event,
    };
    check(s().on_interest(named.clone(), any), &[named]);
}

#[test]
fn options_are_absent_until_they_are_set() {
    let [route] = &routes(Subscriber::new("s").on(typed))[..] else {
        panic!("one handler is one route");
    };
    let options = route.options();
    assert!(options.concurrency.is_none() && options.prefetch.is_none());
    assert!(options.ordered_by.is_none() && options.timeout.is_none());
    assert!(options.retry.is_none());
}

#[test]
fn options_hold_for_every_handler_of_the_subscriber() {
    let subscriber = Subscriber::new("s")
        .on(typed)
        .concurrency(4)
        .prefetch(8)
        .ordered_by(OrderKey::field("email"))
        .timeout(Duration::from_secs(10))
        .retry(RetryPolicy::new(3))
        .on_dead_letters(typed);
    let routes = routes(subscriber);
    assert_eq!(routes.len(), 2);
    for route in &routes {
        let options = route.options();
        assert_eq!(options.concurrency, Some(4));
        assert_eq!(options.prefetch, Some(8));
        assert_eq!(options.timeout, Some(Duration::from_secs(10)));
        assert_eq!(options.retry.as_ref().unwrap().max_retries(), 3);
        let key = options.ordered_by.as_ref().unwrap();
        assert_eq!(format!("{key:?}"), "OrderKey(field email)");
    }
}

#[test]
fn nothing_at_a_time_counts_as_one_at_a_time() {
    let subscriber = Subscriber::new("s").on(typed).concurrency(0).prefetch(0);
    let routes = routes(subscriber);
    assert_eq!(routes[0].options().concurrency, Some(1));
    assert_eq!(routes[0].options().prefetch, Some(1));
}

#[tokio::test]
async fn one_router_holds_subscribers_with_different_states() {
    #[derive(Clone)]
    struct Named(&'static str, Notes);

    async fn note(State(notes): State<Notes>, _: UserCreated) {
        notes.add("notes");
    }
    async fn named(State(Named(name, notes)): State<Named>, _: UserCreated) {
        notes.add(name);
    }
    let notes = Notes::default();
    let routes = Router::new()
        .on("first", note)
        .with_state(notes.clone())
        .on("second", named)
        .with_state(Named("one", notes.clone()))
        .on("third", named)
        .with_state(Named("two", notes.clone()))
        .on("fourth", typed)
        .into_routes();

    let names: Vec<_> = routes.iter().map(|route| &**route.subscriber()).collect();
    assert_eq!(names, ["first", "second", "third", "fourth"]);
    for route in &routes {
        send(route, call(UserCreated::BODY)).await.unwrap();
    }
    assert_eq!(notes.take(), ["notes", "one", "two"]);
}

#[test]
fn debug_output_names_subscribers_and_interests() {
    let router: Router = Router::new().on("send_mail", typed);
    let shown = format!("{router:?}");
    assert!(
        shown.contains("send_mail") && shown.contains("user.created"),
        "{shown}"
    );
}
