//! What keeps a transport from opening: each cause is one line that names it and the next step.

use std::time::{Duration, Instant};

use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind,
    topology::{Exchange, Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_rabbitmq::RabbitMq;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    bed::{Bed, bed, until},
    front::{Authority, Front, Kind},
};

/// How long a socket may stay open that nobody uses.
const LIMIT: Duration = Duration::from_secs(10);

const SECRET: &str = "s3cret";

/// Opens a URL, which must fail with this kind and these words, in one line, and without the password.
async fn check(url: &str, kind: ErrorKind, mentions: &[&str]) {
    let error = RabbitMq::from_url(url).await.unwrap_err();
    check_error(&error, kind, mentions);
}

fn check_error(error: &Error, kind: ErrorKind, mentions: &[&str]) {
    let text = error.chain();
    assert_eq!(error.kind(), kind, "{text}");
    for word in mentions {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
    assert!(!text.contains(SECRET) && !text.contains('\n'), "{text}");
}

/// A port on which nobody listens.
async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A user that this test has for itself; `permissions` is what it may do in the virtual host, if it may enter at all.
pub(crate) async fn user(bed: &Bed, permissions: Option<&str>) -> String {
    let name = format!("{}-user", bed.host.name());
    let body = format!(r#"{{"password": "{SECRET}", "tags": ""}}"#);
    bed.host.put(&format!("/api/users/{name}"), &body).await;
    if let Some(permissions) = permissions {
        bed.host
            .put(&format!("/api/permissions/{{}}/{name}"), permissions)
            .await;
    }
    name
}

pub(crate) async fn remove(bed: &Bed, user: &str) {
    bed.host.delete(&format!("/api/users/{user}")).await;
}

#[tokio::test]
async fn nobody_is_there() {
    let port = nobody().await;
    let at = format!("127.0.0.1:{port}");
    check(
        &format!("amqp://u:{SECRET}@{at}"),
        ErrorKind::Unavailable,
        &[&at, "nobody listens"],
    )
    .await;
    check(
        &format!("amqps://u:{SECRET}@{at}"),
        ErrorKind::Unavailable,
        &[&at, "nobody listens"],
    )
    .await;
    check(
        &format!("amqp://u:{SECRET}@nowhere.invalid"),
        ErrorKind::Unavailable,
        &["`nowhere.invalid`", "no address"],
    )
    .await;
}

#[tokio::test]
async fn nobody_is_waited_for_as_long_as_wanted() {
    let port = nobody().await;
    let start = Instant::now();
    check(
        &format!("amqp://127.0.0.1:{port}?wait_s=1"),
        ErrorKind::Unavailable,
        &["nobody listens"],
    )
    .await;
    // Pauses are drawn by lot, so the last attempt may be a good while before the end.
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Passes on so many of the broker's answers, then freezes, and takes what is said until the socket is closed.
async fn freeze_after(answers: usize, mut client: TcpStream, bed: &Bed) {
    let mut broker = TcpStream::connect(bed.host.address()).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    for _ in 0..answers {
        let asked = client.read(&mut bytes).await.unwrap();
        if asked == 0 {
            // It had given up before it was accepted.
            return;
        }
        broker.write_all(&bytes[..asked]).await.unwrap();
        let answered = broker.read(&mut bytes).await.unwrap();
        client.write_all(&bytes[..answered]).await.unwrap();
    }
    client.read_to_end(&mut bytes).await.unwrap();
}

/// lapin's thread reads from the socket, and would as long as the other end keeps it: one more with each attempt.
#[tokio::test]
async fn a_handshake_that_is_given_up_leaves_no_socket_behind() {
    let Some(bed) = bed().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let url = bed.host.url_through(at) + "&connection_timeout=300";
    let two_pass = async {
        let mut passing = JoinSet::new();
        for _ in 0..2 {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut broker = TcpStream::connect(bed.host.address()).await.unwrap();
            passing.spawn(async move { copy_bidirectional(&mut client, &mut broker).await });
        }
        passing
    };
    let (opened, passing) = tokio::join!(RabbitMq::from_url(&url), two_pass);
    drop(passing);
    for answers in 0..6 {
        let (client, _) = listener.accept().await.unwrap();
        let left = timeout(LIMIT, freeze_after(answers % 3, client, &bed)).await;
        left.unwrap_or_else(|_| panic!("the socket stays open after {} answers", answers % 3));
    }
    let told = opened.unwrap().impairments();
    assert!(!told.is_empty(), "it still tries");
}

#[tokio::test]
async fn somebody_else_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    // The system accepts connections, and nobody ever answers.
    check(
        &format!("amqp://u:{SECRET}@{at}?connection_timeout=300"),
        ErrorKind::Unavailable,
        &[&at, "does not answer within 300ms"],
    )
    .await;

    let Some(bed) = bed().await else { return };
    let url = bed.url();
    let (_, http) = url.split_once("management=http://").unwrap();
    check(
        &format!("amqp://u:{SECRET}@{http}"),
        ErrorKind::Misuse,
        &[http, "HTTP", "5672"],
    )
    .await;
    let address = bed.host.address();
    check(
        &format!("amqps://u:{SECRET}@{address}"),
        ErrorKind::Misuse,
        &[&address.to_string(), "does not speak TLS", "`amqp:`"],
    )
    .await;
}

#[tokio::test]
async fn the_broker_refuses_who_we_are() {
    let Some(bed) = bed().await else { return };
    let address = bed.host.address().to_string();
    let user = user(&bed, None).await;
    let wrong = bed.url_as(&user, "s3cretly");
    check(
        &wrong,
        ErrorKind::Unauthenticated,
        &[&address, &user, "correct user and password"],
    )
    .await;
    check(
        &bed.url_as("nobody", SECRET),
        ErrorKind::Unauthenticated,
        &["`nobody`", "correct user and password"],
    )
    .await;
    check(
        &bed.url_as(&user, SECRET),
        ErrorKind::Denied,
        &[&user, bed.host.name(), "set_permissions"],
    )
    .await;
    let missing = format!("{}-missing", bed.plain_url());
    check(
        &missing,
        ErrorKind::NotFound,
        &["-missing`", "does not exist", "add_vhost"],
    )
    .await;
    remove(&bed, &user).await;
}

#[tokio::test]
async fn the_broker_refuses_what_we_do() {
    let Some(bed) = bed().await else { return };
    let user = user(
        &bed,
        Some(r#"{"configure": "^mine", "write": "^mine", "read": "^mine"}"#),
    )
    .await;
    let rabbitmq = RabbitMq::from_url(&bed.url_as(&user, SECRET))
        .await
        .unwrap();
    let mine = Topology::new().queue(Queue::new("mine"));
    rabbitmq.declare(&mine).await.unwrap();
    let theirs = mine.queue(Queue::new("theirs"));
    let error = rabbitmq.declare(&theirs).await.unwrap_err();
    check_error(
        &error,
        ErrorKind::Denied,
        &[
            "declare queue `theirs`",
            &user,
            "to configure it",
            "set_permissions",
        ],
    );
    let dead = Queue::new("mine.too").with_dead_letter("theirs", "k");
    bed.host
        .put("/api/exchanges/{}/theirs", r#"{"type": "topic"}"#)
        .await;
    bed.host.put("/api/queues/{}/theirs", "{}").await;
    for (wanted, mentions) in [
        (
            Topology::new().queue(dead),
            "to write to its dead-letter exchange",
        ),
        (
            Topology::new().bind("theirs", "mine", "k"),
            "to read from the exchange",
        ),
        (
            Topology::new()
                .exchange(Exchange::topic("mine"))
                .bind("mine", "theirs", "k"),
            "to write to the queue",
        ),
    ] {
        let error = rabbitmq.declare(&wanted).await.unwrap_err();
        check_error(&error, ErrorKind::Denied, &[&user, mentions]);
    }
    let subscribed = rabbitmq.subscribe(Subscription::to("theirs")).await;
    let error = subscribed.map(drop).unwrap_err();
    check_error(&error, ErrorKind::Denied, &[&user, "to read from it"]);
    let publisher = rabbitmq.publisher().await.unwrap();
    let call = Call::new(Address::queue("mine"), Envelope::new("hello"));
    let error = publisher.publish(call).await.unwrap_err();
    check_error(
        &error,
        ErrorKind::Denied,
        &["access to exchange", "permission"],
    );
    remove(&bed, &user).await;
}

#[tokio::test]
async fn tls_is_spoken_with_whom_we_trust() {
    let Some(bed) = bed().await else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = bed.host.address();
    let front = Front::start(&authority, Kind::Valid, broker).await;
    let url = |host: &str, port: u16, options: &str| {
        format!(
            "amqps://guest:guest@{host}:{port}/{}?{options}",
            bed.host.name()
        )
    };
    let trusting = format!("cacertfile={}", authority.file("ca.pem"));

    let rabbitmq = RabbitMq::from_url(&url("localhost", front.port, &trusting))
        .await
        .unwrap();
    rabbitmq
        .declare(&Topology::new().queue(Queue::new("over.tls")))
        .await
        .unwrap();
    let named = format!("{trusting}&server_name_indication=localhost&verify=verify_peer");
    RabbitMq::from_url(&url("127.0.0.1", front.port, &named))
        .await
        .unwrap();

    check(
        &url("127.0.0.1", front.port, &trusting),
        ErrorKind::Denied,
        &["not for `127.0.0.1`", "server_name_indication"],
    )
    .await;
    check(
        &url("localhost", front.port, ""),
        ErrorKind::Denied,
        &["authority is not known", "`cacertfile`"],
    )
    .await;
    let other = format!("cacertfile={}", stranger.file("ca.pem"));
    check(
        &url("localhost", front.port, &other),
        ErrorKind::Denied,
        &["authority is not known", "`cacertfile`"],
    )
    .await;
    let expired = Front::start(&authority, Kind::Expired, broker).await;
    check(
        &url("localhost", expired.port, &trusting),
        ErrorKind::Denied,
        &["expired", "renew"],
    )
    .await;
    check(
        &format!("amqp://guest:guest@localhost:{}", front.port),
        ErrorKind::Misuse,
        &["speaks TLS", "`amqps:`"],
    )
    .await;
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let Some(bed) = bed().await else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.issue("alice", false);
    stranger.issue("mallory", false);
    let front = Front::start(&authority, Kind::Mutual, bed.host.address()).await;
    let url = |credentials: &str, options: &str| {
        format!(
            "amqps://{credentials}localhost:{}/{}?cacertfile={}{options}",
            front.port,
            bed.host.name(),
            authority.file("ca.pem")
        )
    };
    let of = |authority: &Authority, name: &str| {
        let [certificate, key] = ["pem", "key"].map(|end| authority.file(&format!("{name}.{end}")));
        format!("&certfile={certificate}&keyfile={key}")
    };
    RabbitMq::from_url(&url("guest:guest@", &of(&authority, "alice")))
        .await
        .unwrap();
    // In one file, and the key is found in it.
    let [certificate, key] = authority.issue("bob", false);
    authority.write("both.pem", &format!("{certificate}{key}"));
    let both = format!("&certfile={}", authority.file("both.pem"));
    RabbitMq::from_url(&url("guest:guest@", &both))
        .await
        .unwrap();
    // Without a user the certificate is to be who we are. The front keeps it to itself, so the broker refuses.
    check(
        &url("", &both),
        ErrorKind::Unauthenticated,
        &["certificate", "EXTERNAL"],
    )
    .await;

    check(
        &url("guest:guest@", ""),
        ErrorKind::Unauthenticated,
        &["client certificate", "`certfile`"],
    )
    .await;
    check(
        &url("guest:guest@", &of(&stranger, "mallory")),
        ErrorKind::Unauthenticated,
        &["client certificate", "`certfile`"],
    )
    .await;
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.issue("alice", false);
    authority.issue("bob", false);
    authority.write(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    authority.write("empty.pem", "");
    let check = async |options: &[(&str, &str)], mentions: &[&str]| {
        let options = options
            .iter()
            .map(|(option, name)| format!("{option}={}", authority.file(name)));
        // The files are read before anybody is asked.
        let url = format!(
            "amqps://localhost:1?{}",
            options.collect::<Vec<_>>().join("&")
        );
        check(&url, ErrorKind::Misuse, mentions).await;
    };
    for (name, cause) in [
        ("missing.pem", "No such file"),
        ("garbage.pem", "PEM"),
        ("alice.key", "no certificate"),
        ("empty.pem", "no certificate"),
    ] {
        let named = format!("{name}` (cacertfile)");
        check(&[("cacertfile", name)], &[&named, cause]).await;
    }
    for (certificate, key, mentions) in [
        (
            "missing.pem",
            "alice.key",
            ["missing.pem` (certfile)", "No such file"],
        ),
        (
            "alice.pem",
            "missing.pem",
            ["missing.pem` (keyfile)", "No such file"],
        ),
        (
            "alice.pem",
            "alice.pem",
            ["alice.pem` (keyfile)", "no private key"],
        ),
        (
            "alice.pem",
            "bob.key",
            ["bob.key` (keyfile)", "does not belong"],
        ),
    ] {
        check(&[("certfile", certificate), ("keyfile", key)], &mentions).await;
    }
}

#[tokio::test]
async fn a_virtual_host_that_is_deleted_is_told_as_an_impairment() {
    let Some(bed) = bed().await else { return };
    let rabbitmq = RabbitMq::from_url(&bed.url()).await.unwrap();
    bed.host.delete("/api/vhosts/{}").await;
    let told = || {
        let impairments = rabbitmq.impairments();
        impairments
            .iter()
            .any(|it| it.reason.contains("does not exist"))
    };
    until("the reason is told", async || told()).await;
    // Back again: so is the transport, by itself.
    bed.host.put("/api/vhosts/{}", "{}").await;
    until("all is well", async || rabbitmq.impairments().is_empty()).await;
}
