//! The store alone: one thread that nobody hands anything to, writing as many messages per commit as there would be
//! publishers.
//!
//! It is what the disk and SQLite can do with this grouping. Nothing that takes messages from several tasks and
//! answers each can be as fast; what can be faster is a cycle, because a broker writes the acknowledgements of some
//! messages in the same commit as the next messages.

use std::{path::Path, time::Instant};

use anyhow::Result;
use rusqlite::Connection;

use super::{
    bare::{Statements, connect},
    load::{Amount, Contender, LASTS, Part},
};

/// The loop.
pub struct Alone {
    connection: Connection,
    last: i64,
    batch: u32,
    part: Part,
}

impl Alone {
    /// A new store in a new file.
    pub fn new(path: &Path, sync: &str, batch: u32, part: Part) -> Result<Self> {
        Ok(Self {
            connection: connect(path, sync)?,
            last: 0,
            batch,
            part,
        })
    }
}

impl Contender for Alone {
    fn turn(&mut self) -> Result<Amount> {
        let (start, mut messages) = (Instant::now(), 0);
        while start.elapsed() < LASTS {
            let ids = self.last + 1..=self.last + i64::from(self.batch);
            commit(&self.connection, |statements| {
                ids.clone().try_for_each(|id| statements.insert(id))
            })?;
            if self.part == Part::Cycle {
                commit(&self.connection, |statements| {
                    ids.clone().try_for_each(|id| statements.delete(id))
                })?;
            }
            self.last = *ids.end();
            messages += self.batch;
        }
        let took = start.elapsed();
        Ok(Amount { messages, took })
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

fn commit(
    connection: &Connection,
    write: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<()>,
) -> Result<()> {
    let transaction = connection.unchecked_transaction()?;
    write(&mut Statements::of(&transaction)?)?;
    Ok(transaction.commit()?)
}
