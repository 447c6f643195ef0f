//! Declares what is not expected to be refused: everything at once, on a few channels.

use std::{collections::HashMap, sync::Arc};

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
use crate::{
    connection::Generation,
    error::{self, Act},
    notation,
};

/// How many frames are under way at a time; a bound for the memory that they take.
const AT_ONCE: usize = 512;
/// How many channels declare at the same time. The broker does one thing after the other for each, and most of the time
/// waits for its own database.
const LANES: usize = 4;
/// For fewer queues than this more lanes are not worth their channels.
const FEW: usize = 16;

/// Declares exchanges, then queues with their bindings. If one is refused and `is_new` says that the others did not exist
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
    let mut created = Vec::new();
    let mut result = Ok(());
    for lanes in lanes(forms, bindings, generation.spare_channels().min(LANES)) {
        let done = join_all(lanes.iter().map(|lane| lane.run(generation))).await;
        for (lane, done) in done {
            created.extend(lane);
            result = result.and(done);
        }
        if result.is_err() {
            break;
        }
    }
    if is_new && result.is_err() {
        undo(generation, &created).await;
    }
    result
}

/// What one channel declares, in this order.
#[derive(Default)]
struct Lane<'a> {
    forms: Vec<&'a Form>,
    bindings: Vec<&'a Binding>,
}

/// The exchanges first, because bindings on any lane may need them; then the queues, each with its bindings.
fn lanes<'a>(forms: &[&'a Form], bindings: &'a [Binding], most: usize) -> [Vec<Lane<'a>>; 2] {
    let (exchanges, queues): (Vec<&Form>, Vec<&Form>) =
        forms.iter().copied().partition(|form| form.kind.is_some());
    let count = if queues.len().max(bindings.len()) < FEW {
        1
    } else {
        most
    };
    let mut lanes: Vec<_> = (0..count).map(|_| Lane::default()).collect();
    let mut lane_of = HashMap::new();
    for (index, form) in queues.into_iter().enumerate() {
        lane_of.insert(form.name.as_str(), index % count);
        lanes[index % count].forms.push(form);
    }
    for (index, binding) in bindings.iter().enumerate() {
        let lane = lane_of
            .get(&*binding.queue)
            .copied()
            .unwrap_or(index % count);
        lanes[lane].bindings.push(binding);
    }
    let first = Lane {
        forms: exchanges,
        bindings: Vec::new(),
    };
    [vec![first], lanes]
}

impl<'a> Lane<'a> {
    /// Declares all of it; returns what was declared before something was refused.
    async fn run(&self, generation: &Generation) -> (Vec<&'a Form>, Result<()>) {
        let mut created = Vec::new();
        if self.forms.is_empty() && self.bindings.is_empty() {
            return (created, Ok(()));
        }
        let channel = match generation.channel().await {
            Ok(channel) => channel,
            Err(failed) => return (created, Err(failed)),
        };
        let mut done = self.declare(&channel, &mut created).await;
        if done.is_ok() {
            done = self.bind(&channel).await;
        }
        let done = done.map_err(|(failed, thing)| {
            generation.suspect(&failed);
            let doing = match &thing {
                Thing::Binding { .. } => format!("cannot create {thing}"),
                _ => format!("cannot declare {thing}"),
            };
            error::of_act(&failed, Act::Make(&thing), &doing)
        });
        if done.is_ok() {
            close(&channel).await;
        }
        (created, done)
    }

    async fn declare(&self, channel: &Channel, created: &mut Vec<&'a Form>) -> Result<(), Failed> {
        for chunk in self.forms.chunks(AT_ONCE) {
            let answers = join_all(chunk.iter().map(|form| form.declare(channel))).await;
            for (form, answer) in chunk.iter().zip(answers) {
                answer.map_err(|failed| (failed, form.thing.clone()))?;
                created.push(form);
            }
        }
        Ok(())
    }

    async fn bind(&self, channel: &Channel) -> Result<(), Failed> {
        for chunk in self.bindings.chunks(AT_ONCE) {
            let answers = join_all(chunk.iter().map(|binding| bind_one(channel, binding))).await;
            for (binding, answer) in chunk.iter().zip(answers) {
                answer.map_err(|failed| (failed, Thing::from(*binding)))?;
            }
        }
        Ok(())
    }
}

/// What the broker said, and of what.
type Failed = (lapin::Error, Thing);

/// Closes a channel that has done its work. One that cannot be closed is closed.
pub(super) async fn close(channel: &Channel) {
    let _closed = channel.close(200, "done".into()).await.is_ok();
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
        let doing = format!("cannot delete {what} `{name}`");
        error::of_act(&failed, Act::Delete, &doing)
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
    close(&channel).await;
    Ok(())
}
