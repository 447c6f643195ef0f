//! What a handler's last argument may be: a typed message, or any message at all.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Contract, Metadata,
    codec::Format,
    convention::{Interest, Opened},
    error::{Error, ErrorKind, Result},
};

/// The last argument of a handler, decoded from the message.
///
/// Every [`Contract`] is one, and so is [`AnyMessage`]. The compiler explains what is missing in the words of
/// [`Contract`].
pub trait FromMessage: Sized + Send + 'static {
    /// What a subscriber with such a handler wants to receive.
    fn interest() -> Interest;

    /// Decodes the message.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if the fields are not those of the type, [`ErrorKind::Invalid`] if they break its rules.
    fn from_message(opened: &Opened<'_>, format: Format) -> Result<Self>;
}

impl<T: Contract> FromMessage for T {
    fn interest() -> Interest {
        Interest::Contract(T::info())
    }

    fn from_message(opened: &Opened<'_>, format: Format) -> Result<Self> {
        let message: Self = format
            .decode(&opened.body)
            .map_err(|error| error.within(T::info()))?;
        message.validate().map_err(|invalid| {
            let context = format!("{} breaks its rules: {invalid}", T::info());
            Error::new(ErrorKind::Invalid, context).with_source(invalid)
        })?;
        Ok(message)
    }
}

/// A message of any contract, with its fields still encoded: for stores, audits and dead-letter handlers.
#[derive(Clone, Debug)]
pub struct AnyMessage {
    /// What is known about it.
    pub metadata: Metadata,
    /// Its encoded fields.
    pub body: Bytes,
    format: Format,
}

impl AnyMessage {
    /// The fields as a JSON value.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if they are not JSON.
    pub fn fields(&self) -> Result<Value> {
        self.format.decode(&self.body)
    }

    /// The fields as a type of the caller's choosing, without its rules being checked.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if they do not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.format.decode(&self.body)
    }

    /// Whether it is a message of this contract, by name and version.
    #[must_use]
    pub fn is<T: Contract>(&self) -> bool {
        self.metadata.name == T::NAME && self.metadata.version == i64::from(T::VERSION)
    }
}

impl FromMessage for AnyMessage {
    fn interest() -> Interest {
        Interest::All
    }

    fn from_message(opened: &Opened<'_>, format: Format) -> Result<Self> {
        let body = Bytes::copy_from_slice(&opened.body);
        Ok(Self {
            metadata: opened.to_metadata(),
            body,
            format,
        })
    }
}
