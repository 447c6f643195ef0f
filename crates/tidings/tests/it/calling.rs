//! The client of calls and its twin for scripts, as programs use them.

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use tidings::{
    Address, Call, Deadline, Envelope, ErrorKind, Settlement,
    rpc::{Client, Keys, Rpc, blocking},
    tasks::Tasks,
    topology::{Exchange, Queue, Topology},
    transport::{Fields, Payload, Subscription, Transport},
};

const KEY: &str = "ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg=";
const SECOND: Duration = Duration::from_secs(1);

/// Answers every request with its own body, as long as the tasks live. What is `silent` gets no answer.
async fn echo(transport: Arc<dyn Transport>, queue: &'static str) -> Tasks {
    let topology = Topology::new()
        .exchange(Exchange::direct("echo").transient())
        .queue(Queue::new(queue))
        .bind("echo", queue, queue);
    transport.declare(&topology).await.unwrap();
    let publisher = transport.publisher().await.unwrap();
    let mut requests = transport.subscribe(Subscription::to(queue)).await.unwrap();
    let tasks = Tasks::new();
    tasks.spawn("echo", async move {
        let _open = transport;
        while let Some(Ok(delivery)) = requests.next().await {
            let (request, acker) = delivery.split();
            let payload = request.envelope.payload.clone();
            if payload.bytes != "silent" {
                let answer = publisher.publish(answer(&request, payload));
                answer.await.unwrap();
            }
            acker.settle(Settlement::Ack).await.unwrap();
        }
    });
    tasks
}

fn answer(request: &Call, payload: Payload) -> Call {
    let properties = &request.envelope.properties;
    let mut envelope = Envelope::default().transient();
    envelope.payload = payload;
    envelope.properties = Fields {
        correlation_id: properties.correlation_id().cloned(),
        ..Fields::default()
    }
    .into();
    let to = properties.reply_to().unwrap().clone();
    Call::new(Address::new("echo", to), envelope).unroutable_is_fine()
}

/// A broker in a file, removed at the end, with somebody who answers in a runtime of its own.
struct Place {
    path: PathBuf,
    _runtime: tokio::runtime::Runtime,
    tasks: Tasks,
}

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("tidings-calling-{name}-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let url = format!("embedded:{}", path.display());
        let tasks = runtime.block_on(async { echo(tidings::open(&url).await.unwrap(), "q").await });
        Self {
            path,
            _runtime: runtime,
            tasks,
        }
    }

    fn url(&self) -> String {
        format!("embedded:{}", self.path.display())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tasks.abort();
        for end in ["", "-wal", "-shm", ".lock", ".sock"] {
            let mut path = self.path.clone().into_os_string();
            path.push(end);
            std::fs::remove_file(path).ok();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_several_queues() {
    let broker = tidings::embedded::Embedded::memory();
    let ours: Arc<dyn Transport> = Arc::new(broker.connect().await.unwrap());
    let other: Arc<dyn Transport> = Arc::new(broker.connect().await.unwrap());
    let _one = echo(Arc::new(broker), "one").await;
    let _two = echo(other, "two").await;
    let client = Client::over(ours, Rpc::new("one").unwrap());
    let two = client.for_queue("two").unwrap().with_timeout(SECOND);
    assert_eq!(client.call_raw("echo", "1").await.unwrap().bytes, "1");
    assert_eq!(two.call_raw("echo", "2").await.unwrap().bytes, "2");
    let nobody = client.for_queue("three").unwrap();
    let error = nobody.call_raw("echo", "3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);
    assert!(client.for_queue("").is_err());

    client.close(Deadline::NEVER).await.unwrap();
    let error = two.call_raw("echo", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_leaves_encrypted() {
    let broker = tidings::embedded::Embedded::memory();
    let ours: Arc<dyn Transport> = Arc::new(broker.connect().await.unwrap());
    let _tasks = echo(Arc::new(broker), "q").await;
    let keys = Keys::new([KEY]).unwrap();
    let client = Client::over(ours, Rpc::new("q").unwrap()).with_keys(keys.clone());
    let body = r#"{"login":"root","password":"hunter2"}"#;
    let seen = client
        .call_raw_with_secrets("echo", body, &["password"])
        .await
        .unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&seen.bytes).unwrap();
    assert_eq!(seen["login"], "root");
    let token = seen["password"].as_str().unwrap();
    assert_eq!(keys.decrypt(token).as_deref(), Some("hunter2"));
}

#[test]
fn a_plain_function_can_call() {
    let place = Place::new("plain");
    let client = blocking::Client::connect(&place.url(), "q").unwrap();
    for n in 0..10 {
        let answer = client.call_raw("echo", n.to_string()).unwrap();
        assert_eq!(answer.bytes, n.to_string());
    }
    let impatient = client.with_timeout(SECOND / 20);
    let error = impatient.call_raw("echo", "silent").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let nobody = client.for_queue("nobody").unwrap();
    let error = nobody.call_raw("echo", "{}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unroutable);

    let threads = (0..8).map(|n| {
        let client = client.clone();
        thread::spawn(move || client.call_raw("echo", n.to_string()).unwrap().bytes)
    });
    for (n, thread) in threads.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), n.to_string());
    }
    client.close(SECOND).unwrap();
    let error = client.call_raw("echo", "{}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_script_inside_of_a_runtime_blocks_and_does_not_panic() {
    let place = Place::new("inside");
    let url = place.url();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = blocking::Client::connect(&url, "q").unwrap();
        assert_eq!(client.call_raw("echo", "x").unwrap().bytes, "x");
        drop(client);
    });
}

#[test]
fn connecting_to_nothing_is_an_error() {
    let error = blocking::Client::connect("nonsense:", "q").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
}
