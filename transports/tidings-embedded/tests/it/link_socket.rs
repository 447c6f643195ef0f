//! What somebody may do to the lock and to the socket of a durable file, and what an owner's silence leads to.

#![cfg(unix)]

use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener as StdListener},
    time::Duration,
};

use tidings_core::{Completion, Deadline, ErrorKind, transport::Transport};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::{
    directory::Directory,
    link::{call, drain, process, queue},
};

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

/// A client, and its end of a connection on which an owner only ever says welcome.
async fn client_of_a_vanishing_owner(directory: &Directory) -> (Embedded, UnixStream) {
    let listener = UnixListener::bind(directory.file("broker.sock")).unwrap();
    let welcome = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let greeting = [7, 0, 0, 0, 0, b'T', b'd', b'L', b'k', 1, 0];
        stream.write_all(&greeting).await.unwrap();
        stream
    };
    tokio::join!(process(directory), welcome)
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
    let (client, stream) = client_of_a_vanishing_owner(&directory).await;
    let publisher = client.publisher().await.unwrap();
    let published = publisher.publish(call("q", "perhaps"));
    tokio::task::yield_now().await;
    drop(stream);

    let unknown = published.await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unconfirmed, "it was sent");
    assert!(unknown.to_string().contains("broker.lock"), "{unknown}");
    let refused = publisher.publish(call("q", "certainly not")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = client.declare(&queue("q")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gave_up_goes_on_once_the_file_is_free() {
    let directory = Directory::new();
    let lock = hold_lock(&directory);
    let (client, stream) = client_of_a_vanishing_owner(&directory).await;
    drop(stream);
    client.declare(&queue("q")).await.unwrap_err();

    drop(lock);
    while client.declare(&queue("q")).await.is_err() {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let publisher = client.publisher().await.unwrap();
    publisher.publish(call("q", "at last")).await.unwrap();
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
        reason.contains("version 2") && reason.contains("99"),
        "{reason}"
    );
}

/// How many messages are published while no answer arrives.
const UNANSWERED: u32 = 100;

/// A client whose publishes are stored and whose answers are all lost: everything but the greeting that the
/// owner says disappears on the way. Returns it with its publishes, after they have been stored and cut off.
async fn client_without_answers(
    directory: &Directory,
    owner: &Embedded,
) -> (Embedded, Vec<Completion>) {
    let (socket, aside) = (directory.file("broker.sock"), directory.file("aside.sock"));
    std::fs::rename(&socket, &aside).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let proxy = async {
        let (near, _) = listener.accept().await.unwrap();
        let mut far = UnixStream::connect(&aside).await.unwrap();
        let (mut from_client, mut to_client) = near.into_split();
        let (mut from_owner, mut to_owner) = far.split();
        let swallow = async {
            let mut greeting = [0; 11];
            from_owner.read_exact(&mut greeting).await.unwrap();
            to_client.write_all(&greeting).await.unwrap();
            tokio::io::copy(&mut from_owner, &mut tokio::io::sink()).await
        };
        let (..) = tokio::join!(swallow, tokio::io::copy(&mut from_client, &mut to_owner));
    };
    let work = async {
        let client = process(directory).await;
        let publisher = client.publisher().await.unwrap();
        let publish = |number: u32| publisher.publish(call("q", &number.to_string()));
        let unanswered: Vec<_> = (0..UNANSWERED).map(publish).collect();
        while owner.queues(&["q".into()]).await.unwrap()[0].ready < u64::from(UNANSWERED) {
            tokio::task::yield_now().await;
        }
        (client, unanswered)
    };
    let done = tokio::select! {
        done = work => done,
        () = proxy => unreachable!("the proxy ends with its connections"),
    };
    std::fs::rename(&aside, &socket).unwrap();
    done
}

async fn each_is_there_once(client: &Embedded, unanswered: Vec<Completion>) {
    for completion in unanswered {
        completion.await.unwrap();
    }
    let stored: Vec<_> = drain(client, "q")
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    let expected: Vec<_> = (0..UNANSWERED).map(|number| number.to_string()).collect();
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn publishes_whose_answers_were_lost_are_stored_once_by_the_same_owner() {
    let directory = Directory::new();
    let owner = process(&directory).await;
    owner.declare(&queue("q")).await.unwrap();
    let (client, unanswered) = client_without_answers(&directory, &owner).await;
    each_is_there_once(&client, unanswered).await;
}

#[tokio::test]
async fn publishes_whose_answers_were_lost_are_stored_once_by_the_next_owner() {
    let directory = Directory::new();
    let owner = process(&directory).await;
    owner.declare(&queue("q")).await.unwrap();
    let (client, unanswered) = client_without_answers(&directory, &owner).await;
    owner
        .close(Deadline::after(Duration::from_secs(10)))
        .await
        .unwrap();
    each_is_there_once(&client, unanswered).await;
}
