//! `tidings-interop`: one program, a role per chapter, so that the outside can test Tidings without knowing it.
//!
//! Standard output carries only what a role promises; logs go to standard error. A role ends on SIGTERM by
//! draining.

mod domain;
mod output;
mod rpc;
mod stop;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::stop::Stop;

/// What is logged unless RUST_LOG says otherwise. The client of RabbitMQ reports every channel that the broker closes,
/// which is how it answers whether a queue exists.
const LOGGED: &str = "warn,lapin=off";

/// Roles in which the outside tests Tidings.
#[derive(Debug, Parser)]
#[command(name = "tidings-interop", version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Domain messages: configure, clear, publish, consume, requeue.
    Domain(domain::Arguments),
    /// Serves RPC handlers as a configuration file says.
    RpcServer(rpc::server::Arguments),
    /// Calls once and prints the answer; without one in time the exit code is 3.
    RpcClient(rpc::client::Arguments),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(filter)
        .init();
    match run(Arguments::parse().role) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(role: Role) -> Result<ExitCode> {
    match role {
        Role::Domain(arguments) => until_stopped(|stop| domain::run(arguments, stop)),
        Role::RpcClient(arguments) => until_stopped(|stop| rpc::client::run(arguments, stop)),
        // It brings a runtime of its own and listens for signals itself.
        Role::RpcServer(arguments) => Ok(rpc::server::run(arguments)),
    }
}

/// Runs a role, which is told when it is to end.
fn until_stopped<F>(role: impl FnOnce(Stop) -> F) -> Result<ExitCode>
where
    F: Future<Output = Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(stop::on_signals(role));
    // The thread that reads standard input cannot be interrupted: whoever waits for it waits for the other side.
    runtime.shutdown_background();
    done
}

#[expect(
    clippy::print_stderr,
    reason = "the error of a program goes to standard error"
)]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
