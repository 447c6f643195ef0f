//! Looking without touching: comparisons, and the state of queues.

use tidings_core::{
    ErrorKind, Result,
    tasks::Tasks,
    topology::{Queue, Topology},
    transport::Transport,
};
use tidings_rabbitmq::RabbitMq;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    bed::bed,
    declaring::{check_nothing_exists, open, topology},
};

#[tokio::test]
async fn a_comparison_creates_nothing_and_sees_bindings_by_the_http_api() {
    let Some(bed) = bed().await else { return };
    let (seeing, blind) = (
        open(&bed).await,
        RabbitMq::from_url(&bed.plain_url()).await.unwrap(),
    );
    let shown = async |on: &RabbitMq, topology: &Topology| {
        let differences = on.compare(topology).await.unwrap();
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let everything = [
        "exchange `acme` does not exist",
        "queue `orders` does not exist",
        "queue `plain` does not exist",
        "binding `acme` to `orders` for `order.*` does not exist",
    ];
    assert_eq!(shown(&seeing, &topology()).await, everything);
    assert_eq!(shown(&blind, &topology()).await, everything);
    check_nothing_exists(&bed).await;

    seeing.declare(&topology()).await.unwrap();
    let more = topology().bind("acme", "plain", "#");
    let missing = "binding `acme` to `plain` for `#` does not exist";
    assert_eq!(shown(&seeing, &more).await, [missing]);
    let unseen = shown(&blind, &more).await;
    assert_eq!(unseen.len(), 2);
    assert!(
        unseen[1].starts_with("binding `acme` to `plain` for `#` cannot be seen")
            && unseen[1].contains("`management`"),
        "{}",
        unseen[1]
    );
}

#[tokio::test]
async fn the_state_of_queues_is_told() -> Result<()> {
    let Some(bed) = bed().await else {
        return Ok(());
    };
    let rabbitmq = open(&bed).await;
    rabbitmq.declare(&topology()).await?;
    let mine = Topology::new().queue(Queue::exclusive("mine"));
    rabbitmq.declare(&mine).await?;
    let found = rabbitmq
        .queues(&["plain".into(), "mine".into(), "orders".into()])
        .await?;
    let found: Vec<_> = found
        .iter()
        .map(|queue| (&*queue.name, queue.ready, queue.unsettled))
        .collect();
    let expected = ["plain", "mine", "orders"].map(|name| (name, 0, None));
    assert_eq!(found, expected);
    rabbitmq.delete(&mine).await?;
    let error = rabbitmq
        .queues(&["orders".into(), "nothing".into()])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::NotFound,
            "queue `nothing` does not exist: declare it first"
        )
    );

    let all = rabbitmq.queues(&[]).await?;
    let all: Vec<_> = all
        .iter()
        .map(|queue| (&*queue.name, queue.unsettled, queue.rates.is_some()))
        .collect();
    assert_eq!(all, [("orders", Some(0), true), ("plain", Some(0), true)]);

    let blind = RabbitMq::from_url(&bed.plain_url()).await?;
    let error = blind.queues(&[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains(":15672") && error.to_string().contains("`management`"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn more_queues_than_one_page_are_listed() {
    let Some(bed) = bed().await else { return };
    let mut many = Topology::new();
    for number in 0..510 {
        many = many.queue(Queue::new(format!("queue.{number:04}")));
    }
    let definitions = many.to_definitions(None).to_string();
    bed.host.post("/api/definitions/{}", &definitions).await;
    let found = open(&bed).await.queues(&[]).await.unwrap();
    let found: Vec<_> = found.iter().map(|queue| &queue.name).collect();
    let wanted: Vec<_> = many.queues.iter().map(|queue| &queue.name).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn an_http_api_that_cannot_be_asked_is_named() {
    let Some(bed) = bed().await else { return };
    let url = bed.url();
    let (_, http) = url.split_once("management=http://").unwrap();
    let check = async |management: &str, kind: ErrorKind, mentions: &[&str]| {
        let url = format!("{}?management={management}", bed.plain_url());
        let rabbitmq = RabbitMq::from_url(&url).await.unwrap();
        let error = rabbitmq.queues(&[]).await.unwrap_err();
        let text = error.chain();
        assert_eq!(error.kind(), kind, "{text}");
        for word in mentions {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains("s3cret") && !text.contains('\n'), "{text}");
    };
    let wrong = format!("http://guest:s3cret@{http}");
    check(
        &wrong,
        ErrorKind::Denied,
        &[http, "user `guest`", "password"],
    )
    .await;
    check(
        "http://127.0.0.1:1",
        ErrorKind::Unavailable,
        &["HTTP API", "127.0.0.1:1", "nobody listens"],
    )
    .await;
    let amqp = bed.host.address();
    check(
        &format!("http://{amqp}"),
        ErrorKind::Unavailable,
        &["HTTP API", "15672"],
    )
    .await;
    let elsewhere = format!("http://{http}/elsewhere");
    check(
        &elsewhere,
        ErrorKind::NotFound,
        &["/elsewhere", "correct the URL"],
    )
    .await;
    let other = Other::start().await;
    check(
        &other.url,
        ErrorKind::Misuse,
        &[&other.url, "rabbitmq_management"],
    )
    .await;

    check(
        &format!("https://{http}"),
        ErrorKind::Misuse,
        &["does not speak TLS"],
    )
    .await;
}

/// A web server that is no broker.
struct Other {
    url: String,
    tasks: Tasks,
}

impl Other {
    async fn start() -> Self {
        const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nWelcome";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tasks = Tasks::new();
        tasks.spawn("other server", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let _asked = stream.read(&mut request).await.is_ok();
                let _answered = stream.write_all(PAGE).await.is_ok();
            }
        });
        Self { url, tasks }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}
