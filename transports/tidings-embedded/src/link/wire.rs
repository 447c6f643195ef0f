//! The primitives of the link's frames: numbers, texts, lists, calls, errors.
//!
//! Everything is little-endian and length-prefixed. Reading never trusts a length: it is compared with what is
//! left of the frame before anything is allocated. Calls and header tables are written by [`crate::envelope`],
//! which the journal uses as well; this file knows only what never reaches the disk.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use tidings_core::{
    Call, Error, ErrorKind, Headers, Outcome, Result, Settlement,
    transport::{QueueStatus, Subscription},
};

use crate::envelope;

/// A damaged or foreign frame.
pub(super) fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "damaged frame between two processes of one embedded broker: {what}; run the same version of Tidings in all of them"
        ),
    )
}

/// Reads the fields of one frame, from front to back.
pub(super) struct Reader(pub(super) Bytes);

/// A number, read by the function of [`Buf`] that is named.
macro_rules! number {
    ($name:ident, $type:ty, $get:ident) => {
        pub(super) fn $name(&mut self) -> Result<$type> {
            self.0.$get().map_err(|_| corrupt("it ends too early"))
        }
    };
}

impl Reader {
    number!(u8, u8, try_get_u8);
    number!(u16, u16, try_get_u16_le);
    number!(u32, u32, try_get_u32_le);
    number!(u64, u64, try_get_u64_le);
    number!(u128, u128, try_get_u128_le);

    /// A truth value; anything but 0 and 1 is damage.
    pub(super) fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(corrupt(format_args!("{other} is not a truth value"))),
        }
    }

    /// Bytes with their length before them, shared with the frame.
    pub(super) fn bytes(&mut self) -> Result<Bytes> {
        let len = self.length(1)?;
        Ok(self.0.split_to(len))
    }

    /// UTF-8 with its length before it.
    pub(super) fn text(&mut self) -> Result<Arc<str>> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes)
            .map(Arc::from)
            .map_err(|_| corrupt("a text is not UTF-8"))
    }

    /// What may be absent.
    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.bool()? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A list whose items take at least `least` bytes each.
    pub(super) fn list<T>(
        &mut self,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let len = self.length(least)?;
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(corrupt(format_args!("{} bytes too many", self.0.len())))
    }

    /// A count of items of at least `least` bytes, checked against what is left.
    fn length(&mut self, least: usize) -> Result<usize> {
        let len = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if len.saturating_mul(least) > self.0.len() {
            return Err(corrupt("a length reaches beyond its end"));
        }
        Ok(len)
    }
}

/// Writes what [`Reader`] reads.
pub(super) trait Write {
    fn put_bool(&mut self, truth: bool);
    fn put_bytes_of(&mut self, bytes: &[u8]);
    fn put_text(&mut self, text: &str);
    fn put_option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T));
    fn put_list<T>(&mut self, items: &[T], write: impl FnMut(&mut Self, &T));
}

impl Write for Vec<u8> {
    fn put_bool(&mut self, truth: bool) {
        self.put_u8(u8::from(truth));
    }

    fn put_bytes_of(&mut self, bytes: &[u8]) {
        self.put_u32_le(count(bytes.len()));
        self.put_slice(bytes);
    }

    fn put_text(&mut self, text: &str) {
        self.put_bytes_of(text.as_bytes());
    }

    fn put_option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.put_bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn put_list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.put_u32_le(count(items.len()));
        for item in items {
            write(self, item);
        }
    }
}

/// A length as it is written. What does not fit makes the frame too large, which the frame itself reports.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The last field of its frame, because the payload is.
pub(super) fn put_call(to: &mut Vec<u8>, call: &Call) -> Result<()> {
    envelope::encode_head(&call.address, &call.envelope, call.mandatory, to)?;
    to.put_slice(&call.envelope.payload.bytes);
    Ok(())
}

pub(super) fn call(from: &mut Reader) -> Result<Call> {
    envelope::decode(&std::mem::take(&mut from.0))
}

pub(super) fn put_subscription(to: &mut Vec<u8>, subscription: &Subscription) {
    to.put_text(&subscription.queue);
    to.put_u16_le(subscription.prefetch);
    to.put_text(&subscription.name);
}

pub(super) fn subscription(from: &mut Reader) -> Result<Subscription> {
    Ok(Subscription {
        queue: from.text()?,
        prefetch: from.u16()?,
        name: from.text()?,
        // The embedded broker knows none.
        arguments: Headers::new(),
    })
}

