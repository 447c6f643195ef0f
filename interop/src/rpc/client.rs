//! The role `rpc-client`: one call, as the deployed client makes it, and the answer as it came.

use std::{
    io::{Write, stdout},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tidings::{
    Deadline, ErrorKind,
    rabbitmq::{RabbitMq, RabbitMqConfig},
    rpc::{Client, Rpc},
    transport::Transport,
};

use crate::stop::Stop;

/// How the program ends if there is no answer in time.
const NO_ANSWER: u8 = 3;
/// How long what is under way may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Calls once.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, env = "RABBITMQ_HOST", default_value = "localhost")]
    host: String,
    #[arg(long, env = "RABBITMQ_PORT", default_value_t = 5672)]
    port: u16,
    #[arg(long, env = "RABBITMQ_USER", default_value = "guest")]
    user: String,
    #[arg(
        long,
        env = "RABBITMQ_PASSWORD",
        default_value = "guest",
        hide_env_values = true
    )]
    password: String,
    #[arg(long, default_value = "/")]
    vhost: String,
    /// The queue of whoever is asked
    #[arg(long)]
    queue: String,
    /// What is asked for
    #[arg(long)]
    exchange: String,
    /// The request, as JSON
    #[arg(long)]
    body: String,
    /// How many seconds an answer may take
    #[arg(long, default_value_t = 300.0)]
    timeout: f64,
}

/// Calls, and prints the answer.
pub(crate) async fn run(arguments: Arguments, stop: Stop) -> Result<ExitCode> {
    tokio::select! {
        called = call(arguments) => called, // Cancel-safe: a dropped call leaves nothing behind.
        () = stop.requested() => bail!("asked to end before there was an answer"), // Cancel-safe: it only looks at a flag.
    }
}

async fn call(arguments: Arguments) -> Result<ExitCode> {
    let timeout = Duration::try_from_secs_f64(arguments.timeout)
        .context("`--timeout` is no number of seconds")?;
    let mut config = RabbitMqConfig::default();
    config.host = arguments.host;
    config.port = arguments.port;
    config.user = arguments.user;
    config.password = arguments.password.into();
    config.vhost = arguments.vhost;
    let transport: Arc<dyn Transport> = Arc::new(RabbitMq::open(config).await?);
    // As the deployed client: a request that nobody receives ends with the timeout.
    let client = Client::over(transport, Rpc::new(arguments.queue)?)
        .with_timeout(timeout)
        .unroutable_is_fine();
    let answer = client.call_raw(&arguments.exchange, arguments.body).await;
    let code = match answer {
        Ok(answer) => {
            let mut out = stdout().lock();
            out.write_all(&answer.bytes)
                .and_then(|()| out.flush())
                .context("cannot write to standard output")?;
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::Timeout => {
            tracing::warn!(%error, "no answer");
            ExitCode::from(NO_ANSWER)
        }
        Err(error) => return Err(error.into()),
    };
    // The answer is here: whatever goes wrong with the goodbye changes nothing about it.
    drop(client.close(Deadline::after(GRACE)).await);
    Ok(code)
}
