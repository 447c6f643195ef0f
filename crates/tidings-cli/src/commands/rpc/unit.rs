//! One unit of the service manager, and whether it is as it should be.
//!
//! A consumer that crashes is "activating" for as long as systemd waits before the next start, and one whose queue was
//! deleted may have ended with success: both look healthy to whoever asks for failed units only.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;

use crate::exit::Check;

/// A unit that was started again within this time is not believed to be well yet.
const SETTLED: Duration = Duration::from_secs(600);

/// What a unit is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) state: State,
    /// How often systemd has started it again since somebody last did so by hand.
    pub(crate) restarts: u64,
    /// What is known beyond the state: how it ended, when it will be started.
    pub(crate) detail: String,
}

/// The states that make a difference to whoever is on call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// At work, and for long enough.
    Running,
    /// At work, but started again by itself a moment ago.
    Unsettled,
    /// On its way up for the first time.
    Starting,
    /// On its way down.
    Stopping,
    /// It ended, and systemd waits before it starts it again.
    Restarting,
    /// Not at work, and nobody will start it: it should be.
    Dead,
    /// systemd has given it up.
    Failed,
    /// There is no such unit file.
    Missing,
}

impl State {
    pub(crate) fn check(self) -> Check {
        match self {
            Self::Running => Check::Fine,
            Self::Unsettled | Self::Starting | Self::Stopping => Check::Warning,
            Self::Restarting | Self::Dead | Self::Failed | Self::Missing => Check::Critical,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Unsettled => "unsettled",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Dead => "dead",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

impl Unit {
    /// Reads what `systemctl show` says of one unit; `now` is the time since boot.
    pub(crate) fn of(properties: &HashMap<&str, &str>, now: Duration) -> Option<Self> {
        let get = |name: &str| properties.get(name).copied().unwrap_or_default();
        let name = get("Id").to_owned();
        if name.is_empty() {
            return None;
        }
        let restarts = get("NRestarts").parse().unwrap_or_default();
        let since = micros(get("ActiveEnterTimestampMonotonic")).map(|at| now.saturating_sub(at));
        let young = since.is_some_and(|since| since < SETTLED);
        let state = match (get("LoadState"), get("ActiveState"), get("SubState")) {
            ("not-found" | "bad-setting" | "error", ..) => State::Missing,
            (_, "failed", _) => State::Failed,
            (_, "active" | "reloading" | "refreshing", _) if restarts > 0 && young => {
                State::Unsettled
            }
            (_, "active" | "reloading" | "refreshing", _) => State::Running,
            (_, _, "auto-restart" | "auto-restart-queued") => State::Restarting,
            (_, "activating", _) if restarts > 0 => State::Restarting,
            (_, "activating", _) => State::Starting,
            (_, "deactivating", _) => State::Stopping,
            _ => State::Dead,
        };
        Some(Self {
            detail: detail(state, get("Result"), get("ExecMainStatus"), since),
            name,
            state,
            restarts,
        })
    }
}

fn micros(text: &str) -> Option<Duration> {
    let micros = text.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros))
}

fn detail(state: State, result: &str, status: &str, since: Option<Duration>) -> String {
    match (state, since) {
        (State::Running | State::Unsettled, Some(since)) => format!("for {}", rounded(since)),
        (State::Dead, _) if result == "success" => {
            format!("ended with status {status} and was left so")
        }
        (State::Dead | State::Failed | State::Restarting, _) => {
            format!("last ended with {result}, status {status}")
        }
        (State::Missing, _) => "its unit file is missing or cannot be read".to_owned(),
        _ => String::new(),
    }
}

/// In the largest unit that fits: nobody on call needs more.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10_000);

    fn unit(active: &str, sub: &str, restarts: &str, entered: &str) -> Unit {
        let properties = HashMap::from([
            ("Id", "tidings-consume@a.service"),
            ("LoadState", "loaded"),
            ("ActiveState", active),
            ("SubState", sub),
            ("NRestarts", restarts),
            ("Result", "exit-code"),
            ("ExecMainStatus", "1"),
            ("ActiveEnterTimestampMonotonic", entered),
        ]);
        Unit::of(&properties, NOW).unwrap()
    }

    fn check(active: &str, sub: &str, restarts: &str, entered: &str, expected: State) {
        let unit = unit(active, sub, restarts, entered);
        assert_eq!(unit.state, expected, "{active} {sub} {restarts}: {unit:?}");
    }

    #[test]
    fn a_unit_that_waits_for_its_restart_is_not_well() {
        check("activating", "auto-restart", "7", "0", State::Restarting);
        check("activating", "start", "7", "0", State::Restarting);
        check("activating", "start", "0", "0", State::Starting);
    }

    #[test]
    fn a_unit_that_ended_well_is_dead_all_the_same() {
        check("inactive", "dead", "0", "0", State::Dead);
        check("failed", "failed", "0", "0", State::Failed);
        check("deactivating", "stop-sigterm", "0", "0", State::Stopping);
    }

    #[test]
    fn a_restart_is_forgiven_after_a_while() {
        check("active", "running", "0", "9999000000", State::Running);
        check("active", "running", "1", "9999000000", State::Unsettled);
        check("active", "running", "1", "1000000", State::Running);
        assert_eq!(unit("active", "running", "1", "1000000").detail, "for 2 h");
    }

    #[test]
    fn what_is_no_unit_is_none() {
        assert_eq!(Unit::of(&HashMap::new(), NOW), None);
        let missing = HashMap::from([("Id", "x.service"), ("LoadState", "not-found")]);
        assert_eq!(Unit::of(&missing, NOW).unwrap().state, State::Missing);
    }
}
