//! What a declaration would create or be refused for, in memory, as the owner of a file and as another process.

use std::time::Duration;

use tidings_core::{
    Address, Call, Envelope, ErrorKind, Settlement,
    topology::{Difference, Exchange, ExchangeKind, Queue, Topology},
    transport::Transport,
};
use tidings_embedded::Embedded;

use crate::{bed::next, directory::Directory};

/// In memory, as the owner of a file, and as a member that asks the owner.
async fn everywhere() -> (Vec<Embedded>, Directory) {
    let directory = Directory::new();
    let url = format!("embedded:{}", directory.file("broker").display());
    let owner = Embedded::from_url(&url).await.unwrap();
    let member = owner.connect().await.unwrap();
    (vec![Embedded::memory(), owner, member], directory)
}

fn existing() -> Topology {
    let queue = Queue::new("q")
        .with_ttl(Duration::from_secs(1))
        .with_dead_letter("x", "dead")
        .with_argument("x-max-length", 7_i64);
    Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(queue)
        .queue(Queue::new("plain"))
        .bind("x", "q", "a.*")
}

fn wanted() -> Topology {
    let fanout = Exchange::new("x", ExchangeKind::Fanout);
    let queue = Queue::new("q")
        .with_dead_letter("x", "buried")
        .with_argument("x-queue-type", "quorum");
    Topology::new()
        .exchange(Exchange::topic("y"))
        .exchange(fanout)
        .queue(queue)
        .queue(Queue::new("new"))
        .queue(Queue::new("plain"))
        .bind("x", "q", "a.*")
        .bind("x", "plain", "b")
        .bind("y", "new", "#")
}

const CONFLICTS: [&str; 5] = [
    "exchange `x` exists with kind topic, this declaration wants fanout",
    "queue `q` exists with message TTL 1000 ms, this declaration wants none",
    "queue `q` exists with dead-letter key `dead`, this declaration wants `buried`",
    "queue `q` exists with argument `x-max-length` 7, this declaration wants none",
    "queue `q` exists with argument `x-queue-type` none, this declaration wants `quorum`",
];

fn texts(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_difference_is_told_in_the_order_of_the_topology() {
    let (transports, _directory) = everywhere().await;
    for transport in &transports {
        transport.declare(&existing()).await.unwrap();
        assert_eq!(transport.compare(&existing()).await.unwrap(), []);
        let mut expected = vec!["exchange `y` does not exist"];
        expected.extend(CONFLICTS);
        expected.extend([
            "queue `new` does not exist",
            "binding `x` to `plain` for `b` does not exist",
            "binding `y` to `new` for `#` does not exist",
        ]);
        let told = transport.compare(&wanted()).await.unwrap();
        assert_eq!(texts(&told), expected, "{transport:?}");
        let again = transport.compare(&wanted()).await.unwrap();
        assert_eq!(again, told, "comparing changes nothing");
    }
}

#[tokio::test]
async fn a_refused_declaration_names_all_conflicts_and_creates_nothing() {
    let (transports, _directory) = everywhere().await;
    for transport in &transports {
        transport.declare(&existing()).await.unwrap();
        let error = transport.declare(&wanted()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        for conflict in CONFLICTS {
            assert!(error.to_string().contains(conflict), "{conflict}: {error}");
        }
        let missing = transport.queues(&["new".into()]).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn what_no_setting_could_mend_is_an_error() {
    let (transports, _directory) = everywhere().await;
    let unbound = Topology::new().queue(Queue::new("q")).bind("x", "q", "#");
    let twice = Topology::new()
        .queue(Queue::new("q"))
        .queue(Queue::new("q").with_ttl(Duration::from_secs(1)));
    for transport in &transports {
        for topology in [&unbound, &twice] {
            let error = transport.compare(topology).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        }
    }
}

#[tokio::test]
async fn a_queue_of_somebody_else_cannot_be_seen() {
    let memory = Embedded::memory();
    let other = memory.connect().await.unwrap();
    let mine = Topology::new().queue(Queue::exclusive("mine"));
    other.declare(&mine).await.unwrap();
    let told = texts(&memory.compare(&mine).await.unwrap());
    assert_eq!(
        told,
        ["queue `mine` cannot be seen: it belongs exclusively to another connection"]
    );
    assert_eq!(other.compare(&mine).await.unwrap(), []);
}

#[tokio::test]
async fn a_reply_comes_into_the_inbox_that_was_named() {
    let (transports, _directory) = everywhere().await;
    for transport in &transports {
        let requests = Topology::new().queue(Queue::new("requests"));
        transport.declare(&requests).await.unwrap();
        let mut inbox = transport.inbox().await.unwrap();
        let other = transport.inbox().await.unwrap();
        assert_ne!(inbox.reply_to, other.reply_to);

        let request = Call::new(Address::queue("requests"), Envelope::new("ask"));
        inbox.publisher.publish(request).await.unwrap();
        let answer = Call::new(Address::queue(&*inbox.reply_to), Envelope::new("answer"));
        let publisher = transport.publisher().await.unwrap();
        publisher.publish(answer).await.unwrap();
        let reply = next(&mut inbox.replies).await;
        assert_eq!(&reply.call().envelope.payload.bytes[..], b"answer");
        reply.settle(Settlement::Ack).await.unwrap();
    }
}
