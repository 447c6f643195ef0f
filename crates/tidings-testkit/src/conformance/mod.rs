//! One suite for every transport: what `tidings_core::transport` promises, as behaviours that can fail.
//!
//! A transport says how to start a fresh broker by implementing [`Harness`]; what it cannot do, by its own
//! [`Capabilities`](tidings_core::transport::Capabilities), is skipped and said so.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_core::{Result, transport::{BoxFuture, Transport}};
//! use tidings_testkit::conformance::{Broker, Harness, Time};
//!
//! # fn open_mine() -> Result<Arc<dyn Transport>> { Err(tidings_core::Error::new(tidings_core::ErrorKind::Closed, "")) }
//! #[derive(Debug)]
//! struct Mine;
//!
//! #[derive(Debug)]
//! struct MyBroker;
//!
//! impl Harness for Mine {
//!     fn time(&self) -> Time {
//!         Time::Real
//!     }
//!     fn open(&self) -> BoxFuture<'_, Result<Box<dyn Broker>>> {
//!         Box::pin(async { Ok(Box::new(MyBroker) as Box<dyn Broker>) })
//!     }
//! }
//!
//! impl Broker for MyBroker {
//!     fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Transport>>> {
//!         Box::pin(async { open_mine() })
//!     }
//! }
//!
//! tidings_testkit::conformance_suite!(mine, Mine); // One `#[test]` per behaviour.
//! # fn main() {}
//! ```
//!
//! [`run_all`] does the same as a value, for programs that are not test binaries. [`stress`] runs the
//! behaviours under load many times in parallel. The suite deliberately tests no convention and no policy:
//! only what a transport promises.

#[macro_use]
mod verdict;

mod connection;
mod harness;
#[macro_use]
mod list;
mod reader;
mod report;
mod run;
mod suite;
mod trial;

// The groups, in the order in which they run.
mod comparison;
mod delivery;
mod expiry;
mod inbox;
mod load;
mod misuse;
mod recovery;
mod replies;
mod routing;
mod settlement;
mod shape;
mod topology;

pub use self::{
    connection::Connection,
    harness::{Broker, Harness, Time},
    list::{Behaviour, behaviours},
    reader::Reader,
    report::{Report, Row},
    run::{run_all, run_group, run_test, stress},
    trial::Trial,
    verdict::{Stop, Verdict},
};
