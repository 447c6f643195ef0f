//! `tidings`: what a person does to a broker by hand, on every transport that the facade knows.
//!
//! It imports the facade and nothing below it: what it cannot do with that, a user of the library cannot do
//! either. Standard output carries results, standard error everything else, and the exit code says what became
//! of it (see [`exit`]).

mod arguments;
mod commands;
mod connect;
mod dead;
mod exit;
mod json_text;
mod look;
mod message;
mod output;
mod progress;
mod span;
mod status;
mod stop;
mod subscribers;
mod table;
mod wanted;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::Arguments,
    commands::Session,
    exit::{Check, Exit},
    output::{Output, is_terminal_error},
};

fn main() -> ExitCode {
    let line = commands::requeue::long_options(std::env::args_os());
    let is_check = arguments::commands(&line).take(2).eq(["rpc", "status"]);
    let arguments = match Arguments::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(error) => return exit::unusable(&error, is_check).into(),
    };
    // What goes wrong inside of the AMQP client and of the transport reaches us as an error, which says what to do.
    let usual =
        "warn,lapin=off,tidings_rabbitmq::publishing=error,tidings_rabbitmq::consuming=error";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal_error())
        .without_time()
        .with_env_filter(filter)
        .init();
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => match exit::report(&error) {
            exit if is_check && exit != Exit::Ok => Exit::Check(Check::Unknown).into(),
            exit => exit.into(),
        },
    }
}

fn run(arguments: Arguments) -> Result<Exit> {
    // Several threads: a command may wait for the keyboard while it is the owner of a file that others use.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(stop::on_signals(|stop| {
        let session = Session {
            connection: arguments.connection,
            output: Output::new(arguments.output),
            stop,
        };
        commands::run(arguments.command, session)
    }));
    // A thread that reads the keyboard cannot be interrupted.
    runtime.shutdown_background();
    done
}
