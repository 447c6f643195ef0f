//! What exists on a broker: made for a service, shared with others, cleared again.

use std::sync::Arc;

use tidings::{
    Domain, ErrorKind, HandlerError, Kind, RetryPolicy, Router, Server, Subscriber,
    convention::{Attachment, Convention, Interest},
    domain::{ClearBefore, Configurer, DomainBuilder},
    embedded::Embedded,
    topology::{Queue, Topology},
    transport::Transport,
};

use crate::{
    impatient::Impatient,
    logs::Logs,
    world::{UserCreated, domain, queue},
};

async fn fine(_event: UserCreated) {}

fn attachments(domain: &Domain) -> Vec<Attachment> {
    let interest = Interest::Named {
        name: "user.created".into(),
        version: 1,
        kind: Kind::Event,
    };
    let attach = |name| domain.attach(name, &interest, &RetryPolicy::default());
    vec![attach("fine").unwrap(), attach("other").unwrap()]
}

async fn queues(transport: &dyn Transport) -> Vec<String> {
    let queues = transport.queues(&[]).await.unwrap();
    queues.iter().map(|queue| queue.name.to_string()).collect()
}

async fn put(transport: &dyn Transport, queue: &str) {
    let call = tidings::Call::new(tidings::Address::queue(queue), tidings::Envelope::new("{}"));
    let publisher = transport.publisher().await.unwrap();
    publisher.publish(call).await.unwrap();
}

async fn depth(transport: &dyn Transport, queue: &str) -> u64 {
    transport.queues(&[queue.into()]).await.unwrap()[0].depth()
}

