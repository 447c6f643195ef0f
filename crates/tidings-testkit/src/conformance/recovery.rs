//! Recovery: what was confirmed, acked or declared still is after a restart of the broker.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tidings_core::{
    Address, Deadline, ErrorKind, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::Capability,
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    connection::{Connection, text_call},
    reader::text,
    trial::Trial,
    verdict::{Stop, Verdict, refused},
};
use crate::history::{Event, History, Recorder};

pub(super) async fn confirmed_messages_survive_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.lasting_queue("q").await?;
    on.fill("q", 200).await?;
    on.restart().await?;
    let got: BTreeSet<_> = on
        .reader("q", 50)
        .await?
        .drain(200)
        .await?
        .into_iter()
        .collect();
    ensure_eq!(got.len(), 200, "different messages");
    Ok(())
}

/// Twenty publishers send while the broker is restarted three times; whatever was confirmed is received. Publishers of a
/// transport that mends itself go on; those of others end with their connection.
pub(super) async fn restarts_under_load_lose_nothing_confirmed(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.lasting_queue("q").await?;
    let load = Load {
        recorder: Recorder::in_memory(),
        restarts: Arc::default(),
    };
    for round in 0..3 {
        let (progress, mut confirmed) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for publisher in 0..20 {
            let (connection, load) = (Connection::clone(on), load.clone());
            let (progress, name) = (progress.clone(), format!("{round}/{publisher}"));
            tasks.spawn(async move {
                load.publish_until_refused(&connection, &progress, &name)
                    .await;
            });
        }
        let enough = confirmed.wait_for(|count| *count >= 500);
        let waited = tokio::time::timeout(on.patience(), enough)
            .await
            .is_ok_and(|ended| ended.is_ok());
        ensure!(waited, "500 publishes were not confirmed in round {round}");
        load.restarts.fetch_add(1, Ordering::SeqCst);
        let before = on.restart_beside().await?;
        load.restarts.fetch_add(1, Ordering::SeqCst);
        tasks.join_all().await;
        // It may have ended with the broker.
        drop(before.close().await);
    }
    handle_everything(on, &load.recorder).await?;
    let report = History::of(load.recorder.events()).check();
    report.verdict().map_err(Stop::failed)
}

/// Publishers at work while the broker comes and goes.
#[derive(Clone)]
struct Load {
    recorder: Recorder,
    /// Counts beginnings and ends.
    restarts: Arc<AtomicUsize>,
}

impl Load {
    /// At most 200 messages, or until a publish fails.
    async fn publish_until_refused(
        &self,
        on: &Connection,
        progress: &watch::Sender<usize>,
        name: &str,
    ) {
        let Ok(publisher) = on.publisher().await else {
            return;
        };
        for number in 0..200 {
            let id = format!("{name}/{number}");
            let before = self.restarts.load(Ordering::SeqCst);
            self.recorder.note(Event::attempted(&id));
            let answer = publisher.publish(text_call(Address::queue("q"), &id)).await;
            if self.restarts.load(Ordering::SeqCst) != before {
                // What was stored and not confirmed when the broker went was handed over again.
                self.recorder.note(Event::attempted(&id));
            }
            if answer.is_err() {
                self.recorder.note(Event::failed(&id));
                return;
            }
            self.recorder.note(Event::confirmed(&id));
            progress.send_modify(|count| *count += 1);
        }
    }
}

/// Takes and acks what comes until every confirmed message was there and no more come.
async fn handle_everything(on: &Trial, recorder: &Recorder) -> Verdict {
    let mut reader = on.reader("q", 100).await?;
    let mut missing: BTreeSet<_> = recorder
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Confirmed { id } => Some(id),
            _ => None,
        })
        .collect();
    let (deadline, mut settling) = (Deadline::after(on.patience()), Vec::new());
    loop {
        let Some(delivery) = reader.glance(on.quiet_time()).await? else {
            if missing.is_empty() || deadline.is_past() {
                break;
            }
            continue;
        };
        let (call, acker) = delivery.split();
        let id = text(&call);
        recorder.note(Event::handled(&id, call.is_redelivered(), "reader"));
        missing.remove(&id);
        settling.push((id, acker.settle(Settlement::Ack)));
    }
    for (id, settled) in settling {
        settled.await?;
        recorder.note(Event::acked(&id));
    }
    Ok(())
}

/// Where the protocol confirms no ack, what was acked may come back, but never without its mark.
pub(super) async fn acks_hold_over_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.lasting_queue("q").await?;
    on.fill("q", 20).await?;
    let mut reader = on.reader("q", 1).await?;
    let acked: BTreeSet<_> = reader.drain(10).await?.into_iter().collect();
    drop(reader);
    if !on.settlements_are_confirmed() {
        on.wait_counts("q", 10, 0).await?;
    }
    on.restart().await?;
    let mut next = on.reader("q", 10).await?;
    let mut left = BTreeSet::new();
    while left.len() < 10 {
        let delivery = next.take().await?;
        let text = text(delivery.call());
        if acked.contains(&text) {
            ensure!(
                !on.settlements_are_confirmed() && delivery.call().is_redelivered(),
                "`{text}` was acked before the restart, and is back"
            );
        } else {
            left.insert(text);
        }
        delivery.settle(Settlement::Ack).await?;
    }
    if on.settlements_are_confirmed() {
        next.quiet().await?;
    }
    Ok(())
}

