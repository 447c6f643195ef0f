//! Several processes on one durable file, played by several transports of one process: the lock belongs to the
//! open file and not to the process, so they are as strange to each other as processes are.
//!
//! What only real processes show, kill -9, is in `link_kill.rs`; strangers at the socket are in `link_socket.rs`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Delivery, Envelope, ErrorKind, Result, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::{Publisher, Subscriber, Subscription, Transport},
};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};

use crate::directory::Directory;

/// Another process, as far as the file can tell.
pub(crate) async fn process(directory: &Directory) -> Embedded {
    let file = FileConfig::new(directory.file("broker"));
    Embedded::open(EmbeddedConfig::File(file)).await.unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

pub(crate) fn queue(name: &str) -> Topology {
    Topology::new().queue(Queue::new(name))
}

pub(crate) fn call(queue: &str, text: &str) -> Call {
    Call::new(Address::queue(queue), Envelope::new(text.to_owned()))
}

async fn subscribe(transport: &Embedded, queue: &str, prefetch: u16) -> Box<dyn Subscriber> {
    let to = Subscription::to(queue).with_prefetch(prefetch);
    transport.subscribe(to).await.unwrap()
}

async fn next(subscriber: &mut Box<dyn Subscriber>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(10), subscriber.next());
    next.await
        .expect("a delivery in time")
        .expect("an open subscription")
        .unwrap()
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.call().envelope.payload.bytes.to_vec()).unwrap()
}

async fn handle(subscriber: &mut Box<dyn Subscriber>) -> (String, bool) {
    let delivery = next(subscriber).await;
    let handled = (text(&delivery), delivery.call().is_redelivered());
    delivery.settle(Settlement::Ack).await.unwrap();
    handled
}

/// Publishes numbers without awaiting one before the next.
fn publish_all(
    publisher: &Arc<dyn Publisher>,
    queue: &str,
    numbers: std::ops::Range<u32>,
) -> Vec<tidings_core::Completion> {
    numbers
        .map(|number| publisher.publish(call(queue, &number.to_string())))
        .collect()
}

async fn all_confirmed(completions: Vec<tidings_core::Completion>) {
    for completion in completions {
        completion.await.unwrap();
    }
}

/// Takes what is in a queue, without waiting for more than there is.
pub(crate) async fn drain(transport: &Embedded, name: &str) -> Vec<(String, bool)> {
    let status = transport.queues(&[name.into()]).await.unwrap();
    let mut subscriber = subscribe(transport, name, 100).await;
    let mut handled = Vec::new();
    for _ in 0..status[0].ready {
        handled.push(handle(&mut subscriber).await);
    }
    handled
}

#[tokio::test]
async fn what_one_process_publishes_another_one_handles() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    client
        .declare(&queue("to-client").queue(Queue::new("to-owner")))
        .await
        .unwrap();

    let mut at_client = subscribe(&client, "to-client", 1).await;
    owner
        .publisher()
        .await
        .unwrap()
        .publish(call("to-client", "hello"))
        .await
        .unwrap();
    assert_eq!(handle(&mut at_client).await, ("hello".to_owned(), false));

    let mut at_owner = subscribe(&owner, "to-owner", 1).await;
    client
        .publisher()
        .await
        .unwrap()
        .publish(call("to-owner", "welcome"))
        .await
        .unwrap();
    assert_eq!(handle(&mut at_owner).await, ("welcome".to_owned(), false));
    assert_eq!(
        client.queues(&[]).await.unwrap(),
        owner.queues(&[]).await.unwrap()
    );
}

#[tokio::test]
async fn everything_of_a_message_crosses_between_processes() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    let topology = queue("q")
        .exchange(Exchange::topic("events"))
        .bind("events", "q", "a.#");
    client.declare(&topology).await.unwrap();
    let mut envelope = Envelope::new(&b"body"[..]);
    envelope.headers.set("count", 3);
    envelope.properties.fields_mut().correlation_id = Some("c".into());
    envelope.payload.content_type = Some("application/json".into());
    let sent = Call::new(Address::new("events", "a.b"), envelope);

    owner
        .publisher()
        .await
        .unwrap()
        .publish(sent.clone())
        .await
        .unwrap();
    let delivery = next(&mut subscribe(&client, "q", 1).await).await;
    assert_eq!(delivery.call().address, sent.address);
    assert_eq!(delivery.call().envelope, sent.envelope);
    assert_eq!(delivery.call().queue(), "q");
}

