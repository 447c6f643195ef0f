//! Declares what is not expected to be refused: everything at once on one channel, in order.

use std::sync::Arc;

use futures_util::future::join_all;
use lapin::{
    Channel,
    options::{ExchangeDeleteOptions, QueueBindOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tidings_core::{
    Error, Result,
    topology::{Binding, Thing},
};

use super::form::Form;
use crate::{connection::Generation, error, notation};

/// How many frames are under way at a time; a bound for the memory that they take.
const AT_ONCE: usize = 512;

/// Declares exchanges and queues, then bindings. If one is refused and `is_new` says that the others did not exist
/// before, those that were created are deleted again.
///
/// # Errors
/// What the broker says about the first that it refused.
pub(super) async fn create(
    generation: &Generation,
    forms: &[&Form],
    bindings: &[Binding],
    is_new: bool,
) -> Result<()> {
    let channel = generation.channel().await?;
    let mut created = Vec::new();
    let failed = match declare(&channel, forms, &mut created).await {
        Ok(()) => match bind(&channel, bindings).await {
            Ok(()) => {
                // A channel that cannot be closed is closed.
                let _closed = channel.close(200, "done".into()).await.is_ok();
                return Ok(());
            }
            Err(failed) => failed,
        },
        Err(failed) => failed,
    };
    let (failed, what) = failed;
    generation.suspect(&failed);
    if is_new {
        undo(generation, &created).await;
    }
    Err(error::of_channel(&failed, &what))
}

type Failed = (lapin::Error, String);

async fn declare<'a>(
    channel: &Channel,
    forms: &[&'a Form],
    created: &mut Vec<&'a Form>,
) -> Result<(), Failed> {
    for chunk in forms.chunks(AT_ONCE) {
        let answers = join_all(chunk.iter().map(|form| form.declare(channel))).await;
        for (form, answer) in chunk.iter().zip(answers) {
            match answer {
                Ok(()) => created.push(form),
                Err(failed) => return Err((failed, format!("cannot declare {}", form.thing))),
            }
        }
    }
    Ok(())
}

async fn bind(channel: &Channel, bindings: &[Binding]) -> Result<(), Failed> {
    for chunk in bindings.chunks(AT_ONCE) {
        let answers = join_all(chunk.iter().map(|binding| bind_one(channel, binding))).await;
        for (binding, answer) in chunk.iter().zip(answers) {
            answer.map_err(|failed| (failed, format!("cannot create {}", Thing::from(binding))))?;
        }
    }
    Ok(())
}

/// Creates one binding. Lengths are checked by `Topology::validate`.
pub(super) async fn bind_one(channel: &Channel, binding: &Binding) -> lapin::Result<()> {
    let [queue, exchange, pattern] =
        [&binding.queue, &binding.exchange, &binding.pattern].map(|name| (&**name).into());
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue, exchange, pattern, options, FieldTable::default())
        .await
}

/// A refused topology leaves nothing behind: only what we created, and only while nobody uses it.
async fn undo(generation: &Generation, created: &[&Form]) {
    for form in created.iter().rev() {
        let undone = async {
            let channel = generation.channel().await?;
            let deleted = match form.kind {
                Some(_) => {
                    channel
                        .exchange_delete(
                            form.name.clone(),
                            ExchangeDeleteOptions {
                                if_unused: true,
                                ..ExchangeDeleteOptions::default()
                            },
                        )
                        .await
                }
                None => {
                    let options = QueueDeleteOptions {
                        if_unused: true,
                        if_empty: true,
                        ..QueueDeleteOptions::default()
                    };
                    channel
                        .queue_delete(form.name.clone(), options)
                        .await
                        .map(|_| ())
                }
            };
            deleted.map_err(|failed| error::of_channel(&failed, "cannot delete it again"))
        };
        if let Err(failed) = undone.await {
            tracing::warn!(thing = %form.thing, error = %failed.chain(), "what a refused topology created stays");
        }
    }
}

/// Deletes everything with these names. What does not exist is no error.
pub(super) async fn delete(
    generation: &Generation,
    queues: &[Arc<str>],
    exchanges: &[Arc<str>],
) -> Result<()> {
    let channel = generation.channel().await?;
    let failed = |failed: lapin::Error, what: &str, name: &str| {
        generation.suspect(&failed);
        error::of_channel(&failed, &format!("cannot delete {what} `{name}`"))
    };
    for chunk in queues.chunks(AT_ONCE) {
        let options = QueueDeleteOptions::default();
        let answers = join_all(chunk.iter().map(async |name| {
            channel
                .queue_delete(notation::short(name, "the queue")?, options)
                .await
                .map_err(|error| failed(error, "queue", name))
        }))
        .await;
        answers.into_iter().collect::<Result<Vec<_>, Error>>()?;
    }
    for chunk in exchanges.chunks(AT_ONCE) {
        let options = ExchangeDeleteOptions::default();
        let answers = join_all(chunk.iter().map(async |name| {
            channel
                .exchange_delete(notation::short(name, "the exchange")?, options)
                .await
                .map_err(|error| failed(error, "exchange", name))
        }))
        .await;
        answers.into_iter().collect::<Result<Vec<_>, Error>>()?;
    }
    let _closed = channel.close(200, "done".into()).await.is_ok();
    Ok(())
}
