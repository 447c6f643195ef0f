//! The role `domain`: a service of domain messages, driven from the command line.

mod consume;
mod exact;
mod formatted;
mod line;
mod plan;
mod publish;
mod requeue;
mod seen;
mod subscribers;
mod topology;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use tidings::{
    Deadline, Domain,
    domain::DomainBuilder,
    rabbitmq::{RabbitMq, RabbitMqConfig},
    transport::Transport,
};

use self::subscribers::SubscriberFile;
use crate::stop::Stop;

/// How long a role that is asked to end waits for what is under way.
const GRACE: Duration = Duration::from_secs(10);

/// The arguments of `tidings-interop domain`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The broker, for example `embedded:shop.db`; without it, the one that RABBITMQ_HOST, _PORT, _USER and _PASSWORD name.
    #[arg(long, global = true, value_name = "URL")]
    transport: Option<String>,
    /// The subscribers, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    subscribers: Option<PathBuf>,
    /// The first word of all names.
    #[arg(
        long,
        global = true,
        env = "ACC_ORG",
        default_value = "petacc",
        hide = true
    )]
    organization: String,
    /// The second word of all names.
    #[arg(
        long,
        global = true,
        env = "ACC_SVC",
        default_value = "registration",
        hide = true
    )]
    service: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Declares the full topology.
    Configure(topology::Options),
    /// Deletes every exchange and queue, the store's included.
    Clear,
    /// Publishes one message for each line of standard input.
    Publish,
    /// Attaches the subscribers.
    Consume(consume::Options),
    /// Moves the messages of a queue to the retry exchange, without headers.
    Requeue(requeue::Options),
}

/// Runs one subcommand.
pub(crate) async fn run(arguments: Arguments, stop: Stop) -> Result<ExitCode> {
    let transport = tokio::select! {
        opened = arguments.open() => opened?, // Cancel-safe: an unfinished opening has done nothing.
        () = stop.requested() => return arguments.nothing_done(), // Cancel-safe: it only looks at a flag.
    };
    let done = arguments.act(Arc::clone(&transport), &stop).await;
    let closed = transport.close(Deadline::after(GRACE)).await;
    let code = done?;
    closed?;
    Ok(code)
}

impl Arguments {
    async fn act(&self, transport: Arc<dyn Transport>, stop: &Stop) -> Result<ExitCode> {
        match &self.action {
            Action::Configure(options) => {
                let domain = options.domain(self.domain())?;
                let subscribers = self.subscribers()?;
                topology::configure(&*transport, &domain, subscribers.as_ref()).await
            }
            Action::Clear => {
                let (domain, subscribers) = (self.domain().build()?, self.subscribers()?);
                topology::clear(&*transport, &domain, subscribers.as_ref()).await
            }
            Action::Publish => publish::run(&*transport, self.domain().build()?, stop).await,
            Action::Consume(options) => {
                let Some(subscribers) = self.subscribers()? else {
                    bail!("name the subscribers to attach: --subscribers FILE");
                };
                let domain = self.domain().max_retries(options.max_retries).build()?;
                consume::run(transport, domain, &subscribers, options, stop).await
            }
            Action::Requeue(options) => {
                requeue::run(&*transport, &self.domain().build()?, options, stop).await
            }
        }
    }

    /// What is printed if the end comes before anything could begin.
    fn nothing_done(&self) -> Result<ExitCode> {
        match &self.action {
            Action::Consume(options) => consume::nothing_seen(options),
            Action::Requeue(_) => requeue::say(0),
            Action::Configure(_) | Action::Clear | Action::Publish => Ok(ExitCode::SUCCESS),
        }
    }

    fn domain(&self) -> DomainBuilder {
        Domain::builder(&self.organization, &self.service)
    }

    fn subscribers(&self) -> Result<Option<SubscriberFile>> {
        self.subscribers
            .as_deref()
            .map(SubscriberFile::load)
            .transpose()
    }

    async fn open(&self) -> tidings::Result<Arc<dyn Transport>> {
        let Some(url) = &self.transport else {
            let config = RabbitMqConfig::from_env()?.with_name("tidings-interop");
            return Ok(Arc::new(RabbitMq::open(config).await?));
        };
        tidings::open(url).await
    }
}

/// Seconds on the command line: not negative, not endless.
fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().context("expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).context("expected a number of seconds, 0 or more")
}
