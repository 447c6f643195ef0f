//! The only reader of environment variables in xtask.
//!
//! One place to see which variables change what the button does: `CI`, `NO_COLOR`, `TIDINGS_TEST_ROUNDS`,
//! `TIDINGS_TEST_<BROKER>_URL`, `CC` and `PATH`; and those by which a test run and the tests in it talk to each other:
//! `TIDINGS_WORKSPACE`, `TIDINGS_TEST_SESSION`, `TIDINGS_TEST_NODE_VERSION`.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
};

/// The value of a variable, if it is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this file is the one place in xtask that reads settings"
    )]
    let value = std::env::var(name).ok()?;
    (!value.is_empty()).then_some(value)
}

/// Whether this is a CI machine, where a skipped broker is a failure.
pub(crate) fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value != "false" && value != "0")
}

/// Whether output may be coloured.
pub(crate) fn wants_colour() -> bool {
    io::stdout().is_terminal() && variable("NO_COLOR").is_none()
}

/// Where a program is, if it can be run.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
