//! What is logged on the thread of a test, as text.

use std::{cell::RefCell, io, sync::Once};

use tracing_subscriber::fmt::format::FmtSpan;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What has been logged on this thread since it was started, spans as they close included.
///
/// ```
/// use tidings_testkit::log::Log;
///
/// let log = Log::start();
/// tracing::warn!(queue = "mail", "nobody reads");
/// assert_eq!(log.lines_with("nobody reads").len(), 1);
/// ```
#[derive(Debug)]
pub struct Log(());

impl Log {
    /// Forgets what was logged on this thread before.
    ///
    /// # Panics
    /// If the process has another subscriber already.
    #[must_use]
    pub fn start() -> Self {
        subscribe();
        LINES.take();
        Self(())
    }

    /// All of it.
    ///
    /// # Panics
    /// If somebody has logged what is no text.
    #[must_use]
    pub fn text(&self) -> String {
        LINES.with_borrow(|lines| String::from_utf8(lines.clone()).expect("what is logged is text"))
    }

    /// The lines that contain this.
    ///
    /// # Panics
    /// As [`text`](Self::text).
    #[must_use]
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

/// Installs one subscriber for the whole process, before anything is traced: for tests that read no log, beside others that do.
///
/// A subscriber per test would be simpler and wrong: tracing asks the current thread whether an event is
/// wanted when that event first occurs, and remembers the answer for all threads.
///
/// # Panics
/// If the process has another one already.
pub fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(|| ThisThread)
            .init();
    });
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
