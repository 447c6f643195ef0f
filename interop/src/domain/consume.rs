//! `domain consume`: attaches the subscribers and fails as planned.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tidings::{
    AnyMessage, Domain, Headers, Router, Running, Server, Subscriber, convention::Interest,
    transport::Transport,
};

use super::{
    GRACE,
    formatted::Formatted,
    plan::Plan,
    seconds,
    seen::Seen,
    subscribers::{Named, SubscriberFile},
};
use crate::{output, stop::Stop};

/// The options of `domain consume`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many further attempts a message has after the first.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) max_retries: u32,
    /// Which calls fail, as JSON: `{"subscriber": "FFS"}`.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    plan: String,
    /// Attaches only these subscribers.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Attaches to the dead letters of the subscribers instead.
    #[arg(long)]
    dead_letter: bool,
    /// Ends once this many calls were seen.
    #[arg(long, value_name = "N")]
    expect: Option<usize>,
    /// Gives up after this many seconds; unlimited unless given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Goes on for this many seconds once the expected calls were seen.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    linger: Option<Duration>,
}

/// Why it ends.
#[derive(PartialEq, Eq)]
enum End {
    Enough,
    Time,
    Signal,
}

/// Consumes until enough was seen, the time is over, or a signal comes.
pub(crate) async fn run(
    transport: Arc<dyn Transport>,
    domain: Domain,
    subscribers: &SubscriberFile,
    options: &Options,
    stop: &Stop,
) -> Result<ExitCode> {
    let plan = Plan::parse(&options.plan)?;
    for name in plan.subscribers() {
        subscribers.check_known(name)?;
    }
    let most = options.expect.filter(|_| options.linger.is_none());
    let seen = Arc::new(Seen::new(plan, most));
    let router = router(&subscribers.only(&options.only)?, options, &seen);
    // The queues exist already, with whatever TTLs they were configured with.
    let server = Server::builder(transport, domain)
        .without_declaring()
        .concurrency(1);
    let running = tokio::select! {
        running = server.start(router) => running?, // Cancel-safe: a start that is dropped has handled nothing.
        () = stop.requested() => { // Cancel-safe: it only looks at a flag.
            return nothing_seen(options);
        }
    };
    say_ready(&running)?;
    seen.open();
    let end = wait(&seen, options, stop).await;
    let drained = running.drain(GRACE).await;
    let ok = seen.summary(options.expect)?;
    if !drained.complete {
        bail!("handlers were still at work {GRACE:?} after the end: their messages come again");
    }
    // Whoever ends a consumer did not wait for what it expected.
    Ok(if ok || end == End::Signal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The summary of a consumer that was ended before it was ready.
pub(crate) fn nothing_seen(options: &Options) -> Result<ExitCode> {
    Seen::new(Plan::default(), None).summary(options.expect)?;
    Ok(ExitCode::SUCCESS)
}

fn say_ready(running: &Running) -> Result<()> {
    let health = running.health();
    if !health.ready {
        bail!(
            "cannot consume, have the queues been configured? {}",
            health.reasons.join("; ")
        );
    }
    let queues: Vec<_> = health
        .subscriptions
        .iter()
        .map(|subscription| &*subscription.queue)
        .collect();
    output::json(&json!({ "ready": queues }))
}

async fn wait(seen: &Seen, options: &Options, stop: &Stop) -> End {
    let enough = async {
        match options.expect {
            Some(expected) => seen.reaches(expected).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        () = enough => End::Enough, // Cancel-safe: it only looks at a count.
        () = after(options.timeout) => End::Time, // Cancel-safe: a timer.
        () = stop.requested() => End::Signal, // Cancel-safe: it only looks at a flag.
    };
    if end != End::Enough {
        return end;
    }
    tokio::select! {
        () = tokio::time::sleep(options.linger.unwrap_or_default()) => End::Enough, // Cancel-safe: a timer.
        () = stop.requested() => End::Signal, // Cancel-safe: it only looks at a flag.
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

fn router(subscribers: &[&Named], options: &Options, seen: &Arc<Seen>) -> Router {
    subscribers.iter().fold(Router::new(), |router, named| {
        router.subscriber(attach(named, options.dead_letter, seen))
    })
}

fn attach(named: &Named, dead_letter: bool, seen: &Arc<Seen>) -> Subscriber {
    let mut subscriber = Subscriber::new(named.name.as_str());
    for interest in named.interests() {
        let interest = if dead_letter {
            Interest::DeadLetters(Box::new(interest))
        } else {
            interest
        };
        let (seen, name) = (Arc::clone(seen), named.name.clone());
        let handler = move |headers: Headers, format: Formatted, _: AnyMessage| {
            let (seen, name) = (Arc::clone(&seen), name.clone());
            async move { seen.handle(&name, &headers, &format).await }
        };
        subscriber = subscriber.on_interest(interest, handler);
    }
    subscriber
}
