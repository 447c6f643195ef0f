//! Recovery: what was confirmed, acked or declared still is after a restart of the broker.

use std::{collections::BTreeSet, time::Duration};

use tidings_core::{
    Address, ErrorKind, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::Capability,
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    connection::{Connection, text_call},
    inbox::text,
    trial::Trial,
    verdict::{Stop, Verdict, refused},
};
use crate::history::{Event, History, Recorder};

pub(super) async fn confirmed_messages_survive_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.queue("q").await?;
    on.fill("q", 200).await?;
    on.restart().await?;
    let got: BTreeSet<_> = on
        .inbox("q", 50)
        .await?
        .drain(200)
        .await?
        .into_iter()
        .collect();
    ensure_eq!(got.len(), 200, "different messages");
    Ok(())
}

/// Twenty publishers send while the broker is restarted twice; whatever was confirmed is received.
pub(super) async fn restarts_under_load_lose_nothing_confirmed(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.queue("q").await?;
    let recorder = Recorder::in_memory();
    for round in 0..3 {
        let (progress, mut confirmed) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for publisher in 0..20 {
            let connection = Connection::clone(on);
            let (recorder, progress) = (recorder.clone(), progress.clone());
            tasks.spawn(async move {
                publish_until_refused(
                    &connection,
                    &recorder,
                    &progress,
                    &format!("{round}/{publisher}"),
                )
                .await;
            });
        }
        let enough = confirmed.wait_for(|count| *count >= 500);
        let waited = tokio::time::timeout(on.patience(), enough)
            .await
            .is_ok_and(|ended| ended.is_ok());
        ensure!(waited, "500 publishes were not confirmed in round {round}");
        on.restart().await?;
        tasks.join_all().await;
    }
    handle_everything(on, &recorder).await?;
    let report = History::of(recorder.events()).check();
    report.verdict().map_err(Stop::failed)
}

/// At most 200 messages, or until the broker goes away.
async fn publish_until_refused(
    on: &Connection,
    recorder: &Recorder,
    progress: &watch::Sender<usize>,
    name: &str,
) {
    let Ok(publisher) = on.publisher().await else {
        return;
    };
    for number in 0..200 {
        let id = format!("{name}/{number}");
        recorder.note(Event::attempted(&id));
        let answer = publisher.publish(text_call(Address::queue("q"), &id)).await;
        if answer.is_err() {
            recorder.note(Event::failed(&id));
            return;
        }
        recorder.note(Event::confirmed(&id));
        progress.send_modify(|count| *count += 1);
    }
}

async fn handle_everything(on: &Trial, recorder: &Recorder) -> Verdict {
    let mut inbox = on.inbox("q", 100).await?;
    loop {
        let status = on.status("q").await?;
        let mut settling = Vec::new();
        for _ in 0..status.depth() {
            let (call, acker) = inbox.take().await?.split();
            let id = text(&call);
            recorder.note(Event::handled(&id, call.is_redelivered(), "reader"));
            settling.push((id, acker.settle(Settlement::Ack)));
        }
        if settling.is_empty() {
            return Ok(());
        }
        for (id, settled) in settling {
            settled.await?;
            recorder.note(Event::acked(&id));
        }
    }
}

pub(super) async fn acks_hold_over_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.queue("q").await?;
    on.fill("q", 20).await?;
    let mut inbox = on.inbox("q", 1).await?;
    let acked: BTreeSet<_> = inbox.drain(10).await?.into_iter().collect();
    on.restart().await?;
    let mut next = on.inbox("q", 10).await?;
    let left: BTreeSet<_> = next.drain(10).await?.into_iter().collect();
    let both: Vec<_> = acked.intersection(&left).collect();
    ensure!(
        both.is_empty(),
        "acked before the restart, and back: {both:?}"
    );
    next.quiet().await
}

pub(super) async fn rejects_hold_over_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::DeadLettering])?;
    on.queue("dead").await?;
    let queue = Queue::new("q").with_dead_letter("", "dead");
    on.declare(Topology::new().queue(queue)).await?;
    on.publish(Address::queue("q"), "hopeless").await?;
    let mut inbox = on.inbox("q", 1).await?;
    inbox.take().await?.settle(Settlement::Reject).await?;
    on.restart().await?;
    on.inbox("dead", 1).await?.take_text("hopeless").await?;
    ensure_eq!(
        on.status("q").await?.ready,
        0,
        "messages in the first queue"
    );
    Ok(())
}

/// Handed out, not settled, restarted: it comes again and says so, since a handler may have run.
pub(super) async fn unsettled_messages_return_marked_after_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    on.queue("q").await?;
    on.fill("q", 4).await?;
    let mut inbox = on.inbox("q", 2).await?;
    let held = inbox.take_many(2).await?;
    let handed_out: Vec<_> = held.iter().map(|delivery| text(delivery.call())).collect();
    on.restart().await?;
    for delivery in on.inbox("q", 4).await?.take_many(4).await? {
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
    on.queue("q").await?;
    on.publish(Address::queue("q"), "again").await?;
    let mut inbox = on.inbox("q", 1).await?;
    let nack = Settlement::Nack { delay: None };
    inbox.take().await?.settle(nack).await?;
    drop(inbox);
    on.restart().await?;
    let again = on.inbox("q", 1).await?.take_text("again").await?;
    ensure!(again.call().is_redelivered(), "the mark is lost");
    Ok(())
}

pub(super) async fn delayed_messages_survive_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::DelayedNack])?;
    on.queue("q").await?;
    on.publish(Address::queue("q"), "later").await?;
    let mut inbox = on.inbox("q", 1).await?;
    let delay = Some(Duration::from_millis(100));
    inbox
        .take()
        .await?
        .settle(Settlement::Nack { delay })
        .await?;
    on.restart().await?;
    let again = on.inbox("q", 1).await?.take_text("later").await?;
    ensure!(again.call().is_redelivered(), "the mark is lost");
    Ok(())
}

/// A message that waits in a TTL queue while the broker is away expires afterwards.
pub(super) async fn a_retry_loop_survives_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[
        Capability::Durable,
        Capability::QueueTtl,
        Capability::DeadLettering,
    ])?;
    let wait = Duration::from_millis(100);
    let retry = Queue::new("retry").with_ttl(wait).with_dead_letter("", "q");
    on.declare(Topology::new().queue(Queue::new("q")).queue(retry))
        .await?;
    on.fill("retry", 20).await?;
    on.restart().await?;
    let got: BTreeSet<_> = on
        .inbox("q", 20)
        .await?
        .drain(20)
        .await?
        .into_iter()
        .collect();
    ensure_eq!(got.len(), 20, "different messages after the wait");
    Ok(())
}

pub(super) async fn the_topology_survives_a_restart(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable, Capability::Exchanges])?;
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(Queue::new("q"))
        .bind("x", "q", "a.#");
    on.declare(topology).await?;
    on.restart().await?;
    on.publish(Address::new("x", "a.b"), "routed").await?;
    on.inbox("q", 1).await?.take_text("routed").await?;
    Ok(())
}

pub(super) async fn queues_that_are_not_durable_end_with_the_broker(on: &mut Trial) -> Verdict {
    on.needs(&[Capability::Durable])?;
    let queue = Queue {
        durable: false,
        ..Queue::new("fleeting")
    };
    on.declare(Topology::new().queue(queue)).await?;
    on.restart().await?;
    let status = on.transport().queues(&["fleeting".into()]).await;
    refused(status, ErrorKind::NotFound, "fleeting")?;
    Ok(())
}
