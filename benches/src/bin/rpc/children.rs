//! Runs each case in a child process of its own, so that the time of the CPU that is counted is that of the case.

use std::{
    env,
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
    ours, python, raw_amqprs, raw_lapin,
};

/// The argument by which this program knows that it is a child.
pub const CHILD: &str = "child";

/// The slowest contender that makes many calls takes a tenth of this for each.
const PER_CALL: Duration = Duration::from_millis(10);
const AT_LEAST: Duration = Duration::from_secs(60);

/// Runs a case in a child, which finds the broker where we did.
pub fn run(case: Case) -> Result<Outcome> {
    let (contender, work) = (case.contender, case.work);
    let mut child = Command::new(env::current_exe()?);
    child.arg(CHILD).args([
        contender.to_string(),
        work.to_string(),
        case.calls.to_string(),
    ]);
    let output = child.stdin(Stdio::null()).output();
    let output = output.context("cannot start a child")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{contender}, {work}: {}", said.trim());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{contender} did not answer with an outcome"))
}

/// In the child: runs the case.
pub fn serve(url: &str, case: Case) -> Result<Outcome> {
    if case.contender == Contender::Python {
        return python::run(url, case);
    }
    let limit = AT_LEAST + PER_CALL * u32::try_from(case.calls)?;
    runtime(case.contender)?.block_on(async {
        let ran = timeout(limit, act(url, case)).await;
        ran.with_context(|| format!("took longer than {} s", limit.as_secs()))?
    })
}

async fn act(url: &str, case: Case) -> Result<Outcome> {
    match case.contender {
        Contender::Amqprs => raw_amqprs::run(url, case).await,
        Contender::Ours => ours::run(url, case).await,
        _ => raw_lapin::run(url, case).await,
    }
}

/// What suits each best.
fn runtime(contender: Contender) -> Result<Runtime> {
    let mut builder = match contender {
        Contender::Amqprs => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    Ok(builder.enable_all().build()?)
}
