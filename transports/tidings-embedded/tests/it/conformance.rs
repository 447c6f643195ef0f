//! The embedded transport keeps every promise of a transport, in memory and on a file.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tidings_core::{
    Deadline, Result,
    transport::{BoxFuture, Transport},
};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};
use tidings_testkit::conformance::{self, Broker, Harness, Time};

use crate::directory::Directory;

tidings_testkit::conformance_suite!(memory, Memory);
tidings_testkit::conformance_suite!(durable, Durable);

#[derive(Debug)]
struct Memory;

#[derive(Debug)]
struct MemoryBroker(Embedded);

impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
        Box::pin(async { Ok(Box::new(MemoryBroker(Embedded::memory())) as Box<dyn Broker>) })
    }
}

impl Broker for MemoryBroker {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>> {
        Box::pin(async { Ok(Arc::new(self.0.connect().await?) as Arc<dyn Transport>) })
    }

    fn connect_another(&self) -> Option<BoxFuture<'_, Result<Arc<dyn Transport>>>> {
        Some(self.connect())
    }
}

#[derive(Debug)]
struct Durable;

/// Remembers its connections, so that a restart can end them however many handles are still held.
#[derive(Debug)]
struct DurableBroker {
    connections: Mutex<Vec<Arc<Embedded>>>,
    file: PathBuf,
    _directory: Directory,
}

impl Harness for Durable {
    fn time(&self) -> Time {
        Time::Real
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
        Box::pin(async {
            let directory = Directory::new();
            let broker = DurableBroker {
                connections: Mutex::default(),
                file: directory.file("broker.tidings"),
                _directory: directory,
            };
            Ok(Box::new(broker) as Box<dyn Broker>)
        })
    }
}

impl Broker for DurableBroker {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>> {
        Box::pin(async {
            let config = EmbeddedConfig::File(FileConfig::new(&self.file));
            let connection = Arc::new(Embedded::open(config).await?);
            let mut connections = self
                .connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            connections.push(Arc::clone(&connection));
            Ok(connection as Arc<dyn Transport>)
        })
    }

    fn connect_another(&self) -> Option<BoxFuture<'_, Result<Arc<dyn Transport>>>> {
        Some(self.connect())
    }

    /// Closes without waiting for anything: publishes under way may fail, which is what a restart is like.
    fn restart(&self) -> Option<BoxFuture<'_, Result<()>>> {
        Some(Box::pin(async {
            let connections = std::mem::take(
                &mut *self
                    .connections
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            for connection in connections {
                // Unconfirmed publishes make it fail; the suite counts them as such.
                drop(connection.close(Deadline::after(Duration::ZERO)).await);
            }
            Ok(())
        }))
    }
}

#[test]
fn memory_holds_under_stress() {
    let harness: Arc<dyn Harness> = Arc::new(Memory);
    let report = conformance::stress(&harness, 3).unwrap();
    report.verdict().unwrap();
}

#[test]
fn durable_holds_under_stress() {
    let harness: Arc<dyn Harness> = Arc::new(Durable);
    let report = conformance::stress(&harness, 2).unwrap();
    report.verdict().unwrap();
}
