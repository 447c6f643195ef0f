//! The keys under which secret members travel: Fernet, as deployed clients and consumers use it.
//!
//! The cryptography is the crate `fernet`. What is decided here is which key is used for what, how old a token may be,
//! and that no key is ever shown.

mod token;

use std::{fmt, sync::Arc, time::Duration};

use fernet::Fernet;
use tidings_core::{Error, ErrorKind, clock::Clock, error::Result};

use self::token::Token;

/// How far the clock of whoever made a token may be ahead of ours, once tokens have an age at all.
const SKEW: i64 = 60;

/// A time that no token is later than, so that the crate's own look at the clock finds nothing: on this wire a token
/// has no age unless somebody gives it one.
const END_OF_TIME: u64 = u64::MAX - 60;

/// One or more Fernet keys.
///
/// The first one encrypts, all of them decrypt: a key is replaced by putting the new one first and taking the old one
/// out once nobody uses it any more. Cloning shares them; their memory is cleared with the last clone.
///
/// ```
/// use std::time::Duration;
/// use tidings_rpc::Keys;
///
/// let keys = Keys::new(["ZycOtLSOfBSztarunksiEdAjYklBvQ82Jgq0_7Vd7jg="])?;
/// let token = keys.encrypt("s3cret");
/// assert_eq!(keys.decrypt(&token).as_deref(), Some("s3cret"));
/// assert_eq!(format!("{keys:?}"), "Keys { keys: 1, ttl: None, strict: false }");
///
/// // What this wire allows and a service may forbid: tokens of any age, and secrets in the clear.
/// let careful = keys.with_ttl(Duration::from_secs(300)).strict();
/// # drop(careful);
/// # Ok::<_, tidings_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Keys {
    keys: Arc<[Fernet]>,
    ttl: Option<Duration>,
    strict: bool,
    nested: bool,
    clock: Clock,
}

/// What a text of a body is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Text that nobody has encrypted.
    Plain,
    /// A token, and what is in it.
    Secret(String),
    /// A token, and why it cannot be read.
    Unreadable(&'static str),
}

impl Keys {
    /// These keys; the first one encrypts.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if there is none, or if one is not 32 bytes in URL-safe base64. The error says which,
    /// and does not show it.
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let keys: Result<Vec<_>> = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| {
                token::key(key.as_ref()).ok_or_else(|| malformed(index, key.as_ref()))
            })
            .collect();
        let keys = keys?;
        if keys.is_empty() {
            let context =
                "there is no Fernet key in the list: name one, or leave the keys out altogether";
            return Err(Error::new(ErrorKind::Misuse, context));
        }
        Ok(Self {
            keys: keys.into(),
            ttl: None,
            strict: false,
            nested: true,
            clock: Clock::SYSTEM,
        })
    }

    /// A new key, from the system's source of randomness.
    #[must_use]
    pub fn generate() -> String {
        Fernet::generate_key()
    }

    /// Tokens older than this are not decrypted, nor those made more than a minute in the future. On the wire they have
    /// no age.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Refuses requests whose secrets are not encrypted, and those with a token that cannot be decrypted.
    ///
    /// On the wire both are passed on to the handler, which takes a token for a password.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Encrypts only secrets that are members of the request itself, for servers that decrypt no others. Secrets
    /// deeper down then **travel in the clear**.
    #[must_use]
    pub fn top_level_only(mut self) -> Self {
        self.nested = false;
        self
    }

    /// Tells the age of tokens by another clock, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A token that holds this text.
    #[must_use]
    pub fn encrypt(&self, text: &str) -> String {
        let now = u64::try_from(self.now()).unwrap_or_default();
        self.keys[0].encrypt_at_time(text.as_bytes(), now)
    }

    /// The text in a token; `None` if it is none, if it was made with another key, if it was changed or is too old, or
    /// if what it holds is no text.
    #[must_use]
    pub fn decrypt(&self, token: &str) -> Option<String> {
        match self.read(token) {
            Reading::Secret(text) => Some(text),
            Reading::Plain | Reading::Unreadable(_) => None,
        }
    }

    /// What a text is.
    pub(crate) fn read(&self, text: &str) -> Reading {
        let Some(token) = Token::read(text) else {
            return Reading::Plain;
        };
        let read = |key: &Fernet| key.decrypt_at_time(&token.canonical, None, END_OF_TIME);
        let Some(bytes) = self.keys.iter().find_map(|key| read(key).ok()) else {
            // Text that merely resembles a token must not be refused as one.
            return if token.is_evident {
                Reading::Unreadable("it was made with another key, or changed since")
            } else {
                Reading::Plain
            };
        };
        if !self.is_recent(token.made_at) {
            return Reading::Unreadable("it has expired, or was made in the future");
        }
        String::from_utf8(bytes).map_or(
            Reading::Unreadable("what it holds is no text"),
            Reading::Secret,
        )
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    pub(crate) fn encrypts_nested(&self) -> bool {
        self.nested
    }

    fn is_recent(&self, made_at: u64) -> bool {
        let Some(ttl) = self.ttl else {
            return true;
        };
        let made_at = i64::try_from(made_at).unwrap_or(i64::MAX);
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let now = self.now();
        made_at.saturating_add(ttl) >= now && made_at <= now.saturating_add(SKEW)
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}

/// Whether a text is a token by its looks, whatever key it was made with.
pub(crate) fn resembles_token(text: &str) -> bool {
    Token::read(text).is_some()
}

fn malformed(index: usize, key: &str) -> Error {
    let (number, length) = (index + 1, key.len());
    let context = format!(
        "Fernet key number {number}, {length} bytes long, is no key: it must be 44 characters, the URL-safe base64 of 32 bytes \
         (`python3 -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'` makes one)"
    );
    Error::new(ErrorKind::Misuse, context)
}

/// Shows how many keys there are and what they are used for, never a key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("keys", &self.keys.len())
            .field("ttl", &self.ttl)
            .field("strict", &self.strict)
            .finish()
    }
}
