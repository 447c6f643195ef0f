//! Several processes on one durable file, played by several transports of one process: the lock belongs to the
//! open file and not to the process, so they are as strange to each other as processes are.
//!
//! What only real processes show, kill -9, is in `link_kill.rs`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tidings_core::{
    Address, Call, Deadline, Delivery, Envelope, ErrorKind, Result, Settlement,
    topology::{Exchange, Queue, Topology},
    transport::{Publisher, Subscriber, Subscription, Transport},
};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};

use crate::directory::Directory;

/// Another process, as far as the file can tell.
async fn process(directory: &Directory) -> Embedded {
    let file = FileConfig::new(directory.file("broker"));
    Embedded::open(EmbeddedConfig::File(file)).await.unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn queue(name: &str) -> Topology {
    Topology::new().queue(Queue::new(name))
}

fn call(queue: &str, text: &str) -> Call {
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
async fn drain(transport: &Embedded, name: &str) -> Vec<(String, bool)> {
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
    assert_eq!(owner.queues(&["q".into()]).await.unwrap()[0].unsettled, 0);
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

#[cfg(unix)]
mod unix {
    //! What somebody may do to the socket.

    use std::os::unix::{fs::PermissionsExt, net::UnixListener as StdListener};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream},
    };

    use super::*;

    #[tokio::test]
    async fn a_socket_left_over_by_a_killed_owner_is_replaced() {
        let directory = Directory::new();
        drop(StdListener::bind(directory.file("broker.sock")).unwrap());
        let (owner, client) = (process(&directory).await, process(&directory).await);
        client.declare(&queue("q")).await.unwrap();
        assert_eq!(owner.queues(&[]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn only_the_user_of_the_file_may_connect() {
        let directory = Directory::new();
        let _owner = process(&directory).await;
        let mode = std::fs::metadata(directory.file("broker.sock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn garbage_on_the_socket_closes_that_connection_with_a_reason_and_no_other() {
        let directory = Directory::new();
        let (owner, client) = (process(&directory).await, process(&directory).await);
        owner.declare(&queue("q")).await.unwrap();
        for garbage in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[1, 0, 0, 0, 255],
            &[0, 0, 0, 0],
            &[255; 64],
        ] {
            let mut stranger = UnixStream::connect(directory.file("broker.sock"))
                .await
                .unwrap();
            stranger.write_all(garbage).await.unwrap();
            stranger.shutdown().await.unwrap();
            let mut reason = Vec::new();
            stranger.read_to_end(&mut reason).await.unwrap();
            assert!(
                String::from_utf8_lossy(&reason).contains("damaged frame"),
                "{reason:?}"
            );
        }
        client
            .publisher()
            .await
            .unwrap()
            .publish(call("q", "unharmed"))
            .await
            .unwrap();
        assert_eq!(drain(&owner, "q").await.len(), 1);
    }

    /// Somebody who holds the lock of the file, as an owner does.
    fn hold_lock(directory: &Directory) -> std::fs::File {
        let lock = std::fs::File::create(directory.file("broker.lock")).unwrap();
        lock.try_lock().unwrap();
        lock
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_does_not_listen_is_named_after_a_while() {
        let directory = Directory::new();
        let _lock = hold_lock(&directory);
        let file = FileConfig::new(directory.file("broker"));
        let error = Embedded::open(EmbeddedConfig::File(file))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let lock = directory.file("broker.lock");
        assert!(
            error.to_string().contains(lock.to_str().unwrap()),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_vanished_owner_fails_after_a_while_and_never_hangs() {
        let directory = Directory::new();
        let _lock = hold_lock(&directory);
        let listener = UnixListener::bind(directory.file("broker.sock")).unwrap();
        let welcome = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let greeting = [7, 0, 0, 0, 0, b'T', b'd', b'L', b'k', 1, 0];
            stream.write_all(&greeting).await.unwrap();
            stream
        };
        let (client, stream) = tokio::join!(process(&directory), welcome);
        let publisher = client.publisher().await.unwrap();
        let published = publisher.publish(call("q", "perhaps"));
        tokio::task::yield_now().await;
        drop((stream, listener));

        let unknown = published.await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Unconfirmed, "it was sent");
        assert!(unknown.to_string().contains("broker.lock"), "{unknown}");
        let refused = publisher.publish(call("q", "certainly not")).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
        let refused = client.declare(&queue("q")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn an_owner_of_another_version_is_refused_with_a_reason() {
        let directory = Directory::new();
        let _owner = process(&directory).await;
        let mut stranger = UnixStream::connect(directory.file("broker.sock"))
            .await
            .unwrap();
        let mut hello = vec![23, 0, 0, 0, 0, b'T', b'd', b'L', b'k', 99, 0];
        hello.extend([0; 16]);
        stranger.write_all(&hello).await.unwrap();
        let mut reason = Vec::new();
        stranger.read_to_end(&mut reason).await.unwrap();
        let reason = String::from_utf8_lossy(&reason);
        assert!(
            reason.contains("version 1") && reason.contains("99"),
            "{reason}"
        );
    }
}
