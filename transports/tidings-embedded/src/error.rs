//! The errors of this transport: every text names the thing, the cause and the next step.

use tidings_core::{
    Address, Error, ErrorKind,
    topology::{Binding, Difference, ExchangeKind},
};

pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the embedded broker has been closed: open it again to go on",
    )
}

/// For a settlement that comes after the delivery was given back to its queue.
pub(crate) fn lost_delivery() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the delivery is no longer ours, because its connection or the broker was closed: it will come again",
    )
}

pub(crate) fn no_exchange(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("exchange `{name}` does not exist: declare it first"),
    )
}

pub(crate) fn no_queue(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("queue `{name}` does not exist: declare it first"),
    )
}

pub(crate) fn queue_deleted(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("queue `{name}` was deleted: declare it and subscribe again"),
    )
}

pub(crate) fn unroutable(address: &Address) -> Error {
    Error::new(
        ErrorKind::Unroutable,
        format!("no queue would receive `{address}`: bind a queue, or say that this is fine"),
    )
}

pub(crate) fn exclusive(queue: &str) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "queue `{queue}` belongs exclusively to another connection: use a name of your own"
        ),
    )
}

/// Names every difference, so that a definition need not be corrected one refusal at a time.
pub(crate) fn conflict(differences: &[&Difference]) -> Error {
    let all: Vec<_> = differences.iter().map(ToString::to_string).collect();
    let mut kinds: Vec<_> = differences.iter().map(|it| it.thing().kind()).collect();
    kinds.dedup();
    let next = match (differences, kinds.as_slice()) {
        ([_], [kind]) => format!("change the setting or delete the {kind}"),
        _ => "change the settings or delete what has others".to_owned(),
    };
    Error::new(ErrorKind::Conflict, format!("{}: {next}", all.join("; ")))
}

/// For a publish that was refused earlier and is asked about again while the refusal was under way.
pub(crate) fn refused_before() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the first attempt of this publish could not be stored: publish it again",
    )
}

pub(crate) fn too_many_waiting() -> Error {
    Error::new(
        ErrorKind::Full,
        "too many publishes wait to be written: await their completions before publishing more",
    )
}

pub(crate) fn unknown_kind(exchange: &str, kind: ExchangeKind) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "exchange `{exchange}` has the kind {kind}, which the embedded broker does not have: use direct, fanout or topic"
        ),
    )
}

pub(crate) fn unbindable(binding: &Binding, what: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::Misuse,
        format!(
            "cannot bind queue `{}` to exchange `{}`: {what} `{name}` does not exist, declare it in the same topology or before",
            binding.queue, binding.exchange
        ),
    )
}

pub(crate) fn long_key(address: &Address) -> Error {
    let key = &address.key;
    let start: String = key.chars().take(40).collect();
    Error::new(
        ErrorKind::Misuse,
        format!(
            "routing key `{start}…` is {} bytes long: shorten it to at most 255",
            key.len()
        ),
    )
}
