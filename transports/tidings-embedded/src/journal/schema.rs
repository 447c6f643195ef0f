//! The tables of a durable broker, and how we know that a file is ours.

/// Written into the header of every file of ours, so that nobody else's is touched: "TIDE".
pub(super) const APPLICATION_ID: i32 = 0x5449_4445;

/// Raised with every change of the tables.
pub(super) const VERSION: i32 = 2;

/// Version 2. Messages have no index besides their id: queues are kept in memory, so nobody searches.
/// `attended` says that a queue has had consumers since the last clean end: then any of its messages may
/// have been delivered, and after a crash all of them are marked as redelivered.
pub(super) const TABLES: &str = "
CREATE TABLE exchanges (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ttl_ms INTEGER,
    dead_letter_exchange TEXT,
    dead_letter_key TEXT,
    arguments BLOB NOT NULL,
    attended INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bindings (
    exchange TEXT NOT NULL,
    queue INTEGER NOT NULL,
    pattern TEXT NOT NULL,
    PRIMARY KEY (exchange, queue, pattern)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    expires_at INTEGER,
    visible_at INTEGER,
    redelivered INTEGER NOT NULL DEFAULT 0,
    crc INTEGER NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    expected INTEGER NOT NULL,
    sync TEXT NOT NULL,
    boot TEXT NOT NULL
) STRICT;

CREATE TABLE producers (
    id BLOB PRIMARY KEY,
    last INTEGER NOT NULL,
    refused BLOB NOT NULL,
    used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

pub(super) const INSERT_MESSAGE: &str =
    "INSERT INTO messages (id, queue, expires_at, crc, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const DELETE_MESSAGE: &str = "DELETE FROM messages WHERE id = ?1";
pub(super) const HIDE_MESSAGE: &str =
    "UPDATE messages SET visible_at = ?2, redelivered = 1 WHERE id = ?1";
pub(super) const MARK_MESSAGE: &str = "UPDATE messages SET redelivered = 1 WHERE id = ?1";
pub(super) const ATTEND_QUEUE: &str = "UPDATE queues SET attended = 1 WHERE id = ?1";
pub(super) const LEAVE_QUEUES: &str = "UPDATE queues SET attended = 0 WHERE attended <> 0";
pub(super) const INSERT_EXCHANGE: &str = "INSERT INTO exchanges (name, kind) VALUES (?1, ?2)";
pub(super) const INSERT_QUEUE: &str = "INSERT INTO queues (id, name, ttl_ms, dead_letter_exchange, dead_letter_key, arguments) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const INSERT_BINDING: &str =
    "INSERT INTO bindings (exchange, queue, pattern) VALUES (?1, ?2, ?3)";
pub(super) const DELETE_EXCHANGE: &str = "DELETE FROM exchanges WHERE name = ?1";
pub(super) const DELETE_EXCHANGE_BINDINGS: &str = "DELETE FROM bindings WHERE exchange = ?1";
pub(super) const DELETE_QUEUE: &str = "DELETE FROM queues WHERE id = ?1";
pub(super) const DELETE_QUEUE_BINDINGS: &str = "DELETE FROM bindings WHERE queue = ?1";
pub(super) const DELETE_QUEUE_MESSAGES: &str = "DELETE FROM messages WHERE queue = ?1";
pub(super) const PUT_PRODUCER: &str = "INSERT INTO producers (id, last, refused, used_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET last = excluded.last, refused = excluded.refused, used_at = excluded.used_at";
pub(super) const PRUNE_PRODUCERS: &str = "DELETE FROM producers WHERE used_at < ?1";
pub(super) const DELETE_PRODUCER: &str = "DELETE FROM producers WHERE id = ?1";
pub(super) const EXPECT_LOG: &str = "INSERT INTO log (id, expected, sync, boot) VALUES (1, 1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET expected = 1, sync = excluded.sync, boot = excluded.boot";
pub(super) const EXPECT_NO_LOG: &str = "UPDATE log SET expected = 0 WHERE expected <> 0";

pub(super) const ALL_EXCHANGES: &str = "SELECT name, kind FROM exchanges";
pub(super) const ALL_QUEUES: &str = "SELECT id, name, ttl_ms, dead_letter_exchange, dead_letter_key, arguments, attended FROM queues";
pub(super) const ALL_BINDINGS: &str = "SELECT exchange, queue, pattern FROM bindings";
pub(super) const ALL_MESSAGES: &str = "SELECT id, queue, expires_at, visible_at, redelivered, crc, head, body FROM messages ORDER BY id";
pub(super) const ALL_PRODUCERS: &str =
    "SELECT id, last, refused FROM producers WHERE used_at >= ?1";
pub(super) const IS_LOG_EXPECTED: &str = "SELECT count(*) FROM log WHERE expected <> 0";
pub(super) const WHO_WRITES_LOG: &str = "SELECT sync, boot FROM log";

/// What tells whether a message in the file is the one that was put there: of everything in its row that stays as
/// it was written.
pub(super) fn checksum(
    id: i64,
    queue: i64,
    expires_at: Option<i64>,
    head: &[u8],
    body: &[u8],
) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for number in [id, queue, expires_at.unwrap_or(i64::MIN)] {
        crc.update(&number.to_le_bytes());
    }
    // So that a byte cannot move from one into the other.
    crc.update(&(head.len() as u64).to_le_bytes());
    crc.update(head);
    crc.update(body);
    crc.finalize()
}
