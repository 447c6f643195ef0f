//! The file spool on a disk that fills up.

use std::{fs, process::Command};

use tidings_client::fallback::{FileSpool, Spool};
use tidings_core::ErrorKind;

use crate::{
    fixture::{call, keys, path},
    primary::{Answer, Primary},
};

const CHILD: &str = "full_disk::what_was_confirmed_is_there_however_small_the_disk";
const REFUSED: &str = "a store was refused";

/// Runs by itself on a disk with room, and as the child of the next test on one without.
#[tokio::test]
async fn what_was_confirmed_is_there_however_small_the_disk() {
    let path = path(&format!("disk_{}", std::process::id()));
    let spool = FileSpool::open(&path).unwrap();
    let mut confirmed = Vec::new();
    for key in keys(0..200) {
        match spool.store(call(key.as_str())).await {
            Ok(()) => confirmed.push(key),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                println!("{REFUSED}");
            }
        }
    }
    let primary = Primary::new(Answer::Confirm);
    spool.replay(&primary).await.unwrap();
    assert_eq!(primary.confirmed_keys(), confirmed);
    spool.store(call("after")).await.unwrap();
    fs::remove_file(path).unwrap();
}

/// A limit on the size of files stands for the full disk; it needs no rights. The signal that comes with it is ignored.
#[cfg(unix)]
#[test]
fn a_full_disk_refuses_stores_and_loses_nothing() {
    let limited = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(CHILD)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert!(said.contains(REFUSED), "the limit was not reached: {said}");
}
