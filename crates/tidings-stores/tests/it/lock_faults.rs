//! A holder that dies is forgotten, one that was only slow is found out, and nobody believes in a lease for too long.

use std::{sync::mpsc, thread, time::Duration};

use tidings_core::{Deadline, ErrorKind, lock::Lease};
use tidings_stores::Settings;
use tokio::{runtime, time::Instant};

use crate::{
    home::{Home, LONG, SHORT_LEASE},
    on_both,
};

fn short() -> Settings {
    Settings::default().with_lease(SHORT_LEASE)
}

/// A process of its own: it runs only while it is told to.
fn process() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs something on a thread that is no thread of a runtime.
fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Takes the key in a process that then stands still.
fn take_and_stall(home: &Home, key: &str) -> (runtime::Runtime, Lease) {
    apart(|| {
        let process = process();
        let lease = process.block_on(async {
            let store = home.open_with(short()).await;
            store
                .locks()
                .acquire(key, Deadline::after(LONG))
                .await
                .unwrap()
        });
        (process, lease)
    })
}

async fn a_holder_that_dies_is_forgotten(home: &Home) {
    let (process, lease) = take_and_stall(home, "a");
    let token = lease.token();
    // Its tasks and connections end, and nothing is given back.
    process.shutdown_background();
    drop(lease);
    let store = home.open_with(short()).await;
    let started = Instant::now();
    let next = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    assert!(next.token() > token);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

async fn a_slow_holder_is_found_out(home: &Home) {
    let (process, slow) = take_and_stall(home, "a");
    let store = home.open_with(short()).await;
    let next = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    assert!(slow.token() < next.token(), "whoever compares them knows");
    // It goes on, and learns that it holds nothing; giving that back takes nothing from the next one.
    apart(|| {
        process.block_on(async {
            tokio::time::timeout(LONG, slow.lost()).await.unwrap();
            drop(slow);
            let other = home.open_with(short()).await;
            let brief = Deadline::after(SHORT_LEASE);
            let refused = other.locks().acquire("a", brief).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Timeout);
        });
        drop(process);
    });
    let still = tokio::time::timeout(Duration::ZERO, next.lost()).await;
    assert!(still.is_err(), "the next one holds it");
}

async fn a_lease_that_cannot_be_renewed_is_lost_in_time(home: &Home) {
    let store = home.open_with(short()).await;
    let lease = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    let mut beside = home.beside().await;
    beside.keep_out().await;
    let kept_out = Instant::now();
    tokio::time::timeout(LONG, lease.lost()).await.unwrap();
    let took = kept_out.elapsed();
    assert!(took <= SHORT_LEASE + Duration::from_millis(200), "{took:?}");
    beside.let_in().await;
    drop(lease);
    let again = Deadline::after(LONG);
    store.locks().acquire("a", again).await.unwrap();
}

async fn a_lease_that_somebody_took_is_lost(home: &Home) {
    let store = home.open_with(short()).await;
    let lease = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    let mut beside = home.beside().await;
    beside
        .run("UPDATE tidings_locks SET token = token + 100000")
        .await;
    tokio::time::timeout(SHORT_LEASE * 2, lease.lost())
        .await
        .unwrap();
}

async fn cut_connections_cost_no_lease(home: &Home) {
    let settings = Settings::default().with_lease(Duration::from_secs(3));
    let store = home.open_with(settings).await;
    let lease = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    home.cut().await;
    let lost = tokio::time::timeout(Duration::from_millis(3500), lease.lost()).await;
    assert!(lost.is_err(), "it was renewed on another connection");
    drop(lease);
    home.cut().await;
    let soon = Deadline::after(Duration::from_secs(10));
    store.locks().acquire("a", soon).await.unwrap();
}

async fn what_was_dropped_while_the_database_was_away_is_given_back_later(home: &Home) {
    let store = home
        .open_with(Settings::default().with_lease(Duration::from_secs(6)))
        .await;
    let lease = store
        .locks()
        .acquire("a", Deadline::after(LONG))
        .await
        .unwrap();
    let mut beside = home.beside().await;
    beside.keep_out().await;
    // It does not block, although nothing can be given back.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        drop(lease);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(1)).unwrap();
    beside.let_in().await;
    let soon = Deadline::after(Duration::from_secs(5));
    store.locks().acquire("a", soon).await.unwrap();
}

on_both!(
    a_holder_that_dies_is_forgotten,
    a_slow_holder_is_found_out,
    a_lease_that_cannot_be_renewed_is_lost_in_time,
    a_lease_that_somebody_took_is_lost,
    cut_connections_cost_no_lease,
    what_was_dropped_while_the_database_was_away_is_given_back_later,
);