#[tokio::test(start_paused = true)]
async fn configuring_and_clearing_may_be_repeated() {
    let (broker, domain) = (Embedded::memory(), domain());
    let configurer = Configurer::new(&domain, &broker);
    let attachments = attachments(&domain);
    for _ in 0..2 {
        let before = ClearBefore::NOTHING;
        configurer.configure(&attachments, before).await.unwrap();
    }
    put(&broker, &queue("fine")).await;
    configurer
        .configure(&attachments, ClearBefore::NOTHING)
        .await
        .unwrap();
    assert_eq!(depth(&broker, &queue("fine")).await, 1, "nothing was lost");
    // Left by a subscriber that nobody names any more, and by a handler of dead letters.
    let orphans = [
        queue("gone"),
        format!("retry.dead_letter.{}", queue("gone")),
    ];
    let left = orphans.into_iter().map(Queue::new);
    let left = left.fold(Topology::new(), Topology::queue);
    let others = Queue::new("acme.shop2.1.event.user_created.fine");
    broker.declare(&left.queue(others)).await.unwrap();
    for _ in 0..2 {
        let cleared = configurer.clear(&attachments).await.unwrap();
        assert_eq!(cleared.kept_store_of, None);
    }
    assert_eq!(
        queues(&broker).await,
        ["acme.shop2.1.event.user_created.fine"]
    );
    let exchanges = Topology {
        exchanges: domain.topology().exchanges,
        ..Topology::new()
    };
    let missing = broker.compare(&exchanges).await.unwrap();
    assert_eq!(missing.len(), 5, "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_cleared_before_is_what_was_asked_for() {
    let check = async |before: ClearBefore, subscriber: u64, store: u64| {
        let (broker, domain) = (Embedded::memory(), domain());
        let configurer = Configurer::new(&domain, &broker);
        let attachments = attachments(&domain);
        let nothing = ClearBefore::NOTHING;
        configurer.configure(&attachments, nothing).await.unwrap();
        put(&broker, &queue("fine")).await;
        put(&broker, "store").await;
        configurer.configure(&attachments, before).await.unwrap();
        assert_eq!(
            depth(&broker, &queue("fine")).await,
            subscriber,
            "{before:?}"
        );
        assert_eq!(depth(&broker, "store").await, store, "{before:?}");
    };
    let both = |subscribers, store| ClearBefore { subscribers, store };
    check(both(false, false), 1, 1).await;
    check(both(true, false), 0, 1).await;
    check(both(false, true), 1, 0).await;
    check(both(true, true), 0, 0).await;
}

#[tokio::test(start_paused = true)]
async fn clearing_subscribers_leaves_the_rest() {
    let (broker, domain) = (Embedded::memory(), domain());
    let configurer = Configurer::new(&domain, &broker);
    let attachments = attachments(&domain);
    configurer
        .configure(&attachments, ClearBefore::NOTHING)
        .await
        .unwrap();
    configurer
        .clear_subscribers(&attachments[..1])
        .await
        .unwrap();
    let left = queues(&broker).await;
    assert!(!left.iter().any(|name| name.ends_with(".fine")), "{left:?}");
    assert_eq!(
        left.iter().filter(|name| name.ends_with(".other")).count(),
        3
    );
    assert_eq!(
        left.iter().filter(|name| name.ends_with("store")).count(),
        3
    );
}

fn of(organization: &str) -> DomainBuilder {
    Domain::builder(organization, "shop")
}

#[tokio::test(start_paused = true)]
async fn the_store_of_another_organization_is_left_alone_unless_wished() {
    let broker = Embedded::memory();
    let (theirs, ours) = (of("other").build().unwrap(), of("acme").build().unwrap());
    Configurer::new(&theirs, &broker)
        .configure(&[], ClearBefore::NOTHING)
        .await
        .unwrap();
    put(&broker, "store").await;
    let cleared = Configurer::new(&ours, &broker).clear(&[]).await.unwrap();
    assert_eq!(cleared.kept_store_of.as_deref(), Some("other"));
    assert_eq!(depth(&broker, "store").await, 1);
    let any = Configurer::new(&ours, &broker).clearing_any_store();
    let cleared = any.clear(&[]).await.unwrap();
    assert_eq!(cleared.kept_store_of, None);
    assert_eq!(queues(&broker).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_organization_needs_no_store_or_a_place_of_its_own() {
    let broker: Arc<dyn Transport> = Arc::new(Embedded::memory());
    let start = async |domain: Domain| {
        let router = Router::new().on("fine", fine);
        Server::builder(Arc::clone(&broker), domain)
            .start(router)
            .await
    };
    let first = start(of("acme").build().unwrap()).await.unwrap();
    let error = start(of("other").build().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for part in [
        "organization `acme`",
        "`other.shop`",
        "virtual host",
        "`without_store`",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let second = start(of("other").without_store().build().unwrap())
        .await
        .unwrap();
    for server in [first, second] {
        let event = UserCreated { user_id: 1 };
        server.client().publish(&event).await.unwrap();
        assert!(server.health().ready);
    }
}

#[tokio::test(start_paused = true)]
async fn other_ttls_lead_to_the_setting_for_them() {
    let broker: Arc<dyn Transport> = Arc::new(Embedded::memory());
    let domain = of("acme").joining_existing().build().unwrap();
    Configurer::new(&domain, &*broker)
        .configure(&[], ClearBefore::NOTHING)
        .await
        .unwrap();
    let refused = Server::builder(Arc::clone(&broker), of("acme").build().unwrap())
        .start(Router::new().on("fine", fine))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("`joining_existing`"),
        "{refused}"
    );
    assert!(
        refused.chain().contains("message TTL 5000 ms"),
        "{}",
        refused.chain()
    );
}

/// Somebody else has made everything but what only we know.
#[tokio::test(start_paused = true)]
async fn what_nobody_else_declares_is_declared_all_the_same() {
    let broker: Arc<dyn Transport> = Arc::new(Embedded::memory());
    let domain = domain();
    Configurer::new(&domain, &*broker)
        .configure(&attachments(&domain), ClearBefore::NOTHING)
        .await
        .unwrap();
    let before = queues(&*broker).await;
    let steps = RetryPolicy::new(2).with_steps([std::time::Duration::from_secs(1)]);
    let subscriber = Subscriber::new("fine")
        .on(fine)
        .on_dead_letters(fine)
        .retry(steps);
    let server = Server::builder(Arc::clone(&broker), domain)
        .without_declaring()
        .start(Router::new().subscriber(subscriber))
        .await
        .unwrap();
    assert!(server.health().ready, "{:?}", server.health());
    let mut added = queues(&*broker).await;
    added.retain(|name| !before.contains(name));
    let fine = queue("fine");
    let expected = [
        format!("retry.{fine}.1000"),
        format!("retry.dead_letter.{fine}"),
    ];
    assert_eq!(added, expected);
}

/// A queue that failures need is missing: said at the start, and nothing is lost by it.
#[tokio::test(start_paused = true)]
async fn a_missing_queue_for_failures_is_said_and_loses_nothing() {
    let logs = Logs::start();
    let broker = Impatient::memory();
    let (domain, fine) = (domain(), queue("failing"));
    let only_main = Topology::new().queue(Queue::new(fine.as_str()));
    broker.declare(&only_main).await.unwrap();
    put(&*broker, &fine).await;
    let server = Server::builder(Arc::clone(&broker), domain)
        .without_declaring()
        .start(Router::new().on("failing", failing))
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(depth(&*broker, &fine).await, 1);
    let warned = logs.text();
    assert!(
        warned.contains(&format!("queue=\"retry.{fine}\"")),
        "{warned}"
    );
    assert!(
        warned.contains(&format!("queue=\"dead_letter.{fine}\"")),
        "{warned}"
    );
    drop(server);
}

/// Somebody deletes a queue that this process must not make: said for each cause, not for each attempt.
#[tokio::test(start_paused = true)]
async fn a_deleted_queue_is_said_once_and_so_is_its_return() {
    let logs = Logs::start();
    let broker: Arc<dyn Transport> = Arc::new(Embedded::memory());
    let (domain, fine_queue) = (domain(), queue("fine"));
    let made = attachments(&domain);
    Configurer::new(&domain, &*broker)
        .configure(&made, ClearBefore::NOTHING)
        .await
        .unwrap();
    let server = Server::builder(Arc::clone(&broker), domain)
        .without_declaring()
        .start(Router::new().on("fine", fine))
        .await
        .unwrap();
    let gone = Topology::new().queue(Queue::new(fine_queue.as_str()));
    broker.delete(&gone).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(50)).await;
    let said = lines(&logs, "ERROR", "the queue does not exist");
    let causes = ["was deleted", "does not exist: declare it first"];
    assert_eq!(said.len(), causes.len(), "{said:#?}");
    for (line, cause) in said.iter().zip(causes) {
        assert!(line.contains(cause), "{line}");
    }
    assert!(!server.health().ready);

    tokio::time::sleep(std::time::Duration::from_secs(100)).await;
    let still = lines(&logs, "ERROR", "the queue still does not exist");
    assert_eq!(still.len(), 2, "{still:#?}");
    broker.declare(&made[0].topology).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let back = lines(&logs, "INFO", "the subscription is back");
    assert!(back[0].contains("down_seconds=15"), "{back:#?}");
    assert!(server.health().ready, "{:?}", server.health());
}

fn lines(logs: &Logs, level: &str, text: &str) -> Vec<String> {
    let all = logs.text();
    let found = all
        .lines()
        .filter(|line| line.contains(level) && line.contains(text));
    found.map(str::to_owned).collect()
}

async fn failing(_event: UserCreated) -> Result<(), HandlerError> {
    Err(HandlerError::fatal("not today"))
}
