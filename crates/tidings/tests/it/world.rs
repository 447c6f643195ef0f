//! The messages and the shorthand that all scenarios share.

use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Command, Domain, Event, Result, Router, testing::TestServer};

/// Something that happened to a user.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub(crate) struct UserCreated {
    pub(crate) user_id: u32,
}

/// Something to do about it.
#[derive(Command, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub(crate) struct PersistUser {
    pub(crate) user_id: u32,
}

/// A message with a rule.
#[derive(Event, Serialize, Deserialize, JsonSchema, garde::Validate, Clone, Debug, PartialEq)]
pub(crate) struct InvoiceIssued {
    #[garde(length(min = 1))]
    pub(crate) number: String,
}

pub(crate) fn domain() -> Domain {
    Domain::new("acme", "shop").unwrap()
}

/// The main queue of a subscriber to `UserCreated`.
pub(crate) fn queue(subscriber: &str) -> String {
    format!("acme.shop.1.event.user_created.{subscriber}")
}

pub(crate) async fn start(router: Router) -> TestServer {
    TestServer::start(domain(), router).await.unwrap()
}

pub(crate) async fn publish(test: &TestServer, user_id: u32) -> Result<()> {
    test.client().publish(&UserCreated { user_id }).await
}

/// A list that handlers write to and tests read from.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    /// Adds an entry and returns how many there are now.
    pub(crate) fn push(&self, entry: T) -> usize {
        let mut entries = self.0.lock().unwrap();
        entries.push(entry);
        entries.len()
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

/// A folder that goes with its test.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidings-{test}-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
