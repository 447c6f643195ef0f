//! The names of queue arguments, as RabbitMQ defined them. A queue's own fields cover the common ones; the rest go
//! into [`Queue::arguments`](super::Queue::arguments), for the transports that understand them.

/// `classic`, `quorum` or `stream`.
pub const QUEUE_TYPE: &str = "x-queue-type";
/// How long a message waits, milliseconds.
pub const MESSAGE_TTL: &str = "x-message-ttl";
/// Where rejected and expired messages go.
pub const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
/// With which routing key they go there.
pub const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";
/// How often a quorum queue delivers a message before it is dead-lettered; -1 means without end.
pub const DELIVERY_LIMIT: &str = "x-delivery-limit";
/// How many messages a queue keeps at most.
pub const MAX_LENGTH: &str = "x-max-length";
/// How many bytes of messages a queue keeps at most.
pub const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
/// What a full queue does: `drop-head`, `reject-publish` or `reject-publish-dlx`.
pub const OVERFLOW: &str = "x-overflow";
/// How long a queue without consumers stays, milliseconds.
pub const EXPIRES: &str = "x-expires";
/// Whether only one consumer at a time receives.
pub const SINGLE_ACTIVE_CONSUMER: &str = "x-single-active-consumer";
/// Where in a stream a consumer begins: `first`, `last`, `next`, an offset, or a timestamp. A consumer's argument.
pub const STREAM_OFFSET: &str = "x-stream-offset";
/// Which returned messages a quorum queue holds back before it delivers them again: `all`, `failed`, `returned` or `disabled`.
/// RabbitMQ from 4.3 on.
pub const DELAYED_RETRY_TYPE: &str = "x-delayed-retry-type";
/// For how long at least, milliseconds; multiplied with the number of deliveries.
pub const DELAYED_RETRY_MIN: &str = "x-delayed-retry-min";
/// For how long at most, milliseconds.
pub const DELAYED_RETRY_MAX: &str = "x-delayed-retry-max";
