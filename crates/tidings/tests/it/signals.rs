//! SIGTERM drains a service, a second one does not wait. With real processes and real signals.

use std::{env, path::Path, sync::Arc, time::Duration};

use tidings::{Origin, Router, Server, State, Subscriber, transport::Transport};
use tidings_testkit::process::Process;

use crate::world::{Folder, UserCreated, domain};

const ROLE: &str = "TIDINGS_TEST_SIGNALS";
const WITHIN: Duration = Duration::from_secs(20);
const READY: &str = " INFO ready";
/// The handler is at work. Whether the message may have come before is not said: this process runs the broker for a
/// moment, and when it leaves, what was on its way to the child comes again.
const BEGIN: &str = "begin ";

/// What the handler of a child does.
#[derive(Clone)]
enum Work {
    /// Goes on until its server has stopped receiving, and then finishes.
    UntilDraining(Arc<dyn Transport>),
    /// Never ends by itself.
    ForEver,
    /// Ends at once.
    Nothing,
}

async fn work(State(work): State<Work>, origin: Origin, _event: UserCreated) {
    println!("begin redelivered={}", origin.redelivered);
    match work {
        Work::UntilDraining(transport) => until_consumers(&*transport, 0).await,
        Work::ForEver => std::future::pending().await,
        Work::Nothing => {}
    }
    println!("end");
}

/// The child: serves one file until it is told to end.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent says in the environment what it wants"
)]
#[expect(
    clippy::exit,
    reason = "the child says with its exit code how it ended, as a service does"
)]
fn child_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let (work_of_child, file) = role.split_once(':').unwrap();
    // Its log says `ready`, which is when a signal drains.
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        let transport = tidings::open(&format!("embedded:{file}")).await?;
        let state = match work_of_child {
            "until-draining" => Work::UntilDraining(Arc::clone(&transport)),
            "for-ever" => Work::ForEver,
            _ => Work::Nothing,
        };
        let subscriber = Subscriber::new("work").on(work).concurrency(1);
        let router = Router::new().subscriber(subscriber).with_state(state);
        Server::builder(transport, domain()).run(router).await
    });
    std::process::exit(i32::from(served.is_err()));
}

fn serve(work: &str, file: &Path) -> Process {
    let role = format!("{work}:{}", file.display());
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
    let mut child = serve("until-draining", &file);
    wait_until_serving(&file).await;
    publish(&file, 1).await;
    wait_for_all(&mut child, &[READY, BEGIN]).await;
    child.terminate().await.unwrap();
    child.line_starting("end", WITHIN).await.unwrap();
    assert!(child.wait(WITHIN).await.unwrap().success());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_and_loses_nothing() {
    let folder = Folder::new("abort");
    let file = folder.file("broker.db");
    let mut hanging = serve("for-ever", &file);
    wait_until_serving(&file).await;
    publish(&file, 1).await;
    wait_for_all(&mut hanging, &[READY, BEGIN]).await;
    hanging.terminate().await.unwrap();
    wait_until_draining(&file).await;
    hanging.terminate().await.unwrap();
    assert!(!hanging.wait(WITHIN).await.unwrap().success());

    let mut next = serve("nothing", &file);
    wait_for_all(&mut next, &[READY, "begin redelivered=true"]).await;
    next.terminate().await.unwrap();
    assert!(next.wait(WITHIN).await.unwrap().success());
}

/// Resolves once a child has printed lines that start like these, in any order.
async fn wait_for_all(child: &mut Process, starts: &[&str]) {
    let mut missing = starts.to_vec();
    while !missing.is_empty() {
        let line = child.line(WITHIN).await.unwrap().unwrap();
        missing.retain(|start| !line.starts_with(start));
    }
}

/// Resolves once the child consumes its queue.
async fn wait_until_serving(file: &Path) {
    watch(file, 1).await;
}

/// Resolves once the child has stopped consuming although its handler is still at work.
async fn wait_until_draining(file: &Path) {
    watch(file, 0).await;
}

async fn watch(file: &Path, consumers: u32) {
    let transport = tidings::open(&format!("embedded:{}", file.display()))
        .await
        .unwrap();
    until_consumers(&*transport, consumers).await;
    transport
        .close(tidings::Deadline::after(WITHIN))
        .await
        .unwrap();
}

async fn until_consumers(transport: &dyn Transport, wanted: u32) {
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
}
