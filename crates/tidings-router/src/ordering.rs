//! By what the messages of one subscription are kept in order.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use tidings_core::{
    Call,
    codec::Format,
    contract::Lock,
    convention::{Attachment, Convention, Opened},
};

use crate::{registry::RequestInfo, stable_hash};

/// Messages with equal keys are handled one after the other, in the order of delivery; messages with
/// different keys, and those without one, side by side.
///
/// The order is kept for each queue by one process. Two processes that consume the same queue have an order each,
/// and so have two handlers of one subscriber that have a queue each.
///
/// Keys are kept as numbers that are the same in every process and build, so that a lock store can be asked for them.
#[derive(Clone)]
pub struct OrderKey(Key);

#[derive(Clone)]
enum Key {
    Field(Arc<str>),
    Function(Arc<dyn Fn(&Call) -> Option<u64> + Send + Sync>),
    /// The same for every message.
    One(u64),
    /// The value of the member that a contract names.
    Member(RequestInfo),
    Named(Arc<Named>),
}

/// The keys of handlers that share a queue.
#[derive(Default)]
pub(crate) struct Named {
    by_name: HashMap<Box<str>, Option<OrderKey>>,
    others: Option<OrderKey>,
}

impl Named {
    /// The key of what has this name; of whatever has another one if there is none.
    pub(crate) fn add(&mut self, name: Option<&str>, key: Option<OrderKey>) {
        match name {
            Some(name) => {
                self.by_name.insert(name.into(), key);
            }
            None => self.others = key,
        }
    }

    fn of(&self, name: &str) -> Option<&OrderKey> {
        self.by_name.get(name).unwrap_or(&self.others).as_ref()
    }
}

impl OrderKey {
    /// By the value of a top-level field of the message, for example `user_id`.
    ///
    /// Only that field is read; a message without it has no key. Messages that cannot be opened have none either:
    /// their handling fails for that reason.
    ///
    /// Strings are equal however they are escaped, and numbers however they are written (`1`, `1.0`, `1e0`); lists and
    /// objects only if they are written alike. As every key, it orders the messages of one queue in one process.
    #[must_use]
    pub fn field(name: impl Into<Arc<str>>) -> Self {
        Self(Key::Field(name.into()))
    }

    /// By whatever this function makes of the call; `None` means no key.
    #[must_use]
    pub fn by<K: Hash>(key: impl Fn(&Call) -> Option<K> + Send + Sync + 'static) -> Self {
        Self(Key::Function(Arc::new(move |call| {
            key(call).map(|key| stable_hash::of(&key))
        })))
    }

    /// By what the contract of a request says: its requests one after the other, or those that have the same value in a
    /// member; `None` if they do not exclude one another. Requests of different contracts have different keys.
    ///
    /// A request that does not fit its contract has no key: it is refused without waiting.
    #[must_use]
    pub fn lock_of(request: &RequestInfo) -> Option<Self> {
        match request.lock {
            Lock::Whole => Some(Self(Key::One(stable_hash::of(&request.contract.name)))),
            Lock::Member(_) => Some(Self(Key::Member(*request))),
            _ => None,
        }
    }

    /// All messages of one queue, one after the other, as long as one process consumes it. A subscriber with two handlers
    /// has two queues, and works on both at a time.
    #[must_use]
    pub fn all() -> Self {
        Self::by(|_| Some(()))
    }

    /// By the name of a message, each with a key of its own; `None` if none has one.
    pub(crate) fn named(keys: Named) -> Option<Self> {
        let has_one = keys.others.is_some() || keys.by_name.values().any(Option::is_some);
        has_one.then(|| Self(Key::Named(Arc::new(keys))))
    }

    /// The key of a call.
    #[must_use]
    pub fn of(
        &self,
        call: &Call,
        convention: &dyn Convention,
        attachment: &Attachment,
    ) -> Option<u64> {
        match &self.0 {
            Key::Function(key) => key(call),
            Key::One(key) => Some(*key),
            _ => {
                let opened = convention.open(call, attachment).ok()?;
                self.of_opened(call, &opened, convention.format())
            }
        }
    }

    fn of_opened(&self, call: &Call, opened: &Opened<'_>, format: Format) -> Option<u64> {
        match &self.0 {
            Key::Function(key) => key(call),
            Key::One(key) => Some(*key),
            Key::Field(name) => {
                let raw = format.field(&opened.body, name)?;
                Some(field_key(format, raw))
            }
            Key::Member(request) => {
                let value = (request.lock_value)(format, &opened.body)?;
                Some(stable_hash::of(&(request.contract.name, value)))
            }
            Key::Named(keys) => keys.of(&opened.name)?.of_opened(call, opened, format),
        }
    }
}

/// The key of an encoded value: one for all spellings of a string or a number.
///
/// Publishers in different languages spell them differently, and the order must not depend on who published.
fn field_key(format: Format, raw: &str) -> u64 {
    match raw.as_bytes().first() {
        Some(b'"') => stable_hash::of(&(b'"', text(format, raw))),
        Some(b'-' | b'0'..=b'9') => match Number::of(raw) {
            Some(number) => stable_hash::of(&number),
            None => stable_hash::of(&raw),
        },
        _ => stable_hash::of(&raw),
    }
}

/// A string without its quotes and escapes; with them if it is none, such as half of a surrogate pair.
fn text(format: Format, raw: &str) -> Cow<'_, str> {
    if raw.contains('\\') {
        let decoded = format.decode(raw.as_bytes());
        return decoded.map_or(Cow::Borrowed(raw), Cow::Owned);
    }
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    Cow::Borrowed(inside.unwrap_or(raw))
}

/// A decimal number in pieces, so that it is compared exactly: as floats, large ids would be equal to their neighbours.
struct Number<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    /// `None` if its exponent is beyond all measure.
    fn of(raw: &'a str) -> Option<Self> {
        let (is_negative, raw) = match raw.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        Some(Self {
            is_negative,
            whole,
            fraction,
            exponent: exponent.parse().ok()?,
        })
    }
}

/// Hashes the sign, the digits without the zeros around them, and where the point is.
impl Hash for Number<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        let is_zero = |digit: &u8| *digit == b'0';
        let leading = digits.clone().take_while(is_zero).count();
        let trailing = digits.clone().rev().take_while(is_zero).count();
        let all = self.whole.len() + self.fraction.len();
        if leading == all {
            return 0_u8.hash(state);
        }
        self.is_negative.hash(state);
        let point = self.whole.len() as i128 - leading as i128 + i128::from(self.exponent);
        point.hash(state);
        for digit in digits.take(all - trailing).skip(leading) {
            digit.hash(state);
        }
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Field(name) => write!(f, "OrderKey(field {name})"),
            Key::Function(_) => f.write_str("OrderKey(function)"),
            Key::One(_) => f.write_str("OrderKey(one)"),
            Key::Member(request) => {
                write!(f, "OrderKey({:?} of {})", request.lock, request.contract)
            }
            Key::Named(keys) => f.debug_map().entries(&keys.by_name).finish(),
        }
    }
}
