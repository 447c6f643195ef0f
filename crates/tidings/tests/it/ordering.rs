//! Order and concurrency.

use std::{
    collections::BTreeMap,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Event, OrderKey, Router, State, Subscriber};

use crate::world::{Log, UserCreated, publish, start};

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
struct Moved {
    piece: String,
    step: u64,
}

#[derive(Clone, Debug, Default)]
struct Board {
    moves: Log<Moved>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Board {
    /// Takes a while, and notes how many others do so at the same time.
    async fn work(&self, time: Duration) {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        tokio::time::sleep(time).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Odd steps take longer, so that order does not come about by itself.
async fn track(State(board): State<Board>, event: Moved) {
    board
        .work(Duration::from_millis(1 + 20 * (event.step % 2)))
        .await;
    board.moves.push(event);
}

#[tokio::test(start_paused = true)]
async fn keeps_order_per_key_and_runs_keys_side_by_side() {
    let board = Board::default();
    let subscriber = Subscriber::new("track")
        .on(track)
        .concurrency(8)
        .ordered_by(OrderKey::field("piece"));
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(board.clone()),
    )
    .await;
    for step in 0..50 {
        for piece in 0..16 {
            test.client()
                .publish(&Moved {
                    piece: format!("p{piece}"),
                    step,
                })
                .await
                .unwrap();
        }
    }
    test.rest().await.unwrap();
    let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for moved in board.moves.entries() {
        steps.entry(moved.piece).or_default().push(moved.step);
    }
    assert_eq!(steps.len(), 16);
    for (piece, steps) in steps {
        assert_eq!(steps, (0..50).collect::<Vec<_>>(), "{piece}");
    }
    assert_eq!(board.most_at_once.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_does_not_hold_up_the_others() {
    async fn slow_king(State(board): State<Board>, event: Moved) {
        let time = if event.piece == "king" {
            Duration::from_secs(3600)
        } else {
            Duration::from_millis(1)
        };
        board.work(time).await;
        board.moves.push(event);
    }
    let board = Board::default();
    let subscriber = Subscriber::new("slow")
        .on(slow_king)
        .concurrency(2)
        .ordered_by(OrderKey::field("piece"));
    let test = start(
        Router::new()
            .subscriber(subscriber)
            .with_state(board.clone()),
    )
    .await;
    for step in 0..5 {
        test.client()
            .publish(&Moved {
                piece: "king".into(),
                step,
            })
            .await
            .unwrap();
        test.client()
            .publish(&Moved {
                piece: "pawn".into(),
                step,
            })
            .await
            .unwrap();
    }
    test.rest().await.unwrap();
    let first: Vec<_> = board
        .moves
        .entries()
        .into_iter()
        .take(5)
        .map(|moved| moved.piece)
        .collect();
    assert_eq!(first, ["pawn"; 5]);
}

#[tokio::test(start_paused = true)]
async fn never_handles_more_at_a_time_than_allowed_and_as_many_as_allowed() {
    async fn busy(State(board): State<Board>, _event: UserCreated) {
        board.work(Duration::from_secs(1)).await;
    }
    for concurrency in [1, 3, 16] {
        let board = Board::default();
        let subscriber = Subscriber::new("busy").on(busy).concurrency(concurrency);
        let test = start(
            Router::new()
                .subscriber(subscriber)
                .with_state(board.clone()),
        )
        .await;
        for id in 0..100 {
            publish(&test, id).await.unwrap();
        }
        test.rest().await.unwrap();
        assert_eq!(test.handled("busy").len(), 100);
        assert_eq!(
            board.most_at_once.load(Ordering::SeqCst),
            usize::from(concurrency)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn concurrency_of_one_is_strict_order() {
    async fn note(State(log): State<Log<u32>>, event: UserCreated) {
        tokio::time::sleep(Duration::from_millis(u64::from(event.user_id % 7))).await;
        log.push(event.user_id);
    }
    let log = Log::default();
    let router = Router::new()
        .subscriber(Subscriber::new("note").on(note).concurrency(1))
        .with_state(log.clone());
    let test = start(router).await;
    for id in 0..200 {
        publish(&test, id).await.unwrap();
    }
    test.rest().await.unwrap();
    assert_eq!(log.entries(), (0..200).collect::<Vec<_>>());
}