#[tokio::test]
async fn consumers_in_two_processes_compete() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let mut here = subscribe(&owner, "q", 1).await;
    let mut there = subscribe(&client, "q", 1).await;
    let completions = publish_all(&client.publisher().await.unwrap(), "q", 0..20);
    all_confirmed(completions).await;

    // Each holds one and settles it only when the other has one too: so both must be served.
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        let (one, other) = (next(&mut here).await, next(&mut there).await);
        seen.extend([text(&one), text(&other)]);
        one.settle(Settlement::Ack).await.unwrap();
        other.settle(Settlement::Ack).await.unwrap();
    }
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn a_client_takes_over_when_the_owner_closes_while_publishes_are_under_way() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let publisher = client.publisher().await.unwrap();

    let mut completions = publish_all(&publisher, "q", 0..5_000);
    let (closed, ()) = tokio::join!(owner.close(soon()), async {
        for number in 5_000..10_000 {
            completions.push(publisher.publish(call("q", &number.to_string())));
            tokio::task::yield_now().await;
        }
    });
    closed.unwrap();
    all_confirmed(completions).await;

    let expected: Vec<_> = (0..10_000).map(|number: u32| number.to_string()).collect();
    let handled: Vec<_> = drain(&client, "q")
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    assert_eq!(
        handled, expected,
        "each once and in the order of publishing"
    );
    assert!(client.queues(&["q".into()]).await.unwrap()[0].ready == 0);
}

#[tokio::test]
async fn a_subscription_goes_on_after_a_take_over_and_what_was_out_comes_again() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let mut subscriber = subscribe(&client, "q", 2).await;
    let publisher = client.publisher().await.unwrap();
    all_confirmed(publish_all(&publisher, "q", 0..3)).await;
    let out = next(&mut subscriber).await;
    owner.close(soon()).await.unwrap();

    assert_eq!(handle(&mut subscriber).await, ("0".to_owned(), true));
    let error = out.settle(Settlement::Ack).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("come again"), "{error}");
    assert_eq!(handle(&mut subscriber).await.0, "1");
    assert_eq!(handle(&mut subscriber).await.0, "2");
    publisher.publish(call("q", "new")).await.unwrap();
    assert_eq!(handle(&mut subscriber).await, ("new".to_owned(), false));
}

#[tokio::test]
async fn what_a_client_is_about_to_settle_when_the_owner_closes_does_not_come_again() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let completions = publish_all(&owner.publisher().await.unwrap(), "q", 0..300);
    all_confirmed(completions).await;
    let mut subscriber = subscribe(&client, "q", 200).await;
    let mut out = Vec::new();
    for _ in 0..200 {
        out.push(next(&mut subscriber).await);
    }
    let (closed, ()) = tokio::join!(owner.close(soon()), async {
        for delivery in out {
            delivery.settle(Settlement::Ack).await.unwrap();
        }
    });
    closed.unwrap();
    for number in 200..300 {
        // Some of them may have been handed out again before the owner stopped doing so.
        assert_eq!(handle(&mut subscriber).await.0, number.to_string());
    }
    assert_eq!(client.queues(&["q".into()]).await.unwrap()[0].ready, 0);
}

#[tokio::test]
async fn the_loser_of_a_take_over_follows_the_winner() {
    let directory = Directory::new();
    let owner = process(&directory).await;
    let (one, other) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let mut subscribers = [
        subscribe(&one, "q", 1).await,
        subscribe(&other, "q", 1).await,
    ];
    owner.close(soon()).await.unwrap();

    let completions = publish_all(&one.publisher().await.unwrap(), "q", 0..1);
    all_confirmed(completions).await;
    let completions = publish_all(&other.publisher().await.unwrap(), "q", 1..2);
    all_confirmed(completions).await;
    let [one, other] = &mut subscribers;
    let (one, other) = (next(one).await, next(other).await);
    assert_eq!(BTreeSet::from([text(&one), text(&other)]).len(), 2);
}

