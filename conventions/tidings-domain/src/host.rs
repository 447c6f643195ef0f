//! The name of this machine, for dead letters. Where it cannot be found they say `unknown`.

use std::fs;

/// Reads it from the places where systems keep it.
pub(crate) fn name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .or_else(from_environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "not a setting: the only place where systems without these files keep the name"
)]
fn from_environment() -> Option<String> {
    ["HOSTNAME", "COMPUTERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
}
