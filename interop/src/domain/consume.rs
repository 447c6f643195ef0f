//! `domain consume`: attaches the subscribers and fails as planned.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tidings::{
    AnyMessage, Domain, HandlerError, Headers, Router, Server, Subscriber, convention::Interest,
    domain, headers, transport::Transport,
};
use tokio::sync::watch;

use super::{
    plan::Plan,
    say_json,
    subscribers::{Named, SubscriberFile},
};

/// The options of `domain consume`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many further attempts a message has after the first.
    #[arg(long, default_value_t = 5)]
    pub(crate) max_retries: u32,
    /// Which calls fail, as JSON: `{"subscriber": "FFS"}`.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    plan: String,
    /// Attaches only these subscribers.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Attaches to the dead letters of the subscribers instead.
    #[arg(long)]
    dead_letter: bool,
    /// Ends once this many calls were seen.
    #[arg(long)]
    expect: Option<usize>,
    /// Ends after this many seconds at the latest.
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// Goes on for this many seconds once the expected calls were seen.
    #[arg(long, default_value_t = 0.0)]
    linger: f64,
}

/// The calls seen so far.
struct Seen {
    plan: Plan,
    calls: Mutex<BTreeMap<String, usize>>,
    total: watch::Sender<usize>,
}

/// Consumes until enough was seen, the time is over, or a signal comes.
pub(crate) async fn run(
    transport: Arc<dyn Transport>,
    domain: Domain,
    file: SubscriberFile,
    options: &Options,
) -> Result<ExitCode> {
    let seen = Arc::new(Seen {
        plan: Plan::parse(&options.plan)?,
        calls: Mutex::default(),
        total: watch::channel(0).0,
    });
    let router = router(&file, options, &seen)?;
    // The queues exist already, with whatever TTLs they were configured with.
    let server = Server::builder(transport, domain)
        .without_declaring()
        .concurrency(1)
        .start(router)
        .await?;
    let health = server.health();
    if !health.ready {
        bail!("cannot consume: {}", health.reasons.join("; "));
    }
    let queues: Vec<_> = health
        .subscriptions
        .iter()
        .map(|subscription| &*subscription.queue)
        .collect();
    say_json(&json!({ "ready": queues }))?;
    wait(&seen, options).await?;
    server.drain(Duration::from_secs(10)).await;
    seen.summary(options.expect)
}

async fn wait(seen: &Seen, options: &Options) -> Result<()> {
    let enough = async {
        match options.expect {
            Some(expected) => {
                let _ = seen
                    .total
                    .subscribe()
                    .wait_for(|total| *total >= expected)
                    .await;
                tokio::time::sleep(Duration::from_secs_f64(options.linger)).await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = enough => Ok(()),
        () = tokio::time::sleep(Duration::from_secs_f64(options.timeout)) => Ok(()),
        signal = terminated() => signal,
    }
}

async fn terminated() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

fn router(file: &SubscriberFile, options: &Options, seen: &Arc<Seen>) -> Result<Router> {
    let mut router = Router::new();
    for subscriber in &file.subscribers {
        if options.only.is_empty() || options.only.contains(&subscriber.name) {
            router = router.subscriber(attach(subscriber, options.dead_letter, seen)?);
        }
    }
    Ok(router)
}

fn attach(named: &Named, dead_letter: bool, seen: &Arc<Seen>) -> Result<Subscriber> {
    let mut subscriber = Subscriber::new(named.name.as_str());
    for interest in named.interests()? {
        let interest = if dead_letter {
            Interest::DeadLetters(Box::new(interest))
        } else {
            interest
        };
        let (seen, name) = (Arc::clone(seen), named.name.clone());
        let handler = move |headers: Headers, message: AnyMessage| {
            let result = seen.handle(&name, &headers, &message);
            async move { result }
        };
        subscriber = subscriber.on_interest(interest, handler);
    }
    Ok(subscriber)
}

impl Seen {
    fn handle(
        &self,
        subscriber: &str,
        headers: &Headers,
        message: &AnyMessage,
    ) -> Result<(), HandlerError> {
        let call = self.count(subscriber);
        let act = self.plan.act(subscriber, call);
        let line = json!({
            "subscriber": subscriber,
            "call": call,
            "act": act.to_string(),
            "format": domain::format(message)?,
            "redelivery_count": headers.int(headers::REDELIVERY_COUNT),
        });
        say_json(&line).map_err(|error| HandlerError::retry(error.to_string()))?;
        self.total.send_modify(|total| *total += 1);
        if act == 'F' {
            Err(HandlerError::retry("failed as planned"))
        } else {
            Ok(())
        }
    }

    fn count(&self, subscriber: &str) -> usize {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = calls.entry(subscriber.to_owned()).or_default();
        *call += 1;
        *call
    }

    fn summary(&self, expected: Option<usize>) -> Result<ExitCode> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = calls.values().sum();
        let ok = expected.is_none_or(|expected| total >= expected);
        let summary: Value = calls
            .iter()
            .map(|(name, calls)| (name.clone(), json!(calls)))
            .collect();
        say_json(&json!({ "summary": summary, "total": total, "ok": ok }))?;
        Ok(if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
