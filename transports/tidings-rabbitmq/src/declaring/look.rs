//! What exists, and how it differs from what is wanted.
//!
//! AMQP has no question for that. A passive declaration of what is missing closes its channel; an active one of what
//! exists with other settings closes its channel and names one of them. So there are several channels, and a
//! setting that was named is taken over and the question asked again, until there is nothing left to name.
//!
//! Both declarations are sent at once: of a channel that closes on the first, the broker ignores the second, so nothing
//! is created. (Unless somebody deletes the thing between the two, which is a matter of microseconds.)

use std::sync::Arc;

use futures_util::future::{join, join_all, try_join_all};
use lapin::Channel;
use tidings_core::{
    Error, Result,
    topology::{Difference, Thing},
    transport::QueueStatus,
};

use super::{
    create,
    form::{self, Form},
    refusal::{Current, Refusal},
    words,
};
use crate::{
    config::RabbitMqConfig,
    connection::{Generation, Probe},
    error::{self, Act},
};

/// How many channels ask at the same time.
const CHANNELS: usize = 16;

/// What was found of one thing.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// It exists as wanted. The form has everything as it is.
    Same(Box<Form>),
    /// It exists with other settings.
    Differs(Vec<Difference>),
    /// It belongs exclusively to another connection.
    Locked,
}

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Whether it exists.
    Name,
    /// Whether it exists with these settings.
    Settings,
}

/// Looks at all of them, and answers in their order.
///
/// # Errors
/// [`Denied`](tidings_core::ErrorKind::Denied) without the permission, [`Unavailable`](tidings_core::ErrorKind::Unavailable) if the connection ends.
pub(super) async fn look(
    generation: &Generation,
    config: &Arc<RabbitMqConfig>,
    forms: &[Form],
    depth: Depth,
) -> Result<Vec<Found>> {
    let probe = Probe::new(Arc::clone(config));
    let source = Source::Probe(&probe);
    let lookers = generation.spare_channels().min(CHANNELS).min(forms.len());
    let one = async |first: usize| {
        let mut looker = Looker::over(source);
        let mut found = Vec::new();
        for form in forms.iter().skip(first).step_by(lookers) {
            found.push(looker.look(form, depth).await?);
        }
        looker.done().await;
        Ok::<_, Error>(found.into_iter())
    };
    let mut found = try_join_all((0..lookers).map(one)).await?;
    let in_order = (0..forms.len()).filter_map(|index| found.get_mut(index % lookers)?.next());
    let mut found: Vec<_> = in_order.collect();
    probe.close().await;
    // What belongs to another connection may belong to ours.
    let mut own = Looker::over(Source::Own(generation));
    for (form, found) in forms.iter().zip(&mut found) {
        if matches!(found, Found::Locked) {
            *found = own.look(form, depth).await?;
        }
    }
    own.done().await;
    Ok(found)
}

/// On which connection is looked.
#[derive(Clone, Copy)]
enum Source<'a> {
    Probe(&'a Probe),
    Own(&'a Generation),
}

/// The state of queues, in their order.
///
/// They are looked at over a connection of its own, since a queue that is missing costs a channel; those that belong to
/// ours exclusively are asked for there.
///
/// # Errors
/// [`NotFound`](tidings_core::ErrorKind::NotFound) and [`Denied`](tidings_core::ErrorKind::Denied) that name the queue.
pub(super) async fn status(
    generation: &Generation,
    probe: &Probe,
    named: &[Arc<str>],
) -> Result<Vec<QueueStatus>> {
    let mut found = Vec::new();
    while let Some(left) = named.get(found.len()..).filter(|left| !left.is_empty()) {
        let channel = probe.channel().await?;
        // After one that fails the channel is closed, and the answers that come after it say no more than that.
        let answers = join_all(left.iter().map(|name| status_of(name, &channel))).await;
        for (name, answer) in left.iter().zip(answers) {
            match answer? {
                Ok(status) => found.push(status),
                Err(failed) if error::code(&failed) == Some(error::RESOURCE_LOCKED) => {
                    found.push(own_status(name, generation).await?);
                    break;
                }
                Err(failed) => return Err(unseen(name, &failed)),
            }
        }
        create::close(&channel).await;
    }
    Ok(found)
}

/// The state of a queue that is perhaps ours.
async fn own_status(name: &Arc<str>, generation: &Generation) -> Result<QueueStatus> {
    let channel = generation.channel().await?;
    let status = status_of(name, &channel).await?.map_err(|failed| {
        generation.suspect(&failed);
        unseen(name, &failed)
    })?;
    create::close(&channel).await;
    Ok(status)
}

/// Asks on this channel; the broker may refuse to answer.
async fn status_of(name: &Arc<str>, channel: &Channel) -> Result<lapin::Result<QueueStatus>> {
    let form = Form::named(Thing::Queue(Arc::clone(name)), name, true)?;
    let looked = form.look(channel).await;
    Ok(looked.map(|(ready, consumers)| QueueStatus {
        name: Arc::clone(name),
        ready: ready.into(),
        unsettled: None,
        consumers,
        rates: None,
    }))
}

fn unseen(name: &Arc<str>, failed: &lapin::Error) -> Error {
    let thing = Thing::Queue(Arc::clone(name));
    match error::code(failed) {
        Some(error::NOT_FOUND) => error::no_queue(name),
        Some(error::RESOURCE_LOCKED) => error::exclusive(&thing),
        _ => error::of_channel(failed, &format!("cannot look at {thing}")),
    }
}

struct Looker<'a> {
    source: Source<'a>,
    channel: Option<Channel>,
}