pub(super) fn put_settlement(to: &mut Vec<u8>, how: &Settlement) {
    match how {
        Settlement::Ack => to.put_u8(0),
        Settlement::Nack { delay } => {
            to.put_u8(1);
            to.put_option(*delay, put_duration);
        }
        Settlement::Reject => to.put_u8(2),
    }
}

pub(super) fn settlement(from: &mut Reader) -> Result<Settlement> {
    Ok(match from.u8()? {
        0 => Settlement::Ack,
        1 => Settlement::Nack {
            delay: from.option(duration)?,
        },
        2 => Settlement::Reject,
        other => return Err(corrupt(format_args!("{other} is no settlement"))),
    })
}

pub(super) fn put_status(to: &mut Vec<u8>, status: &QueueStatus) {
    to.put_text(&status.name);
    to.put_u64_le(status.ready);
    to.put_u64_le(status.unsettled.unwrap_or_default());
    to.put_u32_le(status.consumers);
}

pub(super) fn status(from: &mut Reader) -> Result<QueueStatus> {
    Ok(QueueStatus {
        name: from.text()?,
        ready: from.u64()?,
        unsettled: Some(from.u64()?),
        consumers: from.u32()?,
        rates: None,
    })
}

/// `Ok` costs one byte.
pub(super) fn put_result(to: &mut Vec<u8>, result: &Result<()>) {
    to.put_option(result.as_ref().err(), put_error);
}

pub(super) fn result(from: &mut Reader) -> Result<Result<()>> {
    Ok(from.option(error)?.map_or(Ok(()), Err))
}

/// Kind, outcome and text travel; the sources travel as one line.
pub(super) fn put_error(to: &mut Vec<u8>, error: &Error) {
    to.put_text(error.kind().as_str());
    match error.outcome() {
        Outcome::Fatal => to.put_u8(0),
        Outcome::Defer(delay) => {
            to.put_u8(2);
            put_duration(to, delay);
        }
        Outcome::Requeue => to.put_u8(3),
        // `Retry`, and what an older process would retry anyway.
        _ => to.put_u8(1),
    }
    let text = error.to_string();
    let chain = error.chain();
    to.put_text(&text);
    let source = chain[text.len()..].strip_prefix(": ");
    to.put_option(source, |to, source| to.put_text(source));
}

pub(super) fn error(from: &mut Reader) -> Result<Error> {
    let kind = kind(&from.text()?);
    let outcome = match from.u8()? {
        0 => Outcome::Fatal,
        1 => Outcome::Retry,
        2 => Outcome::Defer(duration(from)?),
        3 => Outcome::Requeue,
        other => return Err(corrupt(format_args!("{other} is no outcome"))),
    };
    let error = Error::new(kind, &*from.text()?).with_outcome(outcome);
    Ok(match from.option(Reader::text)? {
        Some(source) => error.with_source(source.to_string()),
        None => error,
    })
}

/// A kind that this version does not know says at least that the operation did not happen as asked.
fn kind(name: &str) -> ErrorKind {
    const KINDS: [ErrorKind; 18] = [
        ErrorKind::Decode,
        ErrorKind::Invalid,
        ErrorKind::Handler,
        ErrorKind::Panic,
        ErrorKind::Timeout,
        ErrorKind::NoRoute,
        ErrorKind::Unroutable,
        ErrorKind::Unconfirmed,
        ErrorKind::Unavailable,
        ErrorKind::Full,
        ErrorKind::Closed,
        ErrorKind::Misuse,
        ErrorKind::Unsupported,
        ErrorKind::Conflict,
        ErrorKind::NotFound,
        ErrorKind::Corrupt,
        ErrorKind::Denied,
        ErrorKind::Unauthenticated,
    ];
    KINDS
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .unwrap_or(ErrorKind::Unconfirmed)
}

pub(super) fn put_duration(to: &mut Vec<u8>, duration: Duration) {
    to.put_u64_le(duration.as_secs());
    to.put_u32_le(duration.subsec_nanos());
}

pub(super) fn duration(from: &mut Reader) -> Result<Duration> {
    let (secs, nanos) = (from.u64()?, from.u32()?);
    if nanos >= 1_000_000_000 {
        return Err(corrupt("a duration has more than a second of nanoseconds"));
    }
    Ok(Duration::new(secs, nanos))
}
