//! From the file back to a broker.
//!
//! After a clean end exactly the messages that somebody had come back as redelivered. After a crash nobody
//! knows who had what, so everything in a queue that had consumers does: a message that is not marked has
//! certainly not been delivered.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use rusqlite::{Params, Row};
use tidings_core::{
    Address, Error, ErrorKind, Headers, Result,
    clock::Clock,
    topology::{self, DeadLetter, ExchangeKind},
};

use super::{
    failure::{damaged, failed},
    schema,
    store::{Store, silent_since},
};
use crate::{
    broker::{
        ProducerId,
        entry::Entry,
        producers::Producer,
        queue::{Queue, QueueId},
        state::State,
    },
    envelope,
};

/// Rebuilds the state that the file describes.
///
/// # Errors
/// `Corrupt` that names the file and what in it makes no sense. Nothing is skipped in silence.
pub(super) fn recover(store: &mut Store) -> Result<State> {
    let mut state = State::new(Clock::SYSTEM);
    let producers = read_all(store, schema::ALL_PRODUCERS, [silent_since()], producer)?;
    for (id, producer) in producers {
        store.producers.insert(id, producer.clone());
        state.producers.recover(id, producer);
    }
    for (name, kind) in read_all(store, schema::ALL_EXCHANGES, [], exchange)? {
        state.exchanges.add(name, kind);
    }
    for (id, settings, attended) in read_all(store, schema::ALL_QUEUES, [], queue)? {
        state.last_id = state.last_id.max(id.0);
        state.exchanges.add_queue(Arc::clone(&settings.name), id);
        let mut queue = Queue::new(settings, None, true);
        queue.attended = attended;
        state.queues.insert(id, queue);
    }
    for (exchange, queue, pattern) in read_all(store, schema::ALL_BINDINGS, [], binding)? {
        state.exchanges.bind(&exchange, &pattern, queue);
    }
    restore_messages(store, &mut state)?;
    Ok(state)
}

fn read_all<T>(
    store: &Store,
    sql: &str,
    parameters: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let rows = || -> rusqlite::Result<Vec<T>> {
        store
            .connection
            .prepare(sql)?
            .query_map(parameters, read)?
            .collect()
    };
    rows().map_err(|error| failed(&store.path, "read", error))
}

fn producer(row: &Row<'_>) -> rusqlite::Result<(ProducerId, Producer)> {
    let id = u128::from_le_bytes(row.get(0)?);
    let last = row.get::<_, i64>(1)?.cast_unsigned();
    let bytes: Vec<u8> = row.get(2)?;
    let (refused, _) = bytes.as_chunks();
    let refused: BTreeSet<_> = refused
        .iter()
        .map(|number| u64::from_le_bytes(*number))
        .collect();
    Ok((ProducerId(id), Producer::recovered(last, refused)))
}

fn exchange(row: &Row<'_>) -> rusqlite::Result<(Arc<str>, ExchangeKind)> {
    let kind: String = row.get(1)?;
    let kind = match &*kind {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "topic" => ExchangeKind::Topic,
        _ => return Err(nonsense(1, format!("an exchange of kind `{kind}`"))),
    };
    Ok((row.get(0)?, kind))
}

fn queue(row: &Row<'_>) -> rusqlite::Result<(QueueId, topology::Queue, bool)> {
    let ttl: Option<u32> = row.get(2)?;
    let exchange: Option<Arc<str>> = row.get(3)?;
    let key: Option<Arc<str>> = row.get(4)?;
    let settings = topology::Queue {
        name: row.get(1)?,
        message_ttl: ttl.map(|ttl| Duration::from_millis(ttl.into())),
        dead_letter: exchange.map(|exchange| DeadLetter { exchange, key }),
        exclusive: false,
        durable: true,
        arguments: arguments(row.get(5)?)?,
    };
    Ok((
        QueueId(row.get::<_, i64>(0)?.cast_unsigned()),
        settings,
        row.get(6)?,
    ))
}