impl<'a> Looker<'a> {
    fn over(source: Source<'a>) -> Self {
        Self {
            source,
            channel: None,
        }
    }

    async fn channel(&mut self) -> Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = match self.source {
            Source::Probe(probe) => probe.channel().await?,
            Source::Own(generation) => generation.channel().await?,
        };
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    async fn look(&mut self, form: &Form, depth: Depth) -> Result<Found> {
        let channel = self.channel().await?;
        let (seen, same) = match depth {
            Depth::Name => (form.look(&channel).await, Ok(())),
            Depth::Settings => join(form.look(&channel), form.declare(&channel)).await,
        };
        if let Err(failed) = seen {
            self.channel = None;
            return match error::code(&failed) {
                Some(error::NOT_FOUND) => Ok(Found::Missing),
                Some(error::RESOURCE_LOCKED) => Ok(Found::Locked),
                _ => Err(self.failed(&failed, form)),
            };
        }
        match same {
            Ok(()) => Ok(Found::Same(Box::new(form.clone()))),
            Err(refused) => self.differences(form, refused).await,
        }
    }

    /// Asks until the broker has named every setting.
    async fn differences(&mut self, wanted: &Form, refused: lapin::Error) -> Result<Found> {
        let (mut kept, mut asked, mut refused) = (wanted.clone(), wanted.clone(), refused);
        let mut differences = Vec::new();
        loop {
            self.channel = None;
            let Some(refusal) = refusal(&refused, &asked) else {
                return Err(self.failed(&refused, wanted));
            };
            let setting = refusal.setting.as_str();
            if wanted.implied == Some(setting) {
                kept.adopt(setting, refusal.current.value());
            } else {
                differences.push(difference(wanted, &refusal));
            }
            let is_known = !matches!(refusal.current, Current::CutOff(_));
            if !is_known || !asked.adopt(setting, refusal.current.value()) {
                break;
            }
            let channel = self.channel().await?;
            match asked.declare(&channel).await {
                Ok(()) => break,
                Err(again) => refused = again,
            }
        }
        Ok(if differences.is_empty() {
            Found::Same(Box::new(kept))
        } else {
            Found::Differs(differences)
        })
    }

    fn failed(&self, failed: &lapin::Error, form: &Form) -> Error {
        if let Source::Own(generation) = self.source {
            generation.suspect(failed);
        }
        let doing = match error::code(failed) {
            // Looking needs no permission: it is the declaration after it that was refused.
            Some(error::ACCESS_REFUSED) => format!("cannot declare {}", form.thing),
            _ => format!("cannot look at {}", form.thing),
        };
        error::of_act(failed, Act::Make(&form.thing), &doing)
    }

    async fn done(self) {
        if let Some(channel) = self.channel {
            create::close(&channel).await;
        }
    }
}

/// The setting that is not as it was asked for.
fn refusal(refused: &lapin::Error, asked: &Form) -> Option<Refusal> {
    match error::code(refused)? {
        error::PRECONDITION_FAILED => Refusal::read(&error::said(refused)),
        // It could be looked at, so it is not somebody else's: it is shared and not exclusive, or the reverse.
        error::RESOURCE_LOCKED => Some(Refusal {
            setting: form::EXCLUSIVE.to_owned(),
            current: Current::Value(lapin::types::AMQPValue::Boolean(!asked.exclusive)),
        }),
        _ => None,
    }
}

fn difference(wanted: &Form, refusal: &Refusal) -> Difference {
    let setting = refusal.setting.as_str();
    let has = match &refusal.current {
        Current::CutOff(start) => format!("`{start}…` (the broker's text ends here)"),
        known => words::value(setting, known.value().as_ref()),
    };
    Difference::Differs {
        thing: wanted.thing.clone(),
        setting: words::setting(setting),
        has,
        wants: words::value(setting, wanted.get(setting).as_ref()),
    }
}
