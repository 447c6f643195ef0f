//! SIGTERM drains a service, a second one does not wait. With real processes and real signals.

use std::{env, path::Path, time::Duration};

use tidings::{Origin, Router, Server, State, Subscriber};
use tidings_testkit::process::Process;

use crate::world::{Folder, UserCreated, domain};

const ROLE: &str = "TIDINGS_TEST_SIGNALS";
const WITHIN: Duration = Duration::from_secs(20);

/// How long the handler of a child works: to its end if the server waits.
#[derive(Clone, Copy)]
struct Work(Duration);

#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn work(State(work): State<Work>, origin: Origin, _event: UserCreated) {
    println!("begin redelivered={}", origin.redelivered);
    tokio::time::sleep(work.0).await;
    println!("end");
}

/// The child: serves one file until it is told to end.
#[test]
fn child_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let (seconds, file) = role.split_once(':').unwrap();
    let time = Duration::from_secs(seconds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        let transport = tidings::open(&format!("embedded:{file}")).await?;
        let router = Router::new()
            .subscriber(Subscriber::new("work").on(work).concurrency(1))
            .with_state(Work(time));
        Server::builder(transport, domain()).run(router).await
    });
    std::process::exit(i32::from(served.is_err()));
}

fn serve(seconds: u64, file: &Path) -> Process {
    let role = format!("{seconds}:{}", file.display());
    let arguments = ["--exact", "signals::child_process", "--nocapture"];
    Process::spawn(env::current_exe().unwrap(), arguments, &[(ROLE, &role)]).unwrap()
}

/// Publishes from this process, which shares the file with the child.
async fn publish(file: &Path, count: u32) {
    let transport = tidings::open(&format!("embedded:{}", file.display()))
        .await
        .unwrap();
    let server = Server::builder(transport, domain())
        .without_declaring()
        .start(Router::new())
        .await
        .unwrap();
    for user_id in 0..count {
        server
            .client()
            .publish(&UserCreated { user_id })
            .await
            .unwrap();
    }
    server
        .transport()
        .close(tidings::Deadline::after(WITHIN))
        .await
        .unwrap();
}

#[tokio::test]
async fn sigterm_lets_the_handler_finish_and_ends_well() {
    let folder = Folder::new("drain");
    let file = folder.file("broker.db");
    let mut child = serve(1, &file);
    wait_until_serving(&file).await;
    publish(&file, 1).await;
    child
        .line_starting("begin redelivered=false", WITHIN)
        .await
        .unwrap();
    child.terminate().await.unwrap();
    child.line_starting("end", WITHIN).await.unwrap();
    assert!(child.wait(WITHIN).await.unwrap().success());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_and_loses_nothing() {
    let folder = Folder::new("abort");
    let file = folder.file("broker.db");
    let mut hanging = serve(3_600, &file);
    wait_until_serving(&file).await;
    publish(&file, 1).await;
    hanging
        .line_starting("begin redelivered=false", WITHIN)
        .await
        .unwrap();
    hanging.terminate().await.unwrap();
    wait_until_draining(&file).await;
    hanging.terminate().await.unwrap();
    assert!(!hanging.wait(WITHIN).await.unwrap().success());

    let mut next = serve(0, &file);
    next.line_starting("begin redelivered=true", WITHIN)
        .await
        .unwrap();
    next.terminate().await.unwrap();
    assert!(next.wait(WITHIN).await.unwrap().success());
}

/// Resolves once the child consumes its queue.
async fn wait_until_serving(file: &Path) {
    until_consumers(file, 1).await;
}

/// Resolves once the child has stopped consuming although its handler is still at work.
async fn wait_until_draining(file: &Path) {
    until_consumers(file, 0).await;
}

async fn until_consumers(file: &Path, wanted: u32) {
    let transport = tidings::open(&format!("embedded:{}", file.display()))
        .await
        .unwrap();
    let queue = [crate::world::queue("work").into()];
    let reached = async {
        loop {
            let status = transport.queues(&queue).await;
            if status.is_ok_and(|queues| queues[0].consumers == wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, reached).await.unwrap();
    transport
        .close(tidings::Deadline::after(WITHIN))
        .await
        .unwrap();
}