fn arguments(bytes: Vec<u8>) -> rusqlite::Result<Headers> {
    let call = envelope::decode(&bytes.into()).map_err(|error| nonsense(5, error))?;
    Ok(call.envelope.headers.clone())
}

fn binding(row: &Row<'_>) -> rusqlite::Result<(Arc<str>, QueueId, Arc<str>)> {
    Ok((
        row.get(0)?,
        QueueId(row.get::<_, i64>(1)?.cast_unsigned()),
        row.get(2)?,
    ))
}

fn nonsense(
    column: usize,
    what: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, what.into())
}

fn restore_messages(store: &Store, state: &mut State) -> Result<()> {
    let read_error = |error| failed(&store.path, "read", error);
    let mut statement = store
        .connection
        .prepare(schema::ALL_MESSAGES)
        .map_err(read_error)?;
    let mut rows = statement.query([]).map_err(read_error)?;
    let mut address = Address::queue("");
    while let Some(row) = rows.next().map_err(read_error)? {
        let (queue, visible_at) = place(row).map_err(read_error)?;
        let entry = message(row, &mut address)
            .map_err(read_error)?
            .map_err(|(id, error)| {
                let queue = state.queues.get(&queue).map(|queue| &*queue.settings.name);
                let whose = format!("message {id} in queue `{}`", queue.unwrap_or("?"));
                damaged(&store.path, &whose).with_source(error)
            })?;
        state
            .restore(queue, entry, visible_at)
            .map_err(|how| damaged(&store.path, &how))?;
    }
    Ok(())
}

/// Which queue, and when a message may be delivered.
fn place(row: &Row<'_>) -> rusqlite::Result<(QueueId, Option<i64>)> {
    Ok((QueueId(row.get::<_, i64>(1)?.cast_unsigned()), row.get(3)?))
}

/// The outer result is SQLite's; the inner error is about a message that is not as it was written.
fn message(row: &Row<'_>, last: &mut Address) -> rusqlite::Result<Result<Entry, (i64, Error)>> {
    let (id, expires_at) = (row.get(0)?, row.get(2)?);
    let head: Vec<u8> = row.get(6)?;
    let body: Vec<u8> = row.get(7)?;
    if schema::checksum(id, row.get(1)?, expires_at, &head, &body) != row.get::<_, u32>(5)? {
        let error = Error::new(ErrorKind::Corrupt, "its checksum is wrong");
        return Ok(Err((id, error)));
    }
    let mut call = match envelope::decode(&head.into()) {
        Ok(call) => call,
        Err(error) => return Ok(Err((id, error))),
    };
    // Neighbours usually went to the same address: share it.
    if *last == call.address {
        call.address = last.clone();
    } else {
        *last = call.address.clone();
    }
    call.envelope.payload.bytes = Bytes::from(body);
    Ok(Ok(Entry {
        id: id.cast_unsigned(),
        message: call.into_message(),
        expires_at,
        history: None,
        stored: true,
        redelivered: row.get(4)?,
        immediate: false,
    }))
}

impl State {
    /// Puts a message back into its queue. What is due is seen to once the broker runs and can write.
    fn restore(
        &mut self,
        id: QueueId,
        mut entry: Entry,
        visible_at: Option<i64>,
    ) -> Result<(), String> {
        self.last_id = self.last_id.max(entry.id);
        let Some(queue) = self.queues.get_mut(&id) else {
            return Err(format!(
                "message {} belongs to queue {}, which does not exist",
                entry.id, id.0
            ));
        };
        entry.redelivered |= queue.attended;
        let hidden = visible_at.filter(|at| *at > self.clock.now_millis());
        if let Some(at) = [hidden, entry.expires_at].into_iter().flatten().min() {
            self.timers.add(at, id, entry.id);
        }
        match hidden {
            Some(until) => _ = queue.delayed.insert(entry.id, (until, entry)),
            None => queue.ready.insert(entry),
        }
        Ok(())
    }
}
