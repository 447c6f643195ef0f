//! The world that parent and children share: the message, its domain, its queues, and a folder for the files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{
    Contract as _, Domain, Event, Result,
    convention::{Attachment, Convention as _, Interest},
    transport::{QueueStatus, Transport},
};
use tidings_testkit::history::{History, Report};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// The one subscriber.
pub(super) const SUBSCRIBER: &str = "count";
/// How long a refused message waits for its next attempt.
pub(super) const RETRY_TTL: Duration = Duration::from_millis(75);
/// Longer than anything takes that works.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A message that is told from all others by its number, which no two publishers share.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub(super) struct Counted {
    pub(super) number: String,
    pub(super) filling: String,
}

impl Counted {
    /// The message number `serial` of the child `publisher`.
    pub(super) fn new(publisher: &str, serial: u32, filling: String) -> Self {
        Self {
            number: format!("{publisher}-{serial}"),
            filling,
        }
    }

    pub(super) fn serial(&self) -> u32 {
        let serial = self.number.rsplit('-').next();
        serial
            .and_then(|serial| serial.parse().ok())
            .expect("every number ends so")
    }
}

pub(super) fn domain() -> Domain {
    Domain::builder("acme", "crash")
        .without_store()
        .retry_ttl(RETRY_TTL)
        .build()
        .expect("the names are words")
}

/// The subscriber's place.
pub(super) fn attachment() -> Attachment {
    let domain = domain();
    let interest = Interest::Contract(Counted::info());
    domain
        .attach(SUBSCRIBER, &interest, &domain.retry_policy())
        .expect("the names are words")
}

/// Makes the exchanges and queues exist.
pub(super) async fn declare(transport: &dyn Transport) -> Result<()> {
    transport.declare(&domain().topology()).await?;
    transport.declare(&attachment().topology).await
}

/// A folder that goes with a test that succeeds, and stays after one that fails.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the target directory is writable");
        Self(folder)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The durable file.
    pub(super) fn broker(&self) -> PathBuf {
        self.file("broker.db")
    }

    pub(super) fn url(&self) -> String {
        format!("embedded:{}", self.broker().display())
    }

    /// What all processes wrote down.
    pub(super) fn history(&self) -> History {
        let files = fs::read_dir(&self.0).expect("the folder is there");
        let histories = files
            .map(|file| file.expect("the folder can be read").path())
            .filter(|path| path.extension().is_some_and(|end| end == "history"));
        History::load(histories).expect("histories are whole")
    }

    /// Checks what must hold whatever was killed, and says how it went.
    pub(super) fn keeps_every_promise(&self, history: &History) -> Report {
        let report = history.check();
        println!("{report}");
        if let Err(broken) = report.verdict() {
            panic!("{broken}\n{report}in {}", self.0.display());
        }
        report
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A folder that is left behind breaks no later test.
            fs::remove_dir_all(&self.0).unwrap_or_default();
        }
    }
}

/// Looks again and again until so many messages wait for the consumers.
pub(super) async fn until_waiting(transport: &dyn Transport, enough: impl Fn(u64) -> bool) {
    let queue = [attachment().queue];
    let mut look = interval(RETRY_TTL / 8);
    loop {
        look.tick().await;
        match transport.queues(&queue).await {
            Ok(queues) if enough(queues[0].ready) => return,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = error.chain(), "cannot look at the queue"),
        }
    }
}

/// The queues, as they are now, the one with the dead letters excepted: nothing leaves that by itself.
pub(super) async fn queues(transport: &dyn Transport) -> Result<Vec<QueueStatus>> {
    let mut queues = transport.queues(&[]).await?;
    queues.retain(|queue| !queue.name.starts_with("dead_letter."));
    Ok(queues)
}

/// Waits until no message waits or is being handled.
///
/// A message that goes from one queue to another is in neither for the moment of a commit: so the queues must
/// be empty a few times in a row.
pub(super) async fn rest(transport: &Arc<dyn Transport>) {
    let mut look = interval(RETRY_TTL / 4);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut empty = 0;
    let deadline = Instant::now() + 2 * LONG;
    while empty < 6 {
        look.tick().await;
        let queues = timeout_at(deadline, queues(&**transport))
            .await
            .expect("the broker answers")
            .expect("the broker tells its queues");
        let at_rest = |queue: &QueueStatus| queue.depth() == 0;
        empty = if queues.iter().all(at_rest) {
            empty + 1
        } else {
            0
        };
        assert!(Instant::now() < deadline, "still at work: {queues:?}");
    }
}
