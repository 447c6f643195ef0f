//! Load: many publishers, many subscribers, many queues, and subscribers that come and go.
//!
//! These run on several threads where time is real, and they are what [`stress`](super::stress) repeats.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tidings_core::{Address, Settlement, transport::Capability};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    connection::{Connection, text_call},
    trial::Trial,
    verdict::{Stop, Verdict},
};

pub(super) async fn fifty_publishers_and_subscribers_lose_nothing(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::CompetingConsumers])?;
    on.queue("q").await?;
    let (subscribers, mut handled) = subscribe_many(on, "q", 50).await?;
    let published = publish_many(on, "q", 50, 100);
    let got = collect(on, &mut handled, 5_000).await?;
    gather(published).await?;
    ensure_eq!(got.len(), 5_000, "different messages");
    ensure!(handled.is_empty(), "a message was handled twice");
    drop(subscribers);
    Ok(())
}

pub(super) async fn twenty_busy_queues_do_not_mix(on: &mut Trial) -> Verdict {
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (connection, queue) = (Connection::clone(on), format!("q.{number}"));
        tasks.spawn(async move { fill_and_check(&connection, &queue).await });
    }
    gather(tasks).await
}

async fn fill_and_check(on: &Connection, queue: &str) -> Verdict {
    on.queue(queue).await?;
    let mut reader = on.reader(queue, 10).await?;
    let publisher = on.publisher().await?;
    for number in 0..50 {
        let text = format!("{queue}/{number}");
        publisher
            .publish(text_call(Address::queue(queue), &text))
            .await?;
    }
    let got: BTreeSet<_> = reader.drain(50).await?.into_iter().collect();
    let foreign = got
        .iter()
        .find(|text| !text.starts_with(&format!("{queue}/")));
    ensure_eq!(foreign, None, "a message of another queue in `{queue}`");
    ensure_eq!(got.len(), 50, "different messages in `{queue}`");
    Ok(())
}

/// 5,000 messages in five batches, each read by a new subscriber that leaves with deliveries in its hands.
pub(super) async fn subscribers_that_leave_lose_nothing(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let (filling, mut got) = (on.fill("q", 5_000), BTreeSet::new());
    let reading = async {
        for batch in 1..=5 {
            let mut reader = on.reader("q", 100).await?;
            while got.len() < batch * 1_000 {
                got.extend(reader.drain(batch * 1_000 - got.len()).await?);
            }
            if batch < 5 {
                drop(reader.take_many(10).await?);
            }
        }
        Ok::<_, Stop>(())
    };
    let (filled, read) = futures_util::join!(filling, reading);
    filled?;
    read?;
    ensure_eq!(got.len(), 5_000, "different messages");
    Ok(())
}

pub(super) async fn subscribers_may_open_and_close_at_once(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let connection = Connection::clone(on);
        tasks.spawn(async move {
            for _ in 0..10 {
                drop(connection.reader("q", 10).await?);
            }
            Ok(())
        });
    }
    on.fill("q", 50).await?;
    gather(tasks).await?;
    let got: BTreeSet<_> = on
        .reader("q", 10)
        .await?
        .drain(50)
        .await?
        .into_iter()
        .collect();
    ensure_eq!(got.len(), 50, "different messages");
    Ok(())
}

/// Three subscribers nack a hundred times each; a good one then gets everything.
pub(super) async fn many_nacks_lose_nothing(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 50).await?;
    for _ in 0..3 {
        let mut failing = on.reader("q", 10).await?;
        let nack = Settlement::Nack { delay: None };
        failing.settle_many(100, &nack).await?;
    }
    let mut reader = on.reader("q", 10).await?;
    let got: BTreeSet<_> = reader.drain(50).await?.into_iter().collect();
    ensure_eq!(got.len(), 50, "different messages");
    reader.quiet().await
}

/// `close` waits for the publishes that are under way: what it let through is in the queue, all of it.
pub(super) async fn closing_waits_for_publishes_under_way(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    let publisher = on.publisher().await?;
    let confirms: Vec<_> = (0..10_000)
        .map(|n: usize| publisher.publish(text_call(Address::queue("q"), &n.to_string())))
        .collect();
    on.reconnect().await?;
    for confirm in join_all(confirms).await {
        confirm?;
    }
    on.wait_ready("q", 10_000).await
}

/// Acks may be handed over faster than they are answered.
pub(super) async fn acks_can_be_pipelined(on: &mut Trial) -> Verdict {
    on.queue("q").await?;
    on.fill("q", 1_000).await?;
    let mut reader = on.reader("q", 1_000).await?;
    let acks: Vec<_> = reader
        .take_many(1_000)
        .await?
        .into_iter()
        .map(|delivery| delivery.settle(Settlement::Ack))
        .collect();
    for ack in join_all(acks).await {
        ack?;
    }
    on.wait_counts("q", 0, 0).await?;
    reader.quiet().await?;
    // What the broker had not seen acked would come to the next.
    drop(reader);
    on.reader("q", 1).await?.quiet().await
}

type Handled = mpsc::Receiver<Result<String, Stop>>;

async fn subscribe_many(
    on: &Trial,
    queue: &str,
    count: usize,
) -> Result<(JoinSet<()>, Handled), Stop> {
    let (report, handled) = mpsc::channel(1_000);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (mut reader, report) = (on.reader(queue, 10).await?, report.clone());
        tasks.spawn(async move {
            loop {
                let one = reader.drain(1).await.map(|mut texts| texts.swap_remove(0));
                let failed = one.is_err();
                if report.send(one).await.is_err() || failed {
                    return;
                }
            }
        });
    }
    Ok((tasks, handled))
}

fn publish_many(on: &Trial, queue: &str, publishers: usize, each: usize) -> JoinSet<Verdict> {
    let mut tasks = JoinSet::new();
    for publisher in 0..publishers {
        let (connection, queue) = (Connection::clone(on), queue.to_owned());
        tasks.spawn(async move {
            let to = connection.publisher().await?;
            for number in 0..each {
                let text = format!("{publisher}/{number}");
                to.publish(text_call(Address::queue(queue.as_str()), &text))
                    .await?;
            }
            Ok(())
        });
    }
    tasks
}

async fn collect(
    on: &Trial,
    handled: &mut Handled,
    count: usize,
) -> Result<BTreeSet<String>, Stop> {
    let mut got = BTreeSet::new();
    for number in 0..count {
        let next = tokio::time::timeout(on.patience(), handled.recv()).await;
        let Ok(Some(text)) = next else {
            return Err(Stop::failed(format_args!(
                "only {number} of {count} were handled"
            )));
        };
        got.insert(text?);
    }
    Ok(got)
}

async fn gather(mut tasks: JoinSet<Verdict>) -> Verdict {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Stop::failed(format_args!("a task ended badly: {error}")))??;
    }
    Ok(())
}
