//! The processes of a broker: one group, with a mark in its environment.
//!
//! Nothing is ended here but what was started here, however long ago that was. While its leader lives, a group is known
//! by the leader's identity; what the leader has left behind is known by the mark.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    brokers::identity::{Identity, stat},
    runner::signal_group,
};

/// The variable in which the processes of a broker carry the folder of its data.
const MARK: &str = "TIDINGS_BROKER_DATA";

/// Starts a program as the leader of a group of its own; what it prints goes to `output.log` beside its data.
pub(crate) fn start(mut command: Command, data: &Path) -> Result<Identity> {
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
    Ok(Identity::of(child.id()))
}

/// Kills all of the group at once.
pub(crate) fn kill(leader: &Identity, data: &Path) {
    // Nobody else can have the number of the group while its leader lives. Afterwards the mark must tell.
    if leader.is_alive() || !members(leader, Some(data)).is_empty() {
        signal_group(leader.pid(), "KILL");
        wait(Duration::from_secs(5), || members(leader, None).is_empty());
    }
}

/// Asks the leader to end, and kills what is left of the group afterwards; `false` if the leader had to be killed.
/// The rest of the group is not asked: the leader may need it to the end.
pub(crate) fn stop(leader: &Identity, data: &Path, grace: Duration) -> bool {
    if leader.is_alive() {
        signal("TERM", leader.pid());
    }
    let ended = wait(grace, || !leader.is_alive());
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
fn signal(name: &str, process: u32) {
    // It may have ended in the meantime; that is what was wanted.
    let _ended = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process} 2>/dev/null")])
        .status();
}

/// The living processes of a group; with a folder, only those that carry its mark.
fn members(leader: &Identity, data: Option<&Path>) -> Vec<u32> {
    let belongs = |pid: &u32| {
        let in_group = stat(*pid).is_some_and(|stat| !stat.has_ended && stat.group == leader.pid());
        in_group && data.is_none_or(|data| is_marked(*pid, data))
    };
    let numbers = fs::read_dir("/proc").into_iter().flatten();
    numbers
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(belongs)
        .collect()
}

fn is_marked(pid: u32, data: &Path) -> bool {
    let mark = format!("{MARK}={}", data.display());
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    })
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
    fn kills_the_whole_group() {
        let data = scratch("killed");
        let leader = start(shell("sleep 600 & wait"), &data).unwrap();
        assert!(leader.is_alive());
        kill(&leader, &data);
        assert!(!leader.is_alive());
        assert!(members(&leader, None).is_empty());
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn what_the_leader_leaves_behind_is_killed_after_it() {
        let data = scratch("left");
        let leader = start(shell("sleep 600 & trap 'exit 0' TERM; wait"), &data).unwrap();
        assert!(stop(&leader, &data, Duration::from_secs(10)));
        assert!(members(&leader, None).is_empty());
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn a_group_without_its_leader_is_killed_only_if_it_carries_the_mark() {
        let [data, other] = ["own", "other"].map(scratch);
        let leader = start(shell("exec sleep 600 & exit"), &data).unwrap();
        assert!(wait(Duration::from_secs(10), || !leader.is_alive()));
        kill(&leader, &other);
        assert_eq!(members(&leader, None).len(), 1, "it may be somebody else's");
        kill(&leader, &data);
        assert!(members(&leader, None).is_empty());
        for folder in [data, other] {
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}
