//! Runs each case in a child process of its own, so that the time of the CPU that is counted is that of the case.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{
    case::{Case, Contender, Outcome},
    petisco, raw_amqprs, raw_lapin, service, stage, transport,
};

/// The argument by which this program knows that it is a child.
pub const CHILD: &str = "child";

/// The slowest contender that gets many messages takes a tenth of this for each.
const PER_MESSAGE: Duration = Duration::from_millis(2);
const AT_LEAST: Duration = Duration::from_secs(60);

/// Runs a case in a child, which finds the broker where we did.
pub fn run(case: Case) -> Result<Outcome> {
    let program: PathBuf = env::current_exe()?;
    let Case {
        contender,
        work,
        kind,
        messages,
    } = case;
    let mut child = Command::new(program);
    child
        .arg(CHILD)
        .args([contender.to_string(), work.to_string()]);
    child.args([kind.to_string(), messages.to_string()]);
    let output = child.stdin(Stdio::null()).output();
    let output = output.context("cannot start a child")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{contender}, {work}, {kind}: {}", said.trim());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{contender} did not answer with an outcome"))
}

/// In the child: prepares the queue, runs the case, looks at what it has left.
pub fn serve(url: &str, case: Case) -> Result<Outcome> {
    if case.contender == Contender::Petisco {
        return petisco::run(url, case);
    }
    let messages = u32::try_from(case.messages)?;
    let limit = AT_LEAST + PER_MESSAGE * messages;
    runtime(case.contender)?.block_on(async {
        let ran = timeout(limit, act(url, case)).await;
        ran.with_context(|| format!("took longer than {} s", limit.as_secs()))?
    })
}

async fn act(url: &str, case: Case) -> Result<Outcome> {
    if case.contender == Contender::Service {
        // It makes its own queue, and says what is in it.
        return service::run(url, case).await;
    }
    stage::prepare(url, case).await?;
    let outcome = match case.contender {
        Contender::Amqprs => raw_amqprs::run(url, case).await?,
        Contender::Transport => transport::run(url, case).await?,
        _ => raw_lapin::run(url, case).await?,
    };
    stage::finish(url, case, &stage::queue(case.kind)).await?;
    Ok(outcome)
}

/// What suits each best.
fn runtime(contender: Contender) -> Result<Runtime> {
    let mut builder = match contender {
        Contender::Lapin | Contender::Transport => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder.enable_all().build()?)
}
