//! The role `rpc-server`: the consumer program, with the handlers of this crate and of the example consumer.

use std::{ffi::OsString, process::ExitCode};

// Handlers ship in packages of their own.
tidings::handlers_from!(tidings_example_consumer);

/// Serves RPC handlers as a configuration file says.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What the consumer program takes
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTION"
    )]
    options: Vec<OsString>,
}

/// Runs until SIGTERM, and drains.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let name = OsString::from("tidings-interop rpc-server");
    tidings::rpc::Program::new().main_with([name].into_iter().chain(arguments.options))
}
