//! Writes events down so that they survive the death of whoever saw them.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidings_core::{Error, ErrorKind, Result};

use super::event::Event;

/// Records events, in memory or in a file. Cloning gives another handle on the same record.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Store>);

#[derive(Debug)]
enum Store {
    Memory(Mutex<Vec<Event>>),
    File(File),
}

impl Recorder {
    /// Records in memory; read it with [`events`](Self::events).
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Arc::new(Store::Memory(Mutex::default())))
    }

    /// Records in a new file, one for each process and each life of it; read it with
    /// [`History::load`](super::History::load).
    ///
    /// Each event is one `write(2)` in append mode, so what was recorded survives `kill -9` of this process.
    /// It deliberately does not survive a power cut: the kernel does not die in these tests.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the file exists already or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let opened = OpenOptions::new().append(true).create_new(true).open(path);
        match opened {
            Ok(file) => Ok(Self(Arc::new(Store::File(file)))),
            Err(error) => Err(cannot_record(format!(
                "cannot create the history file {}",
                path.display()
            ))
            .with_source(error)),
        }
    }

    /// Records an event.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if it could not be written whole. The test cannot go on then: its history
    /// would prove nothing.
    pub fn record(&self, event: Event) -> Result<()> {
        match &*self.0 {
            Store::Memory(events) => lock(events).push(event),
            Store::File(file) => write_line(file, &event)?,
        }
        Ok(())
    }

    /// Records an event.
    ///
    /// # Panics
    /// If it could not be written: a history with holes proves nothing.
    pub fn note(&self, event: Event) {
        self.record(event)
            .expect("a test that cannot write its history must end");
    }

    /// What was recorded in memory; nothing if it was recorded in a file.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        match &*self.0 {
            Store::Memory(events) => lock(events).clone(),
            Store::File(_) => Vec::new(),
        }
    }
}

fn write_line(mut file: &File, event: &Event) -> Result<()> {
    let mut line = serde_json::to_vec(event)
        .map_err(|error| cannot_record("cannot encode an event".to_owned()).with_source(error))?;
    line.push(b'\n');
    let written = file
        .write(&line)
        .map_err(|error| cannot_record("cannot write an event".to_owned()).with_source(error))?;
    if written == line.len() {
        return Ok(());
    }
    Err(cannot_record(format!(
        "wrote {written} of {} bytes of an event: is the disk full?",
        line.len()
    )))
}

fn cannot_record(context: String) -> Error {
    Error::new(ErrorKind::Unavailable, context)
}

fn lock(events: &Mutex<Vec<Event>>) -> MutexGuard<'_, Vec<Event>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}