/// Where the protocol confirms no reject, the message may still be where it was, marked.
pub(super) async fn rejects_hold_over_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::DeadLettering])?;
    on.lasting_queue("dead").await?;
    let queue = Queue::new("q").with_dead_letter("", "dead");
    on.declare_to_last(Topology::new().queue(queue)).await?;
    on.publish(Address::queue("q"), "hopeless").await?;
    let mut reader = on.reader("q", 1).await?;
    reader.take().await?.settle(Settlement::Reject).await?;
    drop(reader);
    if !on.settlements_are_confirmed() {
        on.wait_ready("dead", 1).await?;
        // RabbitMQ dead-letters without a confirm, from one buffer to another. What is confirmed after it in the same queue
        // is on disk together with it.
        on.publish(Address::queue("dead"), "after it").await?;
    }
    on.restart().await?;
    let mut dead = on.reader("dead", 1).await?;
    if on.settlements_are_confirmed() {
        dead.take_text("hopeless").await?;
        return on.wait_ready("q", 0).await;
    }
    let mut first = on.reader("q", 1).await?;
    // Taking is cancel-safe, as `next` is.
    let (from_first, delivery) = tokio::select! {
        delivery = dead.take_text("hopeless") => (false, delivery?),
        delivery = first.take_text("hopeless") => (true, delivery?),
    };
    ensure!(
        !from_first || delivery.call().is_redelivered(),
        "what was rejected before the restart is back without its mark"
    );
    Ok(())
}

/// Handed out, not settled, restarted: it comes again and says so, since a handler may have run.
pub(super) async fn unsettled_messages_return_marked_after_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.lasting_queue("q").await?;
    on.fill("q", 4).await?;
    let mut reader = on.reader("q", 2).await?;
    let held = reader.take_many(2).await?;
    let handed_out: Vec<_> = held.iter().map(|delivery| text(delivery.call())).collect();
    on.restart().await?;
    for delivery in on.reader("q", 4).await?.take_many(4).await? {
        let text = text(delivery.call());
        if handed_out.contains(&text) {
            ensure!(
                delivery.call().is_redelivered(),
                "`{text}` was handed out before the restart and is not marked"
            );
        }
    }
    drop(held);
    Ok(())
}

pub(super) async fn nacked_messages_stay_marked_after_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.lasting_queue("q").await?;
    on.publish(Address::queue("q"), "again").await?;
    let mut reader = on.reader("q", 1).await?;
    let nack = Settlement::Nack { delay: None };
    reader.take().await?.settle(nack).await?;
    drop(reader);
    if !on.settlements_are_confirmed() {
        on.wait_ready("q", 1).await?;
    }
    on.restart().await?;
    let again = on.reader("q", 1).await?.take_text("again").await?;
    ensure!(again.call().is_redelivered(), "the mark is lost");
    Ok(())
}

pub(super) async fn delayed_messages_survive_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::DelayedNack])?;
    on.lasting_queue("q").await?;
    on.publish(Address::queue("q"), "later").await?;
    let mut reader = on.reader("q", 1).await?;
    let delay = Some(Duration::from_millis(100));
    reader
        .take()
        .await?
        .settle(Settlement::Nack { delay })
        .await?;
    on.restart().await?;
    let again = on.reader("q", 1).await?.take_text("later").await?;
    ensure!(again.call().is_redelivered(), "the mark is lost");
    Ok(())
}

/// A message that waits in a TTL queue while the broker is away expires afterwards. What expires while queues are shut
/// down or recovered may find the next queue gone, and a classic queue of RabbitMQ then drops it: where a restart took
/// longer than the TTL, the answer says nothing, and is asked for again with a longer one.
pub(super) async fn a_retry_loop_survives_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[
        Capability::Durable,
        Capability::QueueTtl,
        Capability::DeadLettering,
    ])?;
    let mut took = timed_restart(on).await?;
    for round in 0..4 {
        let (queue, retry) = (format!("q.{round}"), format!("retry.{round}"));
        let wait = 2 * took.max(Duration::from_millis(50));
        let waiting = Queue::new(&*retry)
            .with_ttl(Duration::from_millis(whole_millis(wait)))
            .with_dead_letter("", &*queue);
        let topology = Topology::new().queue(Queue::new(&*queue)).queue(waiting);
        on.declare_to_last(topology).await?;
        let filled = Instant::now();
        on.fill(&retry, 20).await?;
        took = timed_restart(on).await?;
        if filled.elapsed() < wait {
            let texts = on.reader(&queue, 20).await?.drain(20).await?;
            let got: BTreeSet<_> = texts.into_iter().collect();
            ensure_eq!(got.len(), 20, "different messages after the wait");
            return Ok(());
        }
    }
    Err(Stop::failed(format_args!(
        "each restart takes longer than two of those before, the last one {took:?}"
    )))
}

async fn timed_restart(on: &mut Trial) -> Result<Duration, Stop> {
    let started = Instant::now();
    on.restart().await?;
    Ok(started.elapsed())
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn the_topology_survives_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "a.#");
    on.declare_to_last(topology).await?;
    on.restart().await?;
    on.publish(Address::new("x", "a.b"), "routed").await?;
    on.reader("q", 1).await?.take_text("routed").await?;
    Ok(())
}

pub(super) async fn queues_that_are_not_durable_end_with_the_broker(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    let queue = Queue {
        durable: false,
        ..Queue::new("fleeting")
    };
    on.declare(Topology::new().queue(queue)).await?;
    // A connection that mends itself would declare it again.
    on.close().await?;
    on.restart().await?;
    let status = on.transport().queues(&["fleeting".into()]).await;
    refused(status, ErrorKind::NotFound, "fleeting")?;
    Ok(())
}
