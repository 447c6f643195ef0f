//! The processes of a broker: one group, found again by a mark in its environment.
//!
//! The number of a process says nothing once that process has ended: it may be somebody else's by now. So
//! nothing is ended here but members of the group that carry the mark of this very broker.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::runner::signal_group;

/// The variable in which the processes of a broker carry the folder of its data.
const MARK: &str = "TIDINGS_BROKER_DATA";

/// Starts a program as the leader of a group of its own; what it prints goes to `output.log` beside its data.
pub(crate) fn start(mut command: Command, data: &Path) -> Result<u32> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(data.join("output.log"))
        .with_context(|| format!("cannot write to {}", data.display()))?;
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .env(MARK, data)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(child.id())
}

/// Whether the leader of the group runs, and is the one that was started for this data.
pub(crate) fn is_running(leader: u32, data: &Path) -> bool {
    members(leader, data).contains(&leader)
}

/// Kills all of the group at once.
pub(crate) fn kill(leader: u32, data: &Path) {
    if !members(leader, data).is_empty() {
        signal_group(leader, "KILL");
        wait(Duration::from_secs(5), || members(leader, data).is_empty());
    }
}

/// Asks the leader to end, and kills what is left of the group afterwards. The rest of the group is not asked:
/// the leader may need it to the end.
pub(crate) fn stop(leader: u32, data: &Path, grace: Duration) -> bool {
    if is_running(leader, data) {
        signal("TERM", &leader.to_string());
    }
    let ended = wait(grace, || !is_running(leader, data));
    kill(leader, data);
    ended
}

/// Waits until something is the case; `false` if it never was.
fn wait(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let (_never, pause) = mpsc::channel::<()>();
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        // Nothing is ever sent: this is a pause that needs no runtime. A signal must not cut it short.
        let _elapsed = pause.recv_timeout(Duration::from_millis(20));
    }
    true
}

/// The shell does it, because the standard library cannot.
fn signal(name: &str, process: &str) {
    // It may have ended in the meantime; that is what was wanted.
    let _ended = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process} 2>/dev/null")])
        .status();
}

/// The processes of a group that carry the mark.
fn members(leader: u32, data: &Path) -> Vec<u32> {
    let mark = format!("{MARK}={}", data.display());
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(Result::ok)
        .filter(|process| belongs(&process.path(), leader, &mark))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

fn belongs(process: &Path, leader: u32, mark: &str) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    group_of(&stat) == Some(leader)
        && fs::read(process.join("environ")).is_ok_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
        })
}

/// The group in a line of `/proc/*/stat`; none if the process has ended and nobody has asked how.
fn group_of(stat: &str) -> Option<u32> {
    // The name before it is in parentheses, and may contain some.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (state != "Z").then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tidings-xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn reads_the_group_of_a_process() {
        for (stat, expected) in [
            ("7 (sh) S 1 5 5 0 -1", Some(5)),
            ("7 (a) b) R 1 6 5 0 -1", Some(6)),
            ("7 (sh) Z 1 5 5 0 -1", None),
            ("7 (sh", None),
            ("", None),
        ] {
            assert_eq!(group_of(stat), expected, "{stat}");
        }
    }

    #[test]
    fn kills_the_whole_group_and_only_if_it_carries_the_mark() {
        let data = scratch("killed");
        let leader = start(shell("sleep 600 & wait"), &data).unwrap();
        let other = scratch("other");
        kill(leader, &other);
        assert!(is_running(leader, &data), "the mark is another");

        kill(leader, &data);
        assert!(members(leader, &data).is_empty());
        fs::remove_dir_all(&data).unwrap();
        fs::remove_dir_all(&other).unwrap();
    }

    #[test]
    fn what_the_leader_leaves_behind_is_killed_after_it() {
        let data = scratch("left");
        let leader = start(shell("sleep 600 & trap 'exit 0' TERM; wait"), &data).unwrap();
        assert!(stop(leader, &data, Duration::from_secs(10)));
        assert!(members(leader, &data).is_empty());
        fs::remove_dir_all(&data).unwrap();
    }
}
