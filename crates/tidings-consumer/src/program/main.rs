//! The program as a process: command line, log, signals, the service manager, and the status it ends with.

use std::{convert::Infallible, env, ffi::OsString, process::ExitCode, time::Duration};

use tidings_core::{Call, Deadline, Error, ErrorKind, Reply, error::Result};
use tidings_router::registry::Registered;
use tidings_server::{Health, Signals};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{info, warn};

use super::{Program, Transports, plans};
use crate::{
    flags::{Flags, Unusable},
    logging, notify, plan,
    serve::Handled,
    served::Served,
};

/// The status of a program that refuses to serve only a part of what is configured.
const INCOMPLETE: u8 = 2;

/// How often it is looked whether the service is as ready as it was.
const LOOK: Duration = Duration::from_secs(2);

/// How long connections may take to close when handlers had to be ended.
const IMPATIENT: Duration = Duration::from_secs(1);

/// How long they may take otherwise, also if handlers have used up the grace period. systemd waits ten seconds longer than
/// that, as we package it.
const UNHURRIED: Duration = Duration::from_secs(5);

impl<T, L> Program<T, L>
where
    T: Transports,
    L: Layer<Handled> + Clone + 'static,
    L::Service:
        Service<Call, Response = Reply, Error = Error, Future: Send> + Clone + Send + 'static,
{
    /// Runs the program with the command line of this process, until SIGTERM or SIGINT.
    ///
    /// It ends with 0 after a drain, with 1 if it could not start or had to end handlers, and with 2 if `--strict` has
    /// found an exchange without a handler.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.main_with(env::args_os())
    }

    /// As [`main`](Self::main), with this command line: the name of the program first.
    #[must_use]
    pub fn main_with<I>(self, line: I) -> ExitCode
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let flags = match Flags::parse_from_line(line) {
            Ok(flags) => flags,
            Err(unusable) => return refused(&unusable),
        };
        logging::install(flags.log_format);
        let done = if let Some(exchange) = &flags.schema {
            print_schema(exchange)
        } else if flags.check {
            check(&flags)
        } else {
            self.run(&flags).map(|()| ExitCode::SUCCESS)
        };
        match done {
            Ok(code) => code,
            Err(error) => failed(&error),
        }
    }

    fn run(self, flags: &Flags) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot start the runtime").with_source(error)
            })?;
        let done = runtime.block_on(self.serve(flags));
        // Whatever a handler has left behind does not keep the process.
        runtime.shutdown_background();
        done
    }

    async fn serve(self, flags: &Flags) -> Result<()> {
        // Before anything else: a signal during the start must not kill the process half-way.
        let mut signals = Signals::listen()?;
        let served = tokio::select! {
            served = Box::pin(self.start(flags)) => served?,
            signal = signals.next() => { // Cancel-safe: promised by `Signals::next`.
                info!(signal, "ended before it had begun to serve");
                return Ok(());
            }
        };
        let first = status(&served, &served.health());
        notify::ready(&first);
        let signal = tokio::select! {
            signal = signals.next() => signal, // Cancel-safe: promised by `Signals::next`.
            never = watch(&served, first) => match never {},
        };
        until(&served, signal, signals, flags.grace()).await
    }
}

/// One line about what is served.
fn status(served: &Served, health: &Health) -> String {
    if health.ready {
        let names: Vec<_> = served.virtual_hosts().collect();
        return format!("serving {}", names.join(", "));
    }
    format!("not ready: {}", health.reasons.join("; "))
}

/// Tells the service manager and the log whenever that line changes, for ever.
async fn watch(served: &Served, mut last: String) -> Infallible {
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let health = served.health();
        let now = status(served, &health);
        if now == last {
            continue;
        }
        notify::status(&now);
        // Reasons count attempts and seconds, which is news for the status and not for the log.
        let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        if shape(&now) != shape(&last) {
            if health.ready {
                info!("{now}");
            } else {
                warn!("{now}");
            }
        }
        last = now;
    }
}

/// Drains. A second signal does not wait.
async fn until(served: &Served, signal: &str, mut signals: Signals, grace: Duration) -> Result<()> {
    let asked = Instant::now();
    notify::stopping();
    info!(signal, ?grace, "draining; a second signal does not wait");
    let drained = tokio::select! {
        drained = served.drain(grace) => drained,
        signal = signals.next() => { // Cancel-safe: promised by `Signals::next`.
            warn!(signal, "ended by a second signal; unfinished requests come again");
            served.abort()
        }
    };
    let patience = match drained.complete {
        true => grace.saturating_sub(asked.elapsed()).max(UNHURRIED),
        false => IMPATIENT,
    };
    tokio::select! {
        closed = served.close(Deadline::after(patience)) => closed?,
        signal = signals.next() => warn!(signal, "ended while the connections were closing"),
    }
    if drained.complete {
        info!("drained");
        return Ok(());
    }
    let context = "requests were still at work at the end of the grace period and were ended; they come again";
    Err(Error::new(ErrorKind::Timeout, context))
}

/// Says what would be served. What is not complete is a failure, though it would be served without what is missing.
#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn check(flags: &Flags) -> Result<ExitCode> {
    let (config, plans) = plans(flags)?;
    for plan in &plans {
        print!("{plan}");
    }
    if config.mock {
        println!("replies are made up: `mock` is on");
    }
    let is_complete = plans.iter().all(|plan| plan.missing.is_empty());
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints what a request looks like, for people and for `tidings call --example`.
#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn print_schema(exchange: &str) -> Result<ExitCode> {
    let linked = Registered::all()?;
    let registration = linked.get(exchange).ok_or_else(|| {
        let known: Vec<_> = linked.exchanges().collect();
        let meant: Vec<_> = plan::meant(exchange, &known).into_iter().collect();
        let hint = plan::hint(&meant, &known);
        let context = format!("there is no handler for exchange `{exchange}`; {hint}");
        Error::new(ErrorKind::NotFound, context)
    })?;
    let schema = (registration.request.request_schema)();
    println!("{schema:#}");
    Ok(ExitCode::SUCCESS)
}

fn refused(unusable: &Unusable) -> ExitCode {
    unusable.print();
    if unusable.is_help() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(
    clippy::print_stderr,
    reason = "why a program ends belongs on standard error"
)]
fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {}", error.chain());
    if error.kind() == ErrorKind::NoRoute {
        return ExitCode::from(INCOMPLETE);
    }
    ExitCode::FAILURE
}
