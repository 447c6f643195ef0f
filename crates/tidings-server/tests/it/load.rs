//! Under load, on several threads: everybody is answered, equal keys exclude one another, and nothing stays behind.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tidings_core::contract::Response;
use tidings_router::{Router, State, Subscriber};

use crate::rig::{QUEUE, Rig, SECOND, Work};

const KEYS: usize = 7;
const CALLS: u32 = 2_000;

#[derive(Clone, Debug, Default)]
struct Site {
    busy: Arc<[AtomicBool; KEYS]>,
    at_work: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

async fn build(State(site): State<Site>, request: Work) -> Response<u32> {
    let key: usize = request.key.parse().unwrap_or_default();
    let was_busy = site.busy[key].swap(true, Ordering::SeqCst);
    let at_work = site.at_work.fetch_add(1, Ordering::SeqCst) + 1;
    site.most.fetch_max(at_work, Ordering::SeqCst);
    for _ in 0..request.number % 5 {
        tokio::task::yield_now().await;
    }
    site.at_work.fetch_sub(1, Ordering::SeqCst);
    site.busy[key].store(false, Ordering::SeqCst);
    match was_busy {
        true => Response::failure("two at a time"),
        false => Response::success("Built", request.number),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_answered_and_equal_keys_exclude_one_another() {
    let mut rig = Rig::new().await;
    let site = Site::default();
    let router = Router::new()
        .subscriber(Subscriber::new(QUEUE).on_request(build))
        .with_state(site.clone());
    let server = rig.server().concurrency(4).lock_wait(60 * SECOND);
    let running = server.start(router).await.unwrap();
    let mut waiting: HashSet<_> = (0..CALLS).map(|number| number.to_string()).collect();
    for number in 0..CALLS {
        let body = json!({"key": (number as usize % KEYS).to_string(), "number": number});
        let patience = (number % 2 == 0).then_some(60 * SECOND);
        rig.ask_for("work", body, patience).await;
        // Half as many answers as requests on the way, so that lanes are idle and busy by turns.
        if number % 100 > 50 {
            let (id, message) = rig.told().await;
            assert_eq!(message, "Built");
            assert!(waiting.remove(&id), "{id} is answered twice");
        }
    }
    while !waiting.is_empty() {
        let (id, message) = rig.told().await;
        assert_eq!(message, "Built");
        assert!(waiting.remove(&id), "{id} is answered twice");
    }
    assert!(site.most.load(Ordering::SeqCst) <= 4);
    assert!(running.drain(60 * SECOND).await.complete);
    let queue = [QUEUE.into()];
    assert_eq!(rig.transport.queues(&queue).await.unwrap()[0].depth(), 0);
}
