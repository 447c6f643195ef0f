//! The broker goes away; what is published meanwhile is kept, and arrives when it is back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tidings::{
    Call, Client, Error, ErrorKind, Router, Server, State, Subscriber,
    embedded::Embedded,
    fallback::{FallbackPublisher, FileSpool, QueueSpool, Spool},
    tasks::Tasks,
    transport::{Completion, Publisher, Transport},
};

use crate::world::{Folder, Log, UserCreated, domain};

/// A publisher whose broker can be away.
#[derive(Debug)]
struct Flaky {
    broker: Arc<dyn Publisher>,
    away: Arc<AtomicBool>,
}

impl Publisher for Flaky {
    fn publish(&self, call: Call) -> Completion {
        if self.away.load(Ordering::SeqCst) {
            return Completion::ready(Err(Error::new(
                ErrorKind::Unavailable,
                "the broker is away",
            )));
        }
        self.broker.publish(call)
    }
}

async fn note(State(log): State<Log<u32>>, event: UserCreated) {
    log.push(event.user_id);
}

/// Publishes ten events: three before, four during and three after the outage.
async fn survives_an_outage<S: Spool>(spool: S) {
    let (log, away, tasks) = (
        Log::default(),
        Arc::new(AtomicBool::new(false)),
        Tasks::new(),
    );
    let transport = Arc::new(Embedded::memory());
    let subscriber = Subscriber::new("note").on(note).concurrency(1);
    let router = Router::new().subscriber(subscriber).with_state(log.clone());
    let server = Server::builder(transport.clone(), domain())
        .start(router)
        .await
        .unwrap();
    let broker = transport.publisher().await.unwrap();
    let fallback = FallbackPublisher::new(
        Arc::new(Flaky {
            broker,
            away: Arc::clone(&away),
        }),
        Arc::new(spool),
        &tasks,
    );
    let client = Client::new(Arc::new(domain()), Arc::new(fallback.clone()));

    for user_id in 0..10 {
        away.store((3..7).contains(&user_id), Ordering::SeqCst);
        client.publish(&UserCreated { user_id }).await.unwrap();
    }
    assert_eq!(fallback.replay().await.unwrap(), 4);
    assert_eq!(
        fallback.replay().await.unwrap(),
        0,
        "nothing is replayed twice"
    );

    while log.entries().len() < 10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.entries(), [0, 1, 2, 7, 8, 9, 3, 4, 5, 6]);
    server.drain(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_file_keeps_what_cannot_be_published() {
    let folder = Folder::new("fallback");
    survives_an_outage(FileSpool::open(folder.file("spool")).unwrap()).await;
}

#[tokio::test]
async fn a_queue_of_a_second_transport_keeps_what_cannot_be_published() {
    let folder = Folder::new("fallback");
    let url = format!("embedded:{}", folder.file("second.db").display());
    let second = tidings::open(&url).await.unwrap();
    survives_an_outage(QueueSpool::open(second, "fallback").await.unwrap()).await;
}
