//! By what the messages of one subscription are kept in order.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tidings_core::{
    Call,
    convention::{Attachment, Convention},
};

/// Messages with equal keys are handled one after the other, in the order of delivery; messages with
/// different keys, and those without one, side by side.
#[derive(Clone)]
pub struct OrderKey(Key);

#[derive(Clone)]
enum Key {
    Field(Arc<str>),
    Function(Arc<dyn Fn(&Call) -> Option<u64> + Send + Sync>),
}

impl OrderKey {
    /// By the value of a top-level field of the message, for example `user_id`.
    ///
    /// Only that field is read; a message without it has no key. Messages that cannot be opened have none either:
    /// their handling fails for that reason.
    #[must_use]
    pub fn field(name: impl Into<Arc<str>>) -> Self {
        Self(Key::Field(name.into()))
    }

    /// By whatever this function makes of the call; `None` means no key.
    #[must_use]
    pub fn by<K: Hash>(key: impl Fn(&Call) -> Option<K> + Send + Sync + 'static) -> Self {
        Self(Key::Function(Arc::new(move |call| {
            key(call).map(|key| hash(&key))
        })))
    }

    /// All messages of the subscription, one after the other.
    #[must_use]
    pub fn all() -> Self {
        Self::by(|_| Some(()))
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
            Key::Field(name) => {
                let opened = convention.open(&call.envelope, attachment).ok()?;
                convention
                    .format()
                    .field(&opened.body, name)
                    .map(|raw| hash(&raw))
            }
        }
    }
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Field(name) => write!(f, "OrderKey(field {name})"),
            Key::Function(_) => f.write_str("OrderKey(function)"),
        }
    }
}
