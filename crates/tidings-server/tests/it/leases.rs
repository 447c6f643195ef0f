//! Between processes, a lock store says who may work on a key.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::json;
use tidings_core::{
    Deadline, Error, ErrorKind,
    error::Result,
    lock::{FencingToken, Held, Lease, LockStore},
    transport::BoxFuture,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::rig::{Rig, SECOND};

/// A store with one key for everybody, which writes down what it is asked for.
#[derive(Debug)]
struct Store {
    key: Arc<Semaphore>,
    asked: Mutex<VecDeque<String>>,
    tokens: AtomicU64,
    is_down: AtomicBool,
    lost: Arc<Notify>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            key: Arc::new(Semaphore::new(1)),
            asked: Mutex::default(),
            tokens: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            lost: Arc::default(),
        })
    }
}

impl LockStore for Store {
    fn acquire<'a>(&'a self, key: &'a str, deadline: Deadline) -> BoxFuture<'a, Result<Lease>> {
        self.asked.lock().unwrap().push_back(key.to_owned());
        Box::pin(async move {
            if self.is_down.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Unavailable, "the store is down"));
            }
            let key = tokio::select! {
                key = Arc::clone(&self.key).acquire_owned() => key.unwrap(),
                () = deadline.passed() => return Err(Error::new(ErrorKind::Timeout, "not free")),
            };
            let token = FencingToken(self.tokens.fetch_add(1, Ordering::SeqCst) + 1);
            let held = HeldKey(Mutex::new(Some(key)), Arc::clone(&self.lost));
            Ok(Lease::new(token, Box::new(held)))
        })
    }
}

struct HeldKey(Mutex<Option<OwnedSemaphorePermit>>, Arc<Notify>);

impl Held for HeldKey {
    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.1.notified())
    }

    fn release(&self) {
        self.0.lock().unwrap().take();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_proves_its_lock_and_gives_it_back() {
    let mut rig = Rig::new().await;
    let store = Store::new();
    let server = rig.server().locks(Arc::clone(&store) as _);
    let server = server.lock_scope("servers");
    let _running = server.start(rig.router()).await.unwrap();
    rig.go(3);
    for number in 1..=3 {
        rig.work("a", number).await;
    }
    for number in 1..=3 {
        assert_eq!(rig.begun().await, format!("work a{number} with {number}"));
        assert_eq!(rig.told().await.1, "Worked");
    }
    rig.depth(0).await;
    assert_eq!(store.key.available_permits(), 1);
    let asked = store.asked.lock().unwrap().clone();
    assert!(
        asked
            .iter()
            .all(|key| key.starts_with("servers:web1:") && *key == asked[0]),
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_process_holds_no_lane_and_leaves_in_time() {
    let mut rig = Rig::new().await;
    let store = Store::new();
    let elsewhere = store.key.clone().acquire_owned().await.unwrap();
    let server = rig.server().concurrency(1).locks(Arc::clone(&store) as _);
    let _running = server.start(rig.router()).await.unwrap();
    let body = |number| json!({"key": "a", "number": number});
    rig.ask_for("work", body(1), Some(SECOND)).await;
    rig.ask_for("work", body(2), Some(60 * SECOND)).await;
    // It has no key, and needs the only lane.
    rig.ask("other", json!({"number": 3})).await;
    assert_eq!(rig.told().await.0, "3");
    let (id, message) = rig.told().await;
    assert_eq!(id, "1");
    assert!(
        message.starts_with("the request waited too long"),
        "{message}"
    );
    drop(elsewhere);
    rig.go(1);
    assert_eq!(rig.told().await, ("2".to_owned(), "Worked".to_owned()));
    assert_eq!(rig.begun().await, "work a2 with 1");
    rig.depth(0).await;
    assert_eq!(store.key.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_answered_and_nothing_is_handled() {
    let mut rig = Rig::new().await;
    let store = Store::new();
    store.is_down.store(true, Ordering::SeqCst);
    let server = rig.server().locks(Arc::clone(&store) as _);
    let _running = server.start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    rig.work("a", 2).await;
    assert_eq!(rig.told().await.1, "An unexpected error occurred");
    assert_eq!(rig.told().await.1, "An unexpected error occurred");
    assert_eq!(rig.begun_already(), None);
    store.is_down.store(false, Ordering::SeqCst);
    rig.go(1);
    rig.work("a", 3).await;
    assert_eq!(rig.told().await.1, "Worked");
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_no_handler() {
    let mut rig = Rig::new().await;
    let store = Store::new();
    let server = rig.server().locks(Arc::clone(&store) as _);
    let _running = server.start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    assert_eq!(rig.begun().await, "work a1 with 1");
    store.lost.notify_one();
    tokio::task::yield_now().await;
    rig.go(1);
    assert_eq!(rig.told().await.1, "Worked");
    rig.depth(0).await;
}
