//! Every metric of Tidings: its name, its unit, its labels and one line of meaning.
//!
//! Names with `messaging.` follow OpenTelemetry semantic conventions 1.44 (messaging, development); the
//! others are ours. Metric names appear here and nowhere else (`cargo xtask tidy` checks it).

/// Histogram, seconds. Labels: operation, destination, error type. How long a handling took, retries included.
pub const PROCESS_DURATION: &str = "messaging.process.duration";
/// Counter. Labels: operation, destination, error type. Messages that a handler has handled, well or not.
pub const CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";
/// Counter. Labels: operation, error type. Messages that were published, or could not be.
pub const SENT_MESSAGES: &str = "messaging.client.sent.messages";
/// Histogram, seconds. Labels: operation. From publish to confirm.
pub const OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Gauge. Labels: subscription. Handlings under way.
pub const IN_FLIGHT: &str = "tidings_in_flight";
/// Counter. Labels: subscription. Second and later attempts inside one delivery.
pub const RETRIES: &str = "tidings_retries";
/// Counter. Labels: subscription. Deliveries given to the broker for another time.
pub const REDELIVERIES: &str = "tidings_redeliveries";
/// Counter. Labels: subscription, reason. Messages that became dead letters.
pub const DEAD_LETTERS: &str = "tidings_dead_letters";
/// Counter. Labels: subscription. Handlers that panicked.
pub const PANICS: &str = "tidings_handler_panics";
/// Counter. Labels: none. Publishes that went to the fallback.
pub const FALLBACK_PUBLISHES: &str = "tidings_fallback_publishes";
/// Counter. Labels: none. Publishes replayed from the fallback.
pub const FALLBACK_REPLAYS: &str = "tidings_fallback_replays";
/// Counter. Labels: none. Connections to a broker that were lost and made again.
pub const RECONNECTS: &str = "tidings_reconnects";
/// Gauge. Labels: connection. Connections from which the broker does not read, because it is short of memory or disk.
pub const BLOCKED_CONNECTIONS: &str = "tidings_blocked_connections";
/// Gauge. Labels: none. Publishes handed over and not yet confirmed.
pub const UNCONFIRMED: &str = "tidings_unconfirmed_publishes";
/// Histogram, seconds. Labels: destination, error type. From a call to its answer or its failure.
pub const CALL_DURATION: &str = "tidings_call_duration";
/// Gauge. Labels: none. Calls that wait for their answer.
pub const PENDING_CALLS: &str = "tidings_pending_calls";
/// Counter. Labels: none. Answers that nobody waited for: late, repeated, or not ours.
pub const UNEXPECTED_REPLIES: &str = "tidings_unexpected_replies";

/// Counter. Labels: destination. Requests that were answered with a remembered reply.
pub const REMEMBERED_REPLIES: &str = "tidings_remembered_replies";
/// Counter. Labels: none. Records that the log server has taken.
pub const JOURNAL_SHIPPED: &str = "tidings_journal_shipped";
/// Counter. Labels: reason. Records that no log server will ever have.
pub const JOURNAL_DROPPED: &str = "tidings_journal_dropped";
/// Counter. Labels: none. Records with a correlation id that is no UUID v4, which log servers may refuse.
pub const JOURNAL_FOREIGN_IDS: &str = "tidings_journal_foreign_ids";
/// Gauge. Labels: none. Records on their way to the log server.
pub const JOURNAL_QUEUED: &str = "tidings_journal_queued";
/// Counter. Labels: subscription. Leases of a lock store that were lost while a handler was at work.
pub const LOST_LEASES: &str = "tidings_lost_leases";

/// Labels.
pub mod label {
    /// `send` or `process`.
    pub const OPERATION: &str = "messaging.operation.name";
    /// The queue.
    pub const DESTINATION: &str = "messaging.destination.name";
    /// The error kind, absent on success.
    pub const ERROR: &str = "error.type";
    /// What a connection is for: `inbound` or `outbound`.
    pub const CONNECTION: &str = "connection";
    /// The subscription, by the name of its queue.
    pub const SUBSCRIPTION: &str = "subscription";
    /// Why a message became a dead letter, or a record of the journal was dropped.
    pub const REASON: &str = "reason";
}

/// Fields of spans that are filled in later, by somebody else than who made the span.
pub mod field {
    /// The message's identity.
    pub const MESSAGE_ID: &str = "messaging.message.id";
}
