//! What an operator reads in the log.

use std::{
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tidings_client::fallback::{FallbackPublisher, FileSpool, Spool};
use tidings_core::{ErrorKind, tasks::Tasks, transport::Publisher};
use tracing::{Level, subscriber::DefaultGuard};

use crate::{
    fixture::{MemorySpool, call, path},
    primary::{Answer, Primary},
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Collects what this thread logs, from level INFO on.
    fn collect() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn with(&self, part: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .filter(|line| line.contains(part))
            .map(str::to_owned)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning_and_one_line_when_it_is_over() {
    let (lines, _guard) = Lines::collect();
    let primary = Primary::new(Answer::Fail(ErrorKind::Unavailable));
    let spool: Arc<dyn Spool> = Arc::new(MemorySpool::default());
    let fallback = FallbackPublisher::new(Arc::new(primary.clone()), spool, &Tasks::new());
    for _ in 0..100 {
        fallback.publish(call("a")).await.unwrap();
    }
    assert_eq!(lines.with("WARN").len(), 1);
    assert!(
        lines.with("WARN")[0].contains("the broker said no"),
        "with the reason"
    );
    primary.answer(Answer::Confirm);
    tokio::time::advance(Duration::from_secs(2)).await;
    for _ in 0..100 {
        fallback.publish(call("b")).await.unwrap();
    }
    assert_eq!(lines.with("INFO").len(), 1);
    assert_eq!(lines.with("WARN").len(), 1);
}

#[tokio::test]
async fn a_torn_record_is_a_warning_with_the_path_and_the_offset() {
    let path = path("torn_line");
    let spool = FileSpool::open(&path).unwrap();
    spool.store(call("a")).await.unwrap();
    let whole = fs::read(&path).unwrap().len();
    spool.store(call("b")).await.unwrap();
    drop(spool);
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() - 3]).unwrap();

    let (lines, _guard) = Lines::collect();
    drop(FileSpool::open(&path).unwrap());
    let warnings = lines.with("WARN");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("torn_line.spool"), "{warnings:?}");
    assert!(
        warnings[0].contains(&format!("offset={whole}")),
        "{warnings:?}"
    );
}
