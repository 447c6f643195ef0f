//! One holder at a time, in the order of asking, with tokens that grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgListener;
use tidings_core::{Deadline, ErrorKind, lock::LockStore, tasks::Tasks};
use tidings_stores::Settings;
use tokio::sync::mpsc;

use crate::{
    home::{Home, LONG, SHORT_LEASE},
    on_both,
};

/// Long enough for a store that would hand out the key to do so.
const MOMENT: Duration = Duration::from_millis(150);

async fn is_held(locks: &dyn LockStore, key: &str) -> bool {
    match locks.acquire(key, Deadline::after(MOMENT)).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
            true
        }
    }
}

async fn a_key_has_one_holder_in_all_processes(home: &Home) {
    let (one, other) = (home.open().await.locks(), home.open().await.locks());
    let lease = one.acquire("a", Deadline::after(LONG)).await.unwrap();
    assert!(is_held(&*other, "a").await, "by another process");
    assert!(is_held(&*one, "a").await, "by this process");
    assert!(
        !is_held(&*other, "b").await,
        "keys do not wait for each other"
    );
    drop(lease);
    // Far sooner than the lease would have run out.
    other
        .acquire("a", Deadline::after(Duration::from_secs(10)))
        .await
        .unwrap();
}

async fn whoever_asks_first_in_a_process_is_served_first(home: &Home) {
    let store = home.open().await;
    let locks = store.locks();
    let first = locks.acquire("a", Deadline::after(LONG)).await.unwrap();
    let (tell, mut told) = mpsc::channel(10);
    let tasks = Tasks::new();
    let mut asking = Vec::new();
    for number in 0..5 {
        // Asking is done at the call; the task only waits.
        let locks = store.locks();
        let (tell, (asked, has_asked)) = (tell.clone(), tokio::sync::oneshot::channel());
        tasks.spawn("waiter", async move {
            let mut lease = locks.acquire("a", Deadline::after(LONG));
            let early = tokio::time::timeout(Duration::from_millis(1), &mut lease).await;
            assert!(early.is_err(), "somebody else holds it");
            asked.send(()).unwrap();
            let lease = lease.await.unwrap();
            tell.send((number, lease.token())).await.unwrap();
        });
        has_asked.await.unwrap();
        asking.push(number);
    }
    let mut last = first.token();
    drop(first);
    for expected in asking {
        let (number, token) = told.recv().await.unwrap();
        assert_eq!(number, expected);
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

async fn tokens_grow_whoever_holds_and_whatever_is_swept(home: &Home) {
    let mut last = 0;
    for _ in 0..3 {
        let stores = [home.open().await, home.open().await];
        for (turn, key) in ["a", "b", "a", "a", "b"].into_iter().enumerate() {
            let store = &stores[turn % 2];
            let deadline = Deadline::after(LONG);
            let lease = store.locks().acquire(key, deadline).await.unwrap();
            assert!(lease.token().0 > last, "{} after {last}", lease.token());
            last = lease.token().0;
        }
        for store in stores {
            store.close().await;
        }
        // As if nobody had used it for long.
        let mut beside = home.beside().await;
        beside.run("DELETE FROM tidings_locks").await;
    }
}

async fn a_lease_is_renewed_as_long_as_it_is_held(home: &Home) {
    let settings = Settings::default().with_lease(SHORT_LEASE);
    let (one, other) = (
        home.open_with(settings.clone()).await,
        home.open_with(settings).await,
    );
    let deadline = Deadline::after(LONG);
    let lease = one.locks().acquire("a", deadline).await.unwrap();
    let patience = Deadline::after(SHORT_LEASE * 3);
    let refused = other.locks().acquire("a", patience).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    let lost = tokio::time::timeout(Duration::ZERO, lease.lost()).await;
    assert!(lost.is_err(), "it is still held");
}

async fn who_stops_waiting_leaves_nothing_behind(home: &Home) {
    let store = home.open().await;
    let locks = store.locks();
    for micros in 0..40 {
        let impatient = Duration::from_micros(micros * 100);
        // It may have been served in time.
        drop(tokio::time::timeout(impatient, locks.acquire("a", Deadline::NEVER)).await);
    }
    let held = locks.acquire("a", Deadline::after(LONG)).await.unwrap();
    assert!(is_held(&*locks, "a").await);
    drop(held);
    let other = home.open().await;
    let soon = Deadline::after(Duration::from_secs(10));
    other.locks().acquire("a", soon).await.unwrap();
}

async fn many_that_compete_exclude_one_another(home: &Home) {
    let inside = Arc::new(AtomicUsize::new(0));
    let entered = Arc::new(AtomicUsize::new(0));
    let tasks = Tasks::new();
    for _ in 0..2 {
        let store = home.open().await;
        for _ in 0..3 {
            let (locks, inside, entered) =
                (store.locks(), Arc::clone(&inside), Arc::clone(&entered));
            tasks.spawn("competitor", async move {
                for _ in 0..5 {
                    let lease = locks.acquire("a", Deadline::after(LONG)).await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                    tokio::task::yield_now().await;
                    entered.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lease);
                }
            });
        }
    }
    assert!(tasks.stop(LONG).await);
    assert_eq!(entered.load(Ordering::SeqCst), 30);
}

async fn closing_gives_back_what_was_dropped(home: &Home) {
    let (one, other) = (home.open().await, home.open().await);
    let lease = one.locks().acquire("a", Deadline::NEVER).await.unwrap();
    drop(lease);
    one.close().await;
    let refused = one.locks().acquire("a", Deadline::NEVER).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    let soon = Deadline::after(Duration::from_secs(10));
    other.locks().acquire("a", soon).await.unwrap();
}

async fn any_text_is_a_key(home: &Home) {
    let store = home.open().await;
    let long = "x".repeat(100_000);
    let longer = format!("{long}x");
    let keys = [
        "",
        "\0",
        "a\0b",
        "'; DROP TABLE tidings_locks; --",
        "é\u{1F512}",
        &long,
        &longer,
    ];
    let mut leases = Vec::new();
    for key in keys {
        // Held together, so they are different.
        let deadline = Deadline::after(LONG);
        leases.push(store.locks().acquire(key, deadline).await.unwrap());
    }
    let other = home.open().await;
    for key in keys {
        assert!(is_held(&*other.locks(), key).await, "{} bytes", key.len());
    }
}

#[tokio::test]
async fn postgres_tells_other_processes_what_was_given_back() {
    if let Some(home) = Home::postgres().await {
        let mut listener = PgListener::connect(&home.address()).await.unwrap();
        listener.listen("tidings.locks").await.unwrap();
        let store = home.open().await;
        drop(store.locks().acquire(home.name(), Deadline::NEVER).await);
        let told = async {
            // Other tests are heard as well.
            while listener.recv().await.unwrap().payload() != home.name() {}
        };
        tokio::time::timeout(LONG, told).await.unwrap();
        drop((store, listener));
        home.remove().await;
    }
}

on_both!(
    a_key_has_one_holder_in_all_processes,
    whoever_asks_first_in_a_process_is_served_first,
    tokens_grow_whoever_holds_and_whatever_is_swept,
    a_lease_is_renewed_as_long_as_it_is_held,
    who_stops_waiting_leaves_nothing_behind,
    many_that_compete_exclude_one_another,
    closing_gives_back_what_was_dropped,
    any_text_is_a_key,
);