#[tokio::test]
async fn what_a_dead_client_had_comes_again_elsewhere() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    client
        .declare(&Topology::new().queue(Queue::exclusive("replies")))
        .await
        .unwrap();
    let completions = publish_all(&owner.publisher().await.unwrap(), "q", 0..3);
    all_confirmed(completions).await;
    let mut subscriber = subscribe(&client, "q", 3).await;
    let out = [next(&mut subscriber).await, next(&mut subscriber).await];
    drop(client);

    let mut at_owner = subscribe(&owner, "q", 3).await;
    for number in 0..3 {
        assert_eq!(handle(&mut at_owner).await, (number.to_string(), true));
    }
    let error = owner.queues(&["replies".into()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    drop(out);
}

#[tokio::test]
async fn a_dropped_subscriber_gives_back_what_it_did_not_hand_out() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let completions = publish_all(&owner.publisher().await.unwrap(), "q", 0..3);
    all_confirmed(completions).await;
    let mut subscriber = subscribe(&client, "q", 3).await;
    let handed_out = next(&mut subscriber).await;
    drop(subscriber);

    let mut at_owner = subscribe(&owner, "q", 3).await;
    let back = BTreeSet::from([handle(&mut at_owner).await.0, handle(&mut at_owner).await.0]);
    assert_eq!(back, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    handed_out.settle(Settlement::Ack).await.unwrap();
    assert_eq!(
        owner.queues(&["q".into()]).await.unwrap()[0].unsettled,
        Some(0)
    );
}

#[tokio::test]
async fn an_exclusive_queue_and_its_binding_survive_a_take_over() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner
        .declare(&Topology::new().exchange(Exchange::topic("replies")))
        .await
        .unwrap();
    let mine = Topology::new()
        .queue(Queue::exclusive("mine"))
        .bind("replies", "mine", "me");
    client.declare(&mine).await.unwrap();
    let mut subscriber = subscribe(&client, "mine", 1).await;
    owner.close(soon()).await.unwrap();

    let reply = Call::new(Address::new("replies", "me"), Envelope::new("reply"));
    client
        .publisher()
        .await
        .unwrap()
        .publish(reply)
        .await
        .unwrap();
    assert_eq!(handle(&mut subscriber).await.0, "reply");
}

#[tokio::test]
async fn errors_read_the_same_in_every_process() {
    async fn errors(transport: &Embedded) -> Result<Vec<String>> {
        let conflict = Topology::new().queue(Queue::new("q").with_ttl(Duration::from_secs(1)));
        let publisher = transport.publisher().await?;
        let errors = [
            transport.declare(&conflict).await.unwrap_err(),
            publisher
                .publish(call("nowhere", "lost"))
                .await
                .unwrap_err(),
            transport
                .subscribe(Subscription::to("nowhere"))
                .await
                .err()
                .unwrap(),
            transport.queues(&["nowhere".into()]).await.unwrap_err(),
        ];
        Ok(errors.iter().map(|error| format!("{error:?}")).collect())
    }
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    assert_eq!(
        errors(&client).await.unwrap(),
        errors(&owner).await.unwrap()
    );
}

#[tokio::test]
async fn a_closed_client_refuses_work_and_leaves_the_owner_alone() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let publisher = client.publisher().await.unwrap();
    let mut subscriber = subscribe(&client, "q", 1).await;
    let completions = publish_all(&publisher, "q", 0..100);
    client.close(soon()).await.unwrap();

    all_confirmed(completions).await;
    let refused = publisher.publish(call("q", "late")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    assert_eq!(
        client.declare(&queue("q")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    while let Some(delivery) = subscriber.next().await {
        drop(delivery);
    }
    assert_eq!(drain(&owner, "q").await.len(), 100);
}

#[tokio::test]
async fn closing_leaves_no_socket_and_a_file_that_anybody_can_own() {
    let directory = Directory::new();
    let owner = process(&directory).await;
    owner.declare(&queue("q")).await.unwrap();
    owner
        .publisher()
        .await
        .unwrap()
        .publish(call("q", "kept"))
        .await
        .unwrap();
    owner.close(soon()).await.unwrap();
    assert!(!directory.file("broker.sock").exists());

    let next = process(&directory).await;
    assert_eq!(drain(&next, "q").await.len(), 1);
}

#[tokio::test]
async fn a_dropped_owner_is_replaced_too() {
    let directory = Directory::new();
    let (owner, client) = (process(&directory).await, process(&directory).await);
    owner.declare(&queue("q")).await.unwrap();
    let completions = publish_all(&client.publisher().await.unwrap(), "q", 0..100);
    drop(owner);
    all_confirmed(completions).await;
    assert_eq!(drain(&client, "q").await.len(), 100);
}
