//! What a caller is told when no answer comes, or one that is not the reply.

use std::{fmt::Write, time::Duration};

use tidings_core::{Address, Error, ErrorKind, Fault, FaultCode, Outcome, transport::Impairment};

/// The answer is a failure and not the reply that the contract promises.
pub(super) fn answered(name: &str, fault: Fault) -> Error {
    let kind = match fault.code {
        FaultCode::InvalidArgument => ErrorKind::Invalid,
        FaultCode::Unimplemented => ErrorKind::NoRoute,
        _ => ErrorKind::Handler,
    };
    let context = format!("`{name}` answered with a failure: {}", fault.message);
    Error::new(kind, context).with_source(fault)
}

/// The request was sent and nobody has answered. What impairs the transport may be the reason.
pub(super) fn no_answer(address: &Address, timeout: Duration, impairments: &[Impairment]) -> Error {
    let context = format!(
        "no answer from queue `{}` to `{}` within {timeout:?}: it may still be handled; see whether its consumer runs, or wait longer",
        address.key, address.exchange
    );
    Error::new(ErrorKind::Timeout, impaired(context, impairments))
}

/// The request could not be sent in time. What impairs the transport is the reason, or the trouble that was met.
pub(super) fn not_sent(
    address: &Address,
    timeout: Duration,
    impairments: &[Impairment],
    trouble: Option<Error>,
) -> Error {
    let context = format!(
        "`{}` was not called, there was no way to the broker and back within {timeout:?}: see whether it can be reached",
        address.exchange
    );
    let error = Error::new(ErrorKind::Unavailable, impaired(context, impairments));
    match trouble {
        Some(trouble) => error.with_source(trouble),
        None => error,
    }
}

fn impaired(mut context: String, impairments: &[Impairment]) -> String {
    for impairment in impairments {
        // Writing into a text cannot fail.
        let _written = write!(context, "; {impairment}").is_ok();
    }
    context
}

/// The address for answers was lost after the request had been handed over.
pub(super) fn cut_off(address: &Address, reason: &str) -> Error {
    let context = format!(
        "the answer of `{}` is lost, its request may have been handled: call again if that does no harm ({reason})",
        address.exchange
    );
    // Nobody but the caller knows whether it does harm.
    Error::new(ErrorKind::Unavailable, context).with_outcome(Outcome::Fatal)
}

/// The exchange was deleted after the request had been handed over, and the way back went with it.
pub(super) fn vanished(address: &Address, why: &str) -> Error {
    let context = format!(
        "exchange `{}` has vanished while it was called, so no answer can come, and the request may have been handled: call again if \
         that does no harm ({why})",
        address.exchange
    );
    // Nobody but the caller knows whether it does harm.
    Error::new(ErrorKind::Unavailable, context).with_outcome(Outcome::Fatal)
}

/// The broker has not taken the request.
pub(super) fn not_taken(address: &Address, error: Error) -> Error {
    if error.kind() != ErrorKind::Unroutable {
        return error.within(format!("call of `{}`", address.exchange));
    }
    nobody(address).with_source(error)
}

/// No queue has received the request.
pub(super) fn nobody(address: &Address) -> Error {
    let context = format!(
        "nobody receives `{}` in queue `{}`: start the consumer that handles it, or check the names of both",
        address.exchange, address.key
    );
    Error::new(ErrorKind::Unroutable, context)
}

/// Too many calls wait already.
pub(super) fn crowded(address: &Address, limit: usize) -> Error {
    let context = format!(
        "`{}` was not called: {limit} calls wait for answers already, call less at a time",
        address.exchange
    );
    Error::new(ErrorKind::Full, context)
}
