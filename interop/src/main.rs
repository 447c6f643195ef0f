//! `tidings-interop`: one program, a role per chapter, so that the outside can test Tidings without knowing it.
//!
//! Standard output carries only what a role promises; logs go to standard error. A role ends on SIGTERM by
//! draining.

mod domain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
    let done = match Arguments::parse().role {
        Role::Domain(arguments) => domain::run(arguments).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the error of a program goes to standard error"
)]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
