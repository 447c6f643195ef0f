//! Where a child process begins, and what all of them have in common.

use std::{
    fs::File,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use tidings::transport::Transport;
use tidings_testkit::{broken::Broken, history::Recorder, process::Process};
use tokio::runtime::Builder;

use super::{
    orders::{Orders, Role, VARIABLE},
    roles,
};

/// No child lives longer, even if its parent was killed and cannot kill it any more.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Starts a child with these orders.
pub(super) fn start(orders: &Orders) -> Process {
    let program = std::env::current_exe().expect("a test has a program");
    let entry = format!("{}::child", module_path!().split_once("::").unwrap().1);
    let arguments = [entry.as_str(), "--exact", "--nocapture"];
    Process::spawn(program, arguments, &[(VARIABLE, &orders.to_text())])
        .expect("the test's own program can be started again")
}

/// The entry of every child process. In the test process itself there is nothing to do.
#[test]
fn child() {
    let Some(orders) = Orders::given() else {
        return;
    };
    write_warnings(&orders);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LIFETIME, carry_out(orders)).await })
        .expect("the parent ends its children");
}

async fn carry_out(orders: Orders) {
    let transport = tidings::open(&orders.url).await.expect("the file opens");
    let transport: Arc<dyn Transport> = match orders.breach {
        Some(breach) => Arc::new(Broken::new(transport, breach.defect())),
        None => transport,
    };
    let recorder = Recorder::create(&orders.history).expect("the history is new");
    match orders.role {
        Role::Publisher { .. } => roles::publisher::work(&orders, transport, &recorder).await,
        Role::Consumer { .. } => roles::consumer::work(&orders, transport, recorder).await,
        Role::Stopping { at } => roles::stopping::work(&orders, transport, recorder, at).await,
    }
}

/// Tells the parent something. On a line of its own, because the test runner writes too.
pub(super) fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone reads nothing.
    out.write_all(format!("\n{what}\n").as_bytes())
        .and_then(|()| out.flush())
        .unwrap_or_default();
}

/// For whoever has to find out why a test failed: beside each history is what its process complained about.
fn write_warnings(orders: &Orders) {
    let log = File::create(orders.history.with_extension("log")).expect("the folder is writable");
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(Mutex::new(log))
        .init();
}
