//! Gets a broker by the first means that this machine has, in the order that costs a person least.
//!
//! One that is named by its URL, one that `brokers up` has left running, a Docker container, an installed
//! program, a Debian package. A broker that cannot be had is not an error here: whether a skip is a failure is
//! for the caller to say.

use std::path::Path;

use anyhow::Result;

use crate::{
    brokers::{
        Broker,
        record::Record,
        start::{Means, Starter},
    },
    runner::Runner,
};

/// A broker that tests can use, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Obtained {
    /// It answers.
    Ready { url: String, how: &'static str },
    /// It cannot be had on this machine.
    Skipped { why: String },
}

/// Gets a broker, starting one if need be.
pub(crate) fn obtain(broker: &Broker, means: &Means, starter: Starter<'_>) -> Result<Obtained> {
    if let Some(url) = &means.given {
        return Ok(Obtained::Ready {
            url: url.clone(),
            how: "given by its variable",
        });
    }
    // Under this name is what a person has started. What another run has is stopped when that run ends.
    if let Some(record) = Record::read(starter.folder, broker.name) {
        if broker.answers(&record.ports) {
            return Ok(Obtained::Ready {
                url: record.url,
                how: "running already",
            });
        }
        record.remove(starter.folder, broker.name)?;
    }
    if let Some(why) = prepare(broker, means, starter.runner, starter.folder)? {
        return Ok(Obtained::Skipped { why });
    }
    let name = match starter.owner {
        Some(owner) => format!("{}-of-{}", broker.name, owner.pid()),
        None => broker.name.to_owned(),
    };
    let record = starter.start(broker, means, &name)?;
    Ok(Obtained::Ready {
        url: record.url,
        how: match means {
            Means { docker: true, .. } => "started with Docker",
            Means {
                installed: true, ..
            } => "started",
            _ => "installed and started",
        },
    })
}

/// Installs a broker unless it can be started without that; says why if it cannot be had here.
///
/// That another version of a broker cannot be installed is no error: that is a convenience for those who can.
pub(crate) fn prepare(
    broker: &Broker,
    means: &Means,
    runner: &Runner,
    folder: &Path,
) -> Result<Option<String>> {
    if means.can_start() {
        return Ok(None);
    }
    if !means.installable {
        return Ok(Some(advice(broker)));
    }
    match (broker.install)(runner, folder) {
        Ok(()) => Ok(None),
        Err(error) if broker.takes_the_place_of.is_some() && !runner.is_interrupted() => {
            Ok(Some(format!("{error:#}")))
        }
        Err(error) => Err(error),
    }
}

fn advice(broker: &Broker) -> String {
    format!(
        "no Docker, not {}, and not root on Debian: set {}",
        broker.package,
        broker.variable()
    )
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::brokers::fake::FAKE;

    fn refuse(_: &Runner, _: &Path) -> Result<()> {
        bail!("the mirror is asleep")
    }

    #[test]
    fn only_another_version_may_fail_to_install() {
        let runner = Runner::new(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let means = Means {
            installable: true,
            ..Means::default()
        };
        let usual = Broker {
            install: refuse,
            ..FAKE
        };
        let other = Broker {
            install: refuse,
            takes_the_place_of: Some("fake"),
            ..FAKE
        };
        let prepare = |broker| prepare(broker, &means, &runner, Path::new("nowhere"));
        assert!(prepare(&usual).is_err());
        assert_eq!(prepare(&other).unwrap().unwrap(), "the mirror is asleep");
    }
}
