//! The embedded broker answers as RabbitMQ does: the same steps on both, and the same messages in the same queues.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidings::{
    Address, Call, Deadline, Envelope, ErrorKind, Settlement,
    headers::X_DEATH,
    topology::{Exchange, ExchangeKind, Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_testkit::rabbitmq;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A queue's messages in order: payload, routing key, whether marked as redelivered, deaths.
type Contents = Vec<(String, String, bool, usize)>;

/// What a broker answered to all steps.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    publishes: Vec<Result<(), ErrorKind>>,
    declares: Vec<Result<(), ErrorKind>>,
    queues: BTreeMap<&'static str, Contents>,
}

const QUEUES: [&str; 6] = ["direct", "fan", "topic", "hash", "short", "dead"];

fn topology() -> Topology {
    let exchange = |name: &str, kind| Exchange::new(name, kind);
    Topology::new()
        .exchange(exchange("d", ExchangeKind::Direct))
        .exchange(exchange("f", ExchangeKind::Fanout))
        .exchange(exchange("t", ExchangeKind::Topic))
        .queue(Queue::new("direct"))
        .queue(Queue::new("fan"))
        .queue(Queue::new("topic"))
        .queue(Queue::new("hash"))
        .queue(
            Queue::new("short")
                .with_ttl(Duration::from_millis(1))
                .with_dead_letter("d", "dead"),
        )
        .queue(Queue::new("dead"))
        .bind("d", "direct", "a.b")
        .bind("d", "dead", "dead")
        .bind("f", "fan", "ignored")
        .bind("f", "direct", "")
        .bind("t", "topic", "a.*.c")
        .bind("t", "topic", "a.b.*")
        .bind("t", "hash", "#.c")
        .bind("t", "hash", "a.#")
}

/// Exchange, key, and whether it must be received.
const PUBLISHES: &[(&str, &str, bool)] = &[
    ("d", "a.b", true),
    ("d", "a.c", true),
    ("d", "a.c", false),
    ("f", "anything", true),
    ("t", "a.b.c", true),
    ("t", "a.x.c", true),
    ("t", "x.y.c", true),
    ("t", "c", true),
    ("t", "a", true),
    ("t", "", true),
    ("t", "b..c", true),
    ("t", "a..c", true),
    ("t", "x.y.z", true),
    ("", "fan", true),
    ("", "no such queue", true),
    ("", "short", true),
    ("missing", "a", true),
];

async fn play(transport: &Arc<dyn Transport>) -> Answers {
    let mut answers = Answers::default();
    transport.declare(&topology()).await.unwrap();
    let again = [
        topology(),
        Topology::new().queue(Queue::new("direct").with_ttl(Duration::from_secs(1))),
        Topology::new().queue(Queue::new("short")),
        Topology::new().exchange(Exchange::topic("d")),
        Topology::new().bind("d", "no such queue", "a"),
        Topology::new().bind("no such exchange", "direct", "a"),
        Topology::new().queue(Queue::new("")),
    ];
    for topology in &again {
        let declared = transport.declare(topology).await;
        answers
            .declares
            .push(declared.map_err(|error| error.kind()));
    }
    let publisher = transport.publisher().await.unwrap();
    for (number, (exchange, key, mandatory)) in PUBLISHES.iter().enumerate() {
        let mut call = Call::new(
            Address::new(*exchange, *key),
            Envelope::new(number.to_string()),
        );
        call.mandatory = *mandatory;
        let published = publisher.publish(call).await;
        answers
            .publishes
            .push(published.map_err(|error| error.kind()));
    }
    for queue in QUEUES {
        // What expires in `short` is to arrive in `dead`, which is looked at last.
        let wanted = usize::from(queue == "dead");
        answers
            .queues
            .insert(queue, drain(transport, queue, wanted).await);
    }
    answers
}

/// Takes all messages out, each once nacked before: `wanted` at least, and then what is there.
async fn drain(transport: &Arc<dyn Transport>, queue: &str, wanted: usize) -> Contents {
    let mut subscriber = transport.subscribe(Subscription::to(queue)).await.unwrap();
    let (mut contents, mut nacked) = (Contents::new(), false);
    loop {
        let patience = if contents.len() < wanted {
            PATIENCE
        } else {
            Duration::from_millis(300)
        };
        let Ok(next) = timeout(patience, subscriber.next()).await else {
            return contents;
        };
        let (call, acker) = next.unwrap().unwrap().split();
        if !nacked && queue == "hash" {
            nacked = true;
            acker
                .settle(Settlement::Nack { delay: None })
                .await
                .unwrap();
            continue;
        }
        acker.settle(Settlement::Ack).await.unwrap();
        let deaths = call.envelope.headers.get(X_DEATH);
        contents.push((
            String::from_utf8(call.envelope.payload.bytes.to_vec()).unwrap(),
            call.address.key.to_string(),
            call.is_redelivered(),
            deaths
                .and_then(|deaths| deaths.as_list())
                .map_or(0, <[_]>::len),
        ));
        contents.sort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_brokers_give_the_same_answers() {
    let Some(host) = rabbitmq::shared().await else {
        return;
    };
    let embedded = tidings::open("embedded:").await.unwrap();
    let rabbitmq = tidings::open(&host.url()).await.unwrap();
    let (ours, theirs) = (play(&embedded).await, play(&rabbitmq).await);
    assert_eq!(ours, theirs);
    rabbitmq.close(Deadline::after(PATIENCE)).await.unwrap();
}
