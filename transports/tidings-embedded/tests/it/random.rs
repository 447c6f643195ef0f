//! Random operations never lose or double a message: whatever was confirmed and not acknowledged is there.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use tidings_core::{
    Delivery, Settlement,
    clock::Clock,
    topology::{Queue, Topology},
    transport::{Subscriber, Subscription},
};
use tidings_embedded::broker::{Broker, ConnectionId};

use crate::bed::{call, text};

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    Subscribe,
    Unsubscribe(usize),
    Take(usize),
    Settle(usize, How),
    Reconnect,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Nack,
    Reject,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        Just(How::Ack),
        Just(How::Nack),
        Just(How::Reject),
        Just(How::Drop)
    ];
    prop_oneof![
        4 => Just(Step::Publish),
        1 => Just(Step::Subscribe),
        1 => (0..4_usize).prop_map(Step::Unsubscribe),
        6 => (0..4_usize).prop_map(Step::Take),
        4 => (0..8_usize, how).prop_map(|(which, how)| Step::Settle(which, how)),
        1 => Just(Step::Reconnect),
    ]
}

/// The broker beside what must be in it.
struct World {
    broker: Broker,
    connection: ConnectionId,
    subscribers: Vec<Box<dyn Subscriber>>,
    held: Vec<Delivery>,
    owed: BTreeSet<String>,
    published: usize,
}

impl World {
    async fn new() -> Self {
        let broker = Broker::memory(Clock::of_runtime());
        let connection = broker.connect();
        let topology = Topology::new()
            .queue(Queue::new("q").with_dead_letter("", "dead"))
            .queue(Queue::new("dead"));
        broker.declare(connection, &topology).await.unwrap();
        Self {
            broker,
            connection,
            subscribers: Vec::new(),
            held: Vec::new(),
            owed: BTreeSet::new(),
            published: 0,
        }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Publish => {
                let text = format!("{:06}", self.published);
                self.published += 1;
                self.broker.publish(None, call("q", &text)).await.unwrap();
                self.owed.insert(text);
            }
            Step::Subscribe => {
                let to = Subscription::to("q").with_prefetch(3);
                let subscriber = self.broker.subscribe(self.connection, to).unwrap();
                self.subscribers.push(Box::new(subscriber));
            }
            Step::Unsubscribe(which) if which < self.subscribers.len() => {
                drop(self.subscribers.remove(which));
            }
            Step::Take(which) if which < self.subscribers.len() => self.take(which).await,
            Step::Settle(which, how) if which < self.held.len() => self.settle(which, how).await,
            Step::Reconnect => {
                self.broker.disconnect(self.connection);
                self.connection = self.broker.connect();
                self.held.clear();
                self.subscribers.clear();
            }
            Step::Unsubscribe(_) | Step::Take(_) | Step::Settle(..) => {}
        }
        let status = self.broker.queues(&[]).unwrap();
        let there: u64 = status.iter().map(|queue| queue.depth()).sum();
        assert_eq!(there, self.owed.len() as u64, "{status:?}");
    }

    async fn take(&mut self, which: usize) {
        // Two polls: the first may give way to another consumer.
        for _ in 0..2 {
            let next = futures_util::FutureExt::now_or_never(self.subscribers[which].next());
            if let Some(delivery) = next {
                let delivery = delivery.unwrap().unwrap();
                let first = self.held.iter().all(|held| text(held) != text(&delivery));
                assert!(first, "`{}` is out twice", text(&delivery));
                self.held.push(delivery);
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn settle(&mut self, which: usize, how: How) {
        let delivery = self.held.remove(which);
        let text = text(&delivery);
        match how {
            How::Ack => {
                delivery.settle(Settlement::Ack).await.unwrap();
                self.owed.remove(&text);
            }
            How::Nack => delivery
                .settle(Settlement::Nack { delay: None })
                .await
                .unwrap(),
            How::Reject => delivery.settle(Settlement::Reject).await.unwrap(),
            How::Drop => drop(delivery),
        }
    }

    /// Takes everything that is left, in order.
    async fn rest(mut self) -> (Vec<String>, BTreeSet<String>) {
        self.run(Step::Reconnect).await;
        let mut rest = Vec::new();
        for queue in ["q", "dead"] {
            let count = self.broker.queues(&[queue.into()]).unwrap()[0].ready;
            let to = Subscription::to(queue).with_prefetch(u16::MAX);
            let mut subscriber: Box<dyn Subscriber> =
                Box::new(self.broker.subscribe(self.connection, to).unwrap());
            let mut texts = Vec::new();
            for _ in 0..count {
                let delivery = subscriber.next().await.unwrap().unwrap();
                texts.push(text(&delivery));
                self.held.push(delivery);
            }
            if queue == "q" {
                assert!(
                    texts.is_sorted(),
                    "whatever came back has its old place: {texts:?}"
                );
            }
            rest.extend(texts);
        }
        (rest, self.owed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn nothing_is_lost_or_doubled(steps in vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.run(step).await;
            }
            let (rest, owed) = world.rest().await;
            assert_eq!(rest.len(), owed.len());
            assert_eq!(rest.into_iter().collect::<BTreeSet<_>>(), owed);
        });
    }
}
