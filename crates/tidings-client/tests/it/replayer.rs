//! When the replayer replays, in paused time.

use std::{sync::Arc, time::Duration};

use tidings_client::fallback::{FallbackPublisher, Replayer, Spool};
use tidings_core::{ErrorKind, tasks::Tasks, transport::Publisher};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{MemorySpool, call},
    primary::{Answer, Primary},
};

const AWAY: Answer = Answer::Fail(ErrorKind::Unavailable);
const HOUR: Duration = Duration::from_secs(3_600);

struct Setup {
    primary: Primary,
    spool: Arc<MemorySpool>,
    fallback: FallbackPublisher,
    tasks: Tasks,
}

fn setup(answer: Answer) -> Setup {
    let (primary, tasks) = (Primary::new(answer), Tasks::new());
    let spool = Arc::new(MemorySpool::default());
    let kept: Arc<dyn Spool> = Arc::<MemorySpool>::clone(&spool);
    let fallback = FallbackPublisher::new(Arc::new(primary.clone()), kept, &tasks);
    Setup {
        primary,
        spool,
        fallback,
        tasks,
    }
}

impl Setup {
    fn start(&self) {
        Replayer::new(&self.fallback)
            .with_backoff(Duration::from_secs(1), Duration::from_secs(30))
            .spawn(&self.tasks);
    }

    /// Lets the replayer work; with paused time this costs nothing.
    async fn after(&self, time: Duration) -> usize {
        sleep(time).await;
        self.spool.replays()
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_nothing_while_nothing_is_kept() {
    let setup = setup(Answer::Confirm);
    setup.start();
    let at_start = setup.after(Duration::from_secs(1)).await;
    setup.fallback.publish(call("a")).await.unwrap();
    assert_eq!(setup.after(HOUR).await, at_start);
}

#[tokio::test(start_paused = true)]
async fn it_begins_with_what_an_earlier_process_left() {
    let setup = setup(Answer::Confirm);
    setup.spool.store(call("left")).await.unwrap();
    setup.start();
    setup.after(Duration::from_secs(1)).await;
    assert_eq!(setup.primary.confirmed_keys(), ["left"]);
}

#[tokio::test(start_paused = true)]
async fn it_tries_again_at_growing_intervals_until_the_broker_is_back() {
    let setup = setup(AWAY);
    setup.start();
    setup.fallback.publish(call("a")).await.unwrap();
    let in_a_minute = setup.after(Duration::from_secs(60)).await;
    assert!((6..=11).contains(&in_a_minute), "{in_a_minute} replays");
    let in_an_hour = setup.after(HOUR).await - in_a_minute;
    assert!((119..=241).contains(&in_an_hour), "{in_an_hour} replays");

    setup.primary.answer(Answer::Confirm);
    let last = setup.after(Duration::from_secs(31)).await;
    assert_eq!(setup.primary.confirmed_keys(), ["a"]);
    let extra = setup.after(HOUR).await - last;
    assert!(extra <= 1, "it sleeps again, but replayed {extra} times");
}

#[tokio::test(start_paused = true)]
async fn a_diverted_publish_wakes_it() {
    let setup = setup(Answer::Confirm);
    setup.start();
    setup.after(HOUR).await;
    setup.primary.answer(AWAY);
    setup.fallback.publish(call("a")).await.unwrap();
    setup.primary.answer(Answer::Confirm);
    let started = Instant::now();
    while setup.primary.confirmed_keys().is_empty() {
        sleep(Duration::from_millis(1)).await;
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "it must be at once"
        );
    }
    assert!(setup.spool.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_finds_the_broker_back_ends_its_pause() {
    let setup = setup(AWAY);
    setup.start();
    setup.fallback.publish(call("a")).await.unwrap();
    // Every pause is at least 15 seconds long by now.
    setup.after(HOUR).await;
    let before = setup.spool.replays();
    while setup.spool.replays() == before {
        sleep(Duration::from_millis(10)).await;
    }
    setup.primary.answer(Answer::Confirm);
    setup.fallback.publish(call("b")).await.unwrap();
    setup.after(Duration::from_millis(1)).await;
    assert_eq!(setup.primary.confirmed_keys(), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn it_stops_with_its_group_in_the_middle_of_a_pause() {
    let setup = setup(AWAY);
    setup.start();
    setup.fallback.publish(call("a")).await.unwrap();
    setup.after(HOUR).await;
    let started = Instant::now();
    assert!(setup.tasks.stop(Duration::from_secs(10)).await);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(
        setup.spool.keys(),
        ["a"],
        "it stays kept for the next process"
    );
}
