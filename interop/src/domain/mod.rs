//! The role `domain`: a service of domain messages, driven from the command line.

mod consume;
mod plan;
mod publish;
mod subscribers;

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings::{Deadline, Domain, convention::Convention, domain, redrive, transport::Transport};

use self::subscribers::SubscriberFile;

/// The arguments of `tidings-interop domain`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The broker, for example `embedded:/var/lib/shop.db`; without it, the broker of the `RABBITMQ_…` variables.
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
    Configure {
        /// How long failed messages wait, in milliseconds; 0 for ever.
        #[arg(long, default_value_t = 5000)]
        retry_ttl: u64,
        /// How long messages wait for a consumer, in milliseconds; 0 for ever.
        #[arg(long, default_value_t = 5000)]
        main_ttl: u64,
        /// Keeps no copy of every message.
        #[arg(long)]
        no_store: bool,
    },
    /// Deletes every exchange and queue, the store's included.
    Clear,
    /// Publishes one message for each line of standard input.
    Publish,
    /// Attaches the subscribers.
    Consume(consume::Options),
    /// Moves the messages of a queue to the retry exchange, without headers.
    Requeue {
        /// The queue to drain.
        #[arg(long)]
        queue: String,
        /// The routing key to publish with.
        #[arg(long)]
        retry_routing_key: String,
        /// The exchange to publish to; by default the service's retry exchange.
        #[arg(long)]
        retry_exchange: Option<String>,
    },
}

/// Runs one subcommand.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let url = arguments.transport.clone().unwrap_or_else(rabbitmq_url);
    let transport = tidings::open(&url).await?;
    let code = act(&arguments, Arc::clone(&transport)).await?;
    transport
        .close(Deadline::after(Duration::from_secs(10)))
        .await?;
    Ok(code)
}

async fn act(arguments: &Arguments, transport: Arc<dyn Transport>) -> Result<ExitCode> {
    let domain = Domain::builder(&arguments.organization, &arguments.service);
    match &arguments.action {
        Action::Configure {
            retry_ttl,
            main_ttl,
            no_store,
        } => {
            let domain = domain
                .retry_ttl(Duration::from_millis(*retry_ttl))
                .main_ttl(Duration::from_millis(*main_ttl));
            let domain = if *no_store {
                domain.without_store()
            } else {
                domain
            };
            configure(&*transport, &domain.build()?, &arguments.load()?).await
        }
        Action::Clear => {
            let domain = domain.build()?;
            let attachments = arguments.load()?.attachments(&domain)?;
            transport.delete(&domain.clear(&attachments)).await?;
            say("ok")
        }
        Action::Publish => publish::run(&*transport, domain.build()?).await,
        Action::Consume(options) => {
            let domain = domain.max_retries(options.max_retries).build()?;
            consume::run(transport, domain, arguments.load()?, options).await
        }
        Action::Requeue {
            queue,
            retry_routing_key,
            retry_exchange,
        } => {
            let default = format!("retry.{}.{}", arguments.organization, arguments.service);
            let exchange = retry_exchange.as_deref().unwrap_or(&default);
            let again = |call: &_| Some(domain::requeue(call, exchange, retry_routing_key));
            let redriven = redrive(&*transport, queue.as_str(), again).await?;
            say_json(&json!({ "requeued": redriven.moved }))
        }
    }
}

async fn configure(
    transport: &dyn Transport,
    domain: &Domain,
    subscribers: &SubscriberFile,
) -> Result<ExitCode> {
    let mut topology = domain.topology();
    for attachment in subscribers.attachments(domain)? {
        topology.merge(attachment.topology);
    }
    transport.declare(&topology).await?;
    say("ok")
}

impl Arguments {
    fn load(&self) -> Result<SubscriberFile> {
        let path = self
            .subscribers
            .as_ref()
            .context("name the subscribers: --subscribers FILE")?;
        SubscriberFile::load(path)
    }
}

fn rabbitmq_url() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the broker's variables are read here and nowhere else"
    )]
    let get =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (user, password) = (
        get("RABBITMQ_USER", "guest"),
        get("RABBITMQ_PASSWORD", "guest"),
    );
    let (host, port) = (
        get("RABBITMQ_HOST", "localhost"),
        get("RABBITMQ_PORT", "5672"),
    );
    format!("amqp://{user}:{password}@{host}:{port}/")
}

/// One line of standard output.
fn say(line: &str) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// One JSON line of standard output.
fn say_json(value: &Value) -> Result<ExitCode> {
    say(&value.to_string())
}
