//! What is logged on the thread of a test.

use std::{cell::RefCell, io, sync::Once};

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of this thread since it was started.
pub(crate) struct Log(());

impl Log {
    pub(crate) fn start() -> Self {
        subscribe();
        LINES.take();
        Self(())
    }

    /// The lines that contain this.
    #[expect(
        clippy::unused_self,
        reason = "there is nothing to read before the start"
    )]
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let text = LINES.with_borrow(|lines| String::from_utf8(lines.clone()).unwrap());
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

/// One subscriber for the whole process: what the first thread says of an event is remembered for all of them.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
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
