//! Topologies in the link's frames, and how one differs from what exists.

use bytes::BufMut;
use tidings_core::{
    Address, Envelope, Headers, Result,
    topology::{Binding, DeadLetter, Difference, Exchange, ExchangeKind, Queue, Thing, Topology},
};

use super::wire::{Reader, Write, corrupt, count, duration, put_duration};
use crate::envelope;

pub(super) fn put_topology(to: &mut Vec<u8>, topology: &Topology) -> Result<()> {
    to.put_list(&topology.exchanges, |to, exchange| {
        to.put_text(&exchange.name);
        to.put_u8(match exchange.kind {
            ExchangeKind::Direct => 0,
            ExchangeKind::Fanout => 1,
            // The newest kind last: an unknown one would be refused by the engine of this very process first.
            _ => 2,
        });
    });
    to.put_u32_le(count(topology.queues.len()));
    for queue in &topology.queues {
        put_queue(to, queue)?;
    }
    to.put_list(&topology.bindings, |to, binding| {
        to.put_text(&binding.exchange);
        to.put_text(&binding.queue);
        to.put_text(&binding.pattern);
    });
    Ok(())
}

pub(super) fn topology(from: &mut Reader) -> Result<Topology> {
    Ok(Topology {
        exchanges: from.list(5, exchange)?,
        queues: from.list(12, queue)?,
        bindings: from.list(12, |from| {
            Ok(Binding {
                exchange: from.text()?,
                queue: from.text()?,
                pattern: from.text()?,
            })
        })?,
    })
}

fn exchange(from: &mut Reader) -> Result<Exchange> {
    let name = from.text()?;
    let kind = match from.u8()? {
        0 => ExchangeKind::Direct,
        1 => ExchangeKind::Fanout,
        2 => ExchangeKind::Topic,
        other => return Err(corrupt(format_args!("{other} is no kind of exchange"))),
    };
    Ok(Exchange::new(name, kind))
}

fn put_queue(to: &mut Vec<u8>, queue: &Queue) -> Result<()> {
    to.put_text(&queue.name);
    to.put_option(queue.message_ttl, put_duration);
    to.put_option(queue.dead_letter.as_ref(), |to, dead_letter| {
        to.put_text(&dead_letter.exchange);
        to.put_option(dead_letter.key.as_deref(), |to, key| to.put_text(key));
    });
    to.put_bool(queue.exclusive);
    to.put_bool(queue.durable);
    put_headers(to, &queue.arguments)
}

fn queue(from: &mut Reader) -> Result<Queue> {
    Ok(Queue {
        name: from.text()?,
        message_ttl: from.option(duration)?,
        dead_letter: from.option(|from| {
            Ok(DeadLetter {
                exchange: from.text()?,
                key: from.option(Reader::text)?,
            })
        })?,
        exclusive: from.bool()?,
        durable: from.bool()?,
        arguments: headers(from)?,
    })
}

/// A table is written as the headers of a message without anything else: the notation exists once.
fn put_headers(to: &mut Vec<u8>, headers: &Headers) -> Result<()> {
    if headers.is_empty() {
        to.put_bytes_of(&[]);
        return Ok(());
    }
    let envelope = Envelope::default().with_headers(headers.clone());
    let mut table = Vec::new();
    envelope::encode_head(&Address::queue(""), &envelope, false, &mut table)?;
    to.put_bytes_of(&table);
    Ok(())
}

fn headers(from: &mut Reader) -> Result<Headers> {
    let table = from.bytes()?;
    if table.is_empty() {
        return Ok(Headers::new());
    }
    envelope::decode(&table).map(|call| call.envelope.headers.clone())
}

pub(super) fn put_difference(to: &mut Vec<u8>, difference: &Difference) {
    match difference {
        Difference::Differs {
            thing,
            setting,
            has,
            wants,
        } => {
            to.put_u8(1);
            put_thing(to, thing);
            to.put_text(setting);
            to.put_text(has);
            to.put_text(wants);
        }
        Difference::Unknown { thing, why } => {
            to.put_u8(2);
            put_thing(to, thing);
            to.put_text(why);
        }
        // `Missing`: the engine of this very process makes no other kind.
        other => {
            to.put_u8(0);
            put_thing(to, other.thing());
        }
    }
}

pub(super) fn difference(from: &mut Reader) -> Result<Difference> {
    Ok(match from.u8()? {
        0 => Difference::Missing(thing(from)?),
        1 => Difference::Differs {
            thing: thing(from)?,
            setting: from.text()?.to_string(),
            has: from.text()?.to_string(),
            wants: from.text()?.to_string(),
        },
        2 => Difference::Unknown {
            thing: thing(from)?,
            why: from.text()?.to_string(),
        },
        other => return Err(corrupt(format_args!("{other} is no difference"))),
    })
}

fn put_thing(to: &mut Vec<u8>, thing: &Thing) {
    match thing {
        Thing::Exchange(name) => {
            to.put_u8(0);
            to.put_text(name);
        }
        Thing::Queue(name) => {
            to.put_u8(1);
            to.put_text(name);
        }
        Thing::Binding {
            exchange,
            queue,
            pattern,
        } => {
            to.put_u8(2);
            to.put_text(exchange);
            to.put_text(queue);
            to.put_text(pattern);
        }
    }
}

fn thing(from: &mut Reader) -> Result<Thing> {
    Ok(match from.u8()? {
        0 => Thing::Exchange(from.text()?),
        1 => Thing::Queue(from.text()?),
        2 => Thing::Binding {
            exchange: from.text()?,
            queue: from.text()?,
            pattern: from.text()?,
        },
        other => {
            return Err(corrupt(format_args!(
                "{other} is nothing that can be declared"
            )));
        }
    })
}
