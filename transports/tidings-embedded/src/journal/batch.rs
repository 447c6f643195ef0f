//! One transaction: how each change looks in the tables.

use rusqlite::{CachedStatement, Connection, params};
use tidings_core::{Address, Envelope, Error, Headers, clock::Clock, topology};

use super::schema;
use crate::{
    broker::{
        ProducerId,
        change::{Change, TopologyChange},
        entry::Entry,
        producers::Producer,
        queue::QueueId,
    },
    envelope,
};

/// A transaction with the statements that nearly every change needs.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    scratch: &'a mut Vec<u8>,
    insert: CachedStatement<'a>,
    delete: CachedStatement<'a>,
}

impl<'a> Batch<'a> {
    /// In a transaction on this connection. Heads of messages are written to `scratch` before they are bound.
    pub(super) fn new(
        connection: &'a Connection,
        scratch: &'a mut Vec<u8>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            scratch,
            insert: connection.prepare_cached(schema::INSERT_MESSAGE)?,
            delete: connection.prepare_cached(schema::DELETE_MESSAGE)?,
        })
    }

    pub(super) fn write(&mut self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Publish { rows, .. } => self.insert_all(rows),
            Change::Bury { gone, rows } => {
                // Deleted first: the room it had is there for its copies even in a full file.
                if let Some(id) = gone {
                    self.delete.execute([id.cast_signed()])?;
                }
                self.insert_all(rows)
            }
            Change::Forget { id } => self.delete.execute([id.cast_signed()]).map(drop),
            Change::Hide { id, until } => {
                self.run(schema::HIDE_MESSAGE, params![id.cast_signed(), until])
            }
            Change::Topology(changes) => changes
                .iter()
                .try_for_each(|change| self.change_topology(change)),
            Change::Attend(queue) => self.run(schema::ATTEND_QUEUE, [queue.0.cast_signed()]),
            Change::Confirm(_) => Ok(()),
            Change::Close { delivered } => {
                self.run(schema::LEAVE_QUEUES, [])?;
                delivered
                    .iter()
                    .try_for_each(|id| self.run(schema::MARK_MESSAGE, [id.cast_signed()]))
            }
        }
    }

    fn insert_all(&mut self, rows: &[(QueueId, Entry)]) -> rusqlite::Result<()> {
        let stored = rows.iter().filter(|(_, entry)| entry.stored);
        for (queue, entry) in stored {
            self.scratch.clear();
            let message = &entry.message;
            envelope::encode_head(&message.address, &message.envelope, false, self.scratch)
                .map_err(unencodable)?;
            let (id, queue) = (entry.id.cast_signed(), queue.0.cast_signed());
            let (head, body) = (&self.scratch[..], &message.envelope.payload.bytes[..]);
            let crc = schema::checksum(id, queue, entry.expires_at, head, body);
            self.insert
                .execute(params![id, queue, entry.expires_at, crc, head, body])?;
        }
        Ok(())
    }

    fn change_topology(&self, change: &TopologyChange) -> rusqlite::Result<()> {
        match change {
            TopologyChange::Exchange(exchange) => self.run(
                schema::INSERT_EXCHANGE,
                params![&*exchange.name, exchange.kind.to_string()],
            ),
            TopologyChange::Queue(id, queue) => self.insert_queue(*id, queue),
            TopologyChange::Bind {
                exchange,
                queue,
                pattern,
            } => self.run(
                schema::INSERT_BINDING,
                params![&**exchange, queue.0.cast_signed(), &**pattern],
            ),
            TopologyChange::DropExchange(name) => {
                self.run(schema::DELETE_EXCHANGE_BINDINGS, [&**name])?;
                self.run(schema::DELETE_EXCHANGE, [&**name])
            }
            TopologyChange::DropQueue(id) => {
                let id = [id.0.cast_signed()];
                self.run(schema::DELETE_QUEUE_BINDINGS, id)?;
                self.run(schema::DELETE_QUEUE_MESSAGES, id)?;
                self.run(schema::DELETE_QUEUE, id)
            }
        }
    }

    fn insert_queue(&self, id: QueueId, queue: &topology::Queue) -> rusqlite::Result<()> {
        let ttl = queue
            .message_ttl
            .map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        let to = queue.dead_letter.as_ref();
        self.run(
            schema::INSERT_QUEUE,
            params![
                id.0.cast_signed(),
                &*queue.name,
                ttl,
                to.map(|to| &*to.exchange),
                to.and_then(|to| to.key.as_deref()),
                arguments_to_bytes(&queue.arguments)?,
            ],
        )
    }

    pub(super) fn put_producer(&self, id: ProducerId, producer: &Producer) -> rusqlite::Result<()> {
        let refused: Vec<u8> = producer
            .refused
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.run(
            schema::PUT_PRODUCER,
            params![
                id.0.to_le_bytes(),
                producer.last.cast_signed(),
                refused,
                Clock::SYSTEM.now_millis(),
            ],
        )
    }

    pub(super) fn run(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql)?
            .execute(parameters)
            .map(drop)
    }
}

/// Queue arguments are written like the headers of a message.
fn arguments_to_bytes(arguments: &Headers) -> rusqlite::Result<Vec<u8>> {
    let envelope = Envelope::default().with_headers(arguments.clone());
    let mut bytes = Vec::new();
    envelope::encode_head(&Address::queue(""), &envelope, false, &mut bytes)
        .map_err(unencodable)?;
    Ok(bytes)
}

/// The broker refuses what cannot be written before it comes here.
fn unencodable(error: Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
