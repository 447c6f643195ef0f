//! Gets a broker by the first means that this machine has, in the order that costs a person least.
//!
//! One that is named by its URL, one that `brokers up` has left running, a Docker container, an installed
//! program, a Debian package. A broker that cannot be had is not an error here: whether a skip is a failure is
//! for the caller to say.

use anyhow::Result;

use crate::brokers::{
    Broker,
    record::Record,
    start::{Means, Starter},
};

/// A broker that tests can use, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Obtained {
    /// It answers. `started` says whether it was started now, and so must be stopped.
    Ready {
        url: String,
        how: &'static str,
        started: bool,
    },
    /// It cannot be had on this machine.
    Skipped { why: String },
}

/// Gets a broker, starting one if need be.
pub(crate) fn obtain(broker: &Broker, means: &Means, starter: Starter<'_>) -> Result<Obtained> {
    if let Some(url) = &means.given {
        return Ok(Obtained::Ready {
            url: url.clone(),
            how: "given by its variable",
            started: false,
        });
    }
    if let Some(record) = Record::read(starter.folder, broker.name) {
        if broker.answers(&record.ports) {
            return Ok(Obtained::Ready {
                url: record.url,
                how: "running already",
                started: false,
            });
        }
        record.remove(starter.folder, broker.name)?;
    }
    if !means.can_start() && !means.installable {
        return Ok(Obtained::Skipped {
            why: advice(broker),
        });
    }
    let (how, record) = starter.start(broker, means, broker.name)?;
    Ok(Obtained::Ready {
        url: record.url,
        how,
        started: true,
    })
}

fn advice(broker: &Broker) -> String {
    format!(
        "no Docker, not {}, and not root on Debian: set {}",
        broker.package,
        broker.variable()
    )
}
