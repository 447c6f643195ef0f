//! What is being measured, for somebody who watches: nothing where nobody does.

use std::io::{IsTerminal, Write, stderr};

/// One line on the terminal that is rewritten at each step.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    done: usize,
    of: usize,
    watched: bool,
}

impl Progress {
    /// So many steps, none of them begun.
    pub fn new(what: &'static str, of: usize) -> Self {
        Self {
            what,
            done: 0,
            of,
            watched: stderr().is_terminal(),
        }
    }

    /// The next step begins.
    pub fn step(&mut self, name: &str) {
        self.done += 1;
        if self.watched {
            let (what, done, of) = (self.what, self.done, self.of);
            self.write(&format!("{what} {done}/{of}: {name}"));
        }
    }

    fn write(&self, line: &str) {
        // A terminal that cannot be written to is no reason to stop measuring.
        write!(stderr(), "\r\u{1b}[2K{line}").ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.watched {
            self.write("");
        }
    }
}
