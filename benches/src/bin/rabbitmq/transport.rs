//! Ours, by the traits that every transport has: no convention, no client, no server.
//!
//! The application is one task on a thread of its own; everything AMQP is on the transport's.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use tidings::{
    Address, Call, Deadline, Envelope, Settlement,
    transport::{Publisher, Subscription, Transport},
};

use tidings_benches::watch::Stopwatch;

use crate::{
    case::{Case, Outcome, Work},
    load::{self, BODY, PREFETCH, pipeline},
    stage,
};

/// How long the transport may take to close.
pub const GRACE: Duration = Duration::from_secs(20);

/// Runs one case.
pub async fn run(url: &str, case: Case) -> Result<Outcome> {
    let queue: Arc<str> = stage::queue(case.kind).into();
    let transport = tidings::open(url).await?;
    let publisher = transport.publisher().await?;
    let publishing = || publish(&*publisher, Address::queue(Arc::clone(&queue)), case);
    let consuming = || consume(&*transport, Arc::clone(&queue), case.messages);
    let watch = Stopwatch::start()?;
    let confirmed = match case.work {
        Work::Publish => publishing().await?,
        Work::Consume => consuming().await.map(|()| Vec::new())?,
        Work::Both => tokio::try_join!(publishing(), consuming())?.0,
    };
    let outcome = load::stop(watch, case.messages, confirmed)?;
    transport.close(Deadline::after(GRACE)).await?;
    Ok(outcome)
}

async fn publish(publisher: &dyn Publisher, to: Address, case: Case) -> Result<Vec<Duration>> {
    let publish = || {
        let call = Call::new(to.clone(), Envelope::new(&BODY[..]));
        let confirmed = publisher.publish(call);
        async move { Ok(confirmed.await?) }
    };
    pipeline(case.messages, publish).await
}

async fn consume(transport: &dyn Transport, queue: Arc<str>, messages: usize) -> Result<()> {
    let subscription = Subscription::to(queue).with_prefetch(PREFETCH);
    let mut deliveries = transport.subscribe(subscription).await?;
    for _ in 0..messages {
        let delivery = deliveries.next().await;
        let delivery = delivery.context("the subscription has ended")??;
        let bytes = delivery.call().envelope.payload.len();
        ensure!(bytes == BODY.len(), "another message");
        delivery.settle(Settlement::Ack).await?;
    }
    Ok(())
}
