//! A supervised child is read, signalled, waited for, and never outlives its owner.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use tidings_core::ErrorKind;
use tidings_testkit::process::Process;

const LONG: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Process {
    Process::spawn("sh", ["-c", script], &[("GREETING", "hello")]).expect("there is a shell")
}

#[tokio::test]
async fn reads_the_lines_of_a_child_with_its_environment() {
    let mut child = shell("echo \"$GREETING\"; echo second; exit 3");
    assert_eq!(child.line(LONG).await.unwrap().as_deref(), Some("hello"));
    assert_eq!(child.line_starting("sec", LONG).await.unwrap(), "second");
    assert_eq!(child.line(LONG).await.unwrap(), None);
    assert_eq!(child.wait(LONG).await.unwrap().code(), Some(3));
}

#[tokio::test]
async fn says_which_line_did_not_come() {
    let mut child = shell("echo other");
    let error = child.line_starting("ready", LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.to_string(), "`sh` ended before it printed `ready`");
}

#[tokio::test]
async fn waits_no_longer_than_told() {
    let mut child = shell("exec sleep 60");
    let short = Duration::from_millis(10);
    let silent = child.line(short).await.unwrap_err();
    let running = child.wait(short).await.unwrap_err();
    assert_eq!(
        (silent.kind(), running.kind()),
        (ErrorKind::Timeout, ErrorKind::Timeout)
    );
}

#[tokio::test]
async fn kills_without_warning() {
    let mut child = shell("trap 'echo cleaned up' TERM; echo up; while :; do sleep 60; done");
    child.line_starting("up", LONG).await.unwrap();
    child.kill_9().await.unwrap();
    let status = child.wait(LONG).await.unwrap();
    assert_eq!(status.signal(), Some(9));
}

#[tokio::test]
async fn asks_a_child_to_end() {
    let mut child =
        shell("trap 'echo cleaned up; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    child.line_starting("up", LONG).await.unwrap();
    child.terminate().await.unwrap();
    child.line_starting("cleaned up", LONG).await.unwrap();
    assert!(child.wait(LONG).await.unwrap().success());
    child.terminate().await.unwrap();
}

/// The pipe ends when the last process that holds it has ended.
#[tokio::test]
async fn a_dropped_child_is_killed() {
    let mut watcher = {
        let child = shell("exec sleep 60");
        let id = child.id().unwrap();
        // Prints as soon as the process is gone or only waits to be collected.
        let script = format!(
            "while kill -0 {id} 2>&- && ! grep -q '^State:.Z' /proc/{id}/status 2>&-; do sleep 0.01; done; echo gone"
        );
        shell(&script)
    };
    watcher.line_starting("gone", LONG).await.unwrap();
}
