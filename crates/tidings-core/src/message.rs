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
        let message = T::decode(format, &opened.body)?;
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use jiff::Timestamp;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::contract::Invalid;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema, tidings_macros::Event)]
    #[event(name = "shelf.filled", version = 3, crate = crate)]
    struct ShelfFilled {
        books: u32,
    }

    #[derive(
        Debug, Serialize, Deserialize, JsonSchema, garde::Validate, tidings_macros::Command,
    )]
    #[command(crate = crate)]
    struct FillShelf {
        #[garde(range(max = 40))]
        books: u32,
        #[garde(length(min = 1))]
        room: String,
    }

    fn opened(body: &str) -> Opened<'_> {
        Opened {
            id: "1".into(),
            name: "shelf.filled".into(),
            version: 3,
            kind: "event".into(),
            occurred_at: Timestamp::UNIX_EPOCH,
            meta: "{}".into(),
            body: Cow::Borrowed(body.as_bytes()),
        }
    }

    fn read<T: FromMessage>(body: &str) -> Result<T> {
        T::from_message(&opened(body), Format::Json)
    }

    #[test]
    fn decodes_the_fields() {
        let filled: ShelfFilled = read(r#"{"books": 3, "unknown": true}"#).unwrap();
        assert_eq!(filled, ShelfFilled { books: 3 });
        assert_eq!(
            ShelfFilled::interest(),
            Interest::Contract(ShelfFilled::info())
        );
    }

    #[test]
    fn what_does_not_fit_names_the_contract_and_the_place() {
        let error = read::<ShelfFilled>(r#"{"books": -1}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let text = error.to_string();
        assert!(text.starts_with("event shelf.filled v3: "), "{text}");
        assert!(text.contains("line 1 column 12"), "{text}");
    }

    #[test]
    fn broken_rules_are_all_named() {
        assert!(read::<FillShelf>(r#"{"books": 40, "room": "a"}"#).is_ok());
        let error = read::<FillShelf>(r#"{"books": 41, "room": ""}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.starts_with("command fill.shelf v1 breaks its rules: "),
            "{text}"
        );
        let invalid = error.source_ref::<Invalid>().unwrap();
        let paths: Vec<_> = invalid
            .violations()
            .iter()
            .map(|broken| &*broken.path)
            .collect();
        assert_eq!(paths, ["books", "room"]);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema, tidings_macros::Event)]
    #[event(lax, crate = crate)]
    struct ShelfCounted {
        books: u32,
    }

    #[test]
    fn a_lax_event_forgives_a_spelling_and_names_every_member_that_does_not_fit() {
        let counted: ShelfCounted = read(r#"{"books": "3"}"#).unwrap();
        assert_eq!(counted, ShelfCounted { books: 3 });
        let error = read::<ShelfCounted>(r#"{"books": "x"}"#).unwrap_err();
        let invalid = error.source_ref::<Invalid>().unwrap();
        assert_eq!(invalid.violations()[0].path, "books");
        assert!(read::<ShelfFilled>(r#"{"books": "3"}"#).is_err());
    }

    #[test]
    fn any_message_is_kept_encoded() {
        let message: AnyMessage = read(r#"{"books": 3}"#).unwrap();
        assert_eq!(AnyMessage::interest(), Interest::All);
        assert!(message.is::<ShelfFilled>() && !message.is::<FillShelf>());
        assert_eq!(message.decode::<ShelfFilled>().unwrap().books, 3);
        assert_eq!(message.fields().unwrap()["books"], 3);

        let mut other_version = message;
        other_version.metadata.version = 2;
        assert!(!other_version.is::<ShelfFilled>());

        let undecodable: AnyMessage = read("{").unwrap();
        assert_eq!(undecodable.fields().unwrap_err().kind(), ErrorKind::Decode);
    }
}
