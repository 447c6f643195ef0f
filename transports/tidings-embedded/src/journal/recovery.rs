//! From the file back to a broker.
//!
//! After a clean end exactly the messages that somebody had come back as redelivered. After a crash nobody
//! knows who had what, so everything in a queue that had consumers does: a message that is not marked has
//! certainly not been delivered.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use rusqlite::Row;
use tidings_core::{
    Address, Error, Headers, Result,
    clock::Clock,
    topology::{self, DeadLetter, ExchangeKind},
};

use super::{
    schema,
    store::{Store, damaged, failed},
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

/// Producers that have been silent for a day will not ask again.
const PRODUCER_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Rebuilds the state that the file describes.
///
/// # Errors
/// `Corrupt` that names the file and what in it makes no sense. Nothing is skipped in silence.
pub(super) fn recover(store: &mut Store) -> Result<State> {
    let mut state = State::new(Clock::SYSTEM);
    let lifetime = i64::try_from(PRODUCER_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let pruned = store.prune_producers(Clock::SYSTEM.now_millis().saturating_sub(lifetime));
    pruned.map_err(|error| failed(&store.path, "prune", error))?;
    let producers = read_all(store, schema::ALL_PRODUCERS, producer)?;
    for (id, producer) in producers {
        store.producers.insert(id, producer.clone());
        state.producers.recover(id, producer);
    }
    for (name, kind) in read_all(store, schema::ALL_EXCHANGES, exchange)? {
        state.exchanges.add(name, kind);
    }
    for (id, settings, attended) in read_all(store, schema::ALL_QUEUES, queue)? {
        state.last_id = state.last_id.max(id.0);
        state.exchanges.add_queue(Arc::clone(&settings.name), id);
        let mut queue = Queue::new(settings, None, true);
        queue.attended = attended;
        state.queues.insert(id, queue);
    }
    for (exchange, queue, pattern) in read_all(store, schema::ALL_BINDINGS, binding)? {
        state.exchanges.bind(&exchange, &pattern, queue);
    }
    restore_messages(store, &mut state)?;
    Ok(state)
}

fn read_all<T>(
    store: &Store,
    sql: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let rows = || -> rusqlite::Result<Vec<T>> {
        store
            .connection
            .prepare(sql)?
            .query_map([], read)?
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
        let read = || -> rusqlite::Result<_> {
            let queue = QueueId(row.get::<_, i64>(1)?.cast_unsigned());
            Ok((queue, row.get::<_, Option<i64>>(3)?, row.get::<_, i64>(0)?))
        };
        let (queue, visible_at, id) = read().map_err(read_error)?;
        let entry = message(row, &mut address)
            .map_err(read_error)?
            .map_err(|error| damaged(&store.path, &format!("message {id}")).with_source(error))?;
        state
            .restore(queue, entry, visible_at)
            .map_err(|how| damaged(&store.path, &how))?;
    }
    Ok(())
}

/// The outer result is SQLite's, the inner one that of our notation.
fn message(row: &Row<'_>, last: &mut Address) -> rusqlite::Result<Result<Entry, Error>> {
    let head: Vec<u8> = row.get(5)?;
    let body: Vec<u8> = row.get(6)?;
    let mut call = match envelope::decode(&head.into()) {
        Ok(call) => call,
        Err(error) => return Ok(Err(error)),
    };
    // Neighbours usually went to the same address: share it.
    if *last == call.address {
        call.address = last.clone();
    } else {
        *last = call.address.clone();
    }
    call.envelope.payload.bytes = Bytes::from(body);
    Ok(Ok(Entry {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        message: call.into_message(),
        expires_at: row.get(2)?,
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
