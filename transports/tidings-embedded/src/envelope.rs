//! A call as bytes: one compact notation for the journal and for the link between processes.
//!
//! The payload comes last and is not copied: [`decode`] returns a slice of its input, and a writer may send
//! [`encode_head`] and the payload one after the other. Origin, deadline and extensions do not travel.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version of this notation |
//! | 1 | flags: mandatory, persistent, has a content type, has headers, has properties |
//! | text, text | exchange, routing key |
//! | text | content type, if there is one |
//! | table | headers, if there are any: a count, then names and values |
//! | 2, fields | which properties are set, then those |
//! | the rest | payload |
//!
//! How texts and numbers are written is in the module `notation`.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind, HeaderValue, Headers, Payload, Properties, Result,
    properties::Fields,
};

use crate::notation::{
    DEEPEST, MOST_HEADERS, Reader, corrupt, put_number, put_signed, put_table, put_text,
};

const VERSION: u8 = 1;
/// SQLite keeps no more than a thousand million bytes in one place.
const LARGEST_PAYLOAD: usize = 512 << 20;
/// Headers that a message may get while it is kept.
const ROOM_FOR_DEATHS: usize = 8;

const MANDATORY: u8 = 1;
const PERSISTENT: u8 = 1 << 1;
const CONTENT_TYPE: u8 = 1 << 2;
const HEADERS: u8 = 1 << 3;
const PROPERTIES: u8 = 1 << 4;

/// Writes everything but the payload of a call. Head and payload, one after the other, are what [`decode`] reads.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) if headers are nested more than 32 deep; `to` may have been written to.
pub fn encode_head(
    address: &Address,
    envelope: &Envelope,
    mandatory: bool,
    to: &mut Vec<u8>,
) -> Result<()> {
    let Envelope {
        payload,
        headers,
        properties,
        persistent,
    } = envelope;
    let flags = [
        (mandatory, MANDATORY),
        (*persistent, PERSISTENT),
        (payload.content_type.is_some(), CONTENT_TYPE),
        (!headers.is_empty(), HEADERS),
        (!properties.is_empty(), PROPERTIES),
    ];
    to.push(VERSION);
    to.push(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, flag)| flag)
            .sum(),
    );
    put_text(to, &address.exchange);
    put_text(to, &address.key);
    if let Some(content_type) = &payload.content_type {
        put_text(to, content_type);
    }
    if !headers.is_empty() {
        put_table(to, headers, 0)?;
    }
    if let Some(fields) = properties.fields()
        && !properties.is_empty()
    {
        put_properties(to, fields);
    }
    Ok(())
}

/// Writes a call with its payload.
///
/// # Errors
/// As [`encode_head`].
pub fn encode(call: &Call, to: &mut Vec<u8>) -> Result<()> {
    encode_head(&call.address, &call.envelope, call.mandatory, to)?;
    to.extend_from_slice(&call.envelope.payload.bytes);
    Ok(())
}

/// Checks that [`encode_head`] will be able to write a call, also after it has died in queues and got headers for
/// that, and that its payload fits where it will be kept.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) that names what is too large.
pub(crate) fn check(call: &Call) -> Result<()> {
    let Envelope {
        payload, headers, ..
    } = &call.envelope;
    if payload.len() > LARGEST_PAYLOAD {
        return Err(misuse(format_args!(
            "the payload for `{}` has {} bytes: keep it elsewhere and send where it is; at most {LARGEST_PAYLOAD} are kept",
            call.address,
            payload.len()
        )));
    }
    if headers.len() + ROOM_FOR_DEATHS > MOST_HEADERS {
        return Err(misuse(format_args!(
            "the message for `{}` has {} headers: put such data into the payload",
            call.address,
            headers.len()
        )));
    }
    headers.iter().try_for_each(|(name, value)| {
        let fits = depth_fits(value, DEEPEST);
        fits.then_some(()).ok_or_else(|| misuse(format_args!("header `{name}` is nested more than {DEEPEST} deep or has too many entries: put it into the payload")))
    })
}

fn depth_fits(value: &HeaderValue, left: usize) -> bool {
    match value {
        HeaderValue::List(list) => left > 0 && list.iter().all(|item| depth_fits(item, left - 1)),
        HeaderValue::Table(table) => {
            left > 0
                && table.len() <= MOST_HEADERS
                && table.iter().all(|(_, item)| depth_fits(item, left - 1))
        }
        _ => true,
    }
}

fn misuse(context: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Misuse, context.to_string())
}

/// Reads a call, whatever the bytes are.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) if they are not what [`encode`] writes.
pub fn decode(bytes: &Bytes) -> Result<Call> {
    let mut reader = Reader { bytes, at: 0 };
    let version = reader.byte()?;
    if version != VERSION {
        return Err(corrupt(format_args!(
            "it has version {version}, this program knows {VERSION}"
        )));
    }
    let flags = reader.byte()?;
    let has = |flag| flags & flag != 0;
    let address = Address::new(reader.text()?, reader.text()?);
    let content_type = if has(CONTENT_TYPE) {
        Some(media_type(reader.text()?))
    } else {
        None
    };
    let headers = if has(HEADERS) {
        reader.table(0)?
    } else {
        Headers::new()
    };
    let properties = if has(PROPERTIES) {
        read_properties(&mut reader)?
    } else {
        Properties::new()
    };
    let envelope = Envelope {
        payload: Payload {
            bytes: bytes.slice(reader.at..),
            content_type,
        },
        headers,
        properties,
        persistent: has(PERSISTENT),
    };
    let mut call = Call::new(address, envelope);
    call.mandatory = has(MANDATORY);
    Ok(call)
}

/// Nearly all messages are JSON: that needs no allocation.
fn media_type(text: &str) -> Cow<'static, str> {
    const JSON: &str = "application/json";
    if text == JSON {
        Cow::Borrowed(JSON)
    } else {
        Cow::Owned(text.to_owned())
    }
}

fn put_properties(to: &mut Vec<u8>, fields: &Fields) {
    let texts = texts(fields);
    let mut set = 0_u16;
    for (index, text) in texts.iter().enumerate() {
        set |= u16::from(text.is_some()) << index;
    }
    set |= u16::from(fields.timestamp.is_some()) << 7;
    set |= u16::from(fields.priority.is_some()) << 8;
    set |= u16::from(fields.expiration.is_some()) << 9;
    to.extend_from_slice(&set.to_le_bytes());
    for text in texts.into_iter().flatten() {
        put_text(to, text);
    }
    if let Some(timestamp) = fields.timestamp {
        put_signed(to, timestamp);
    }
    to.extend(fields.priority);
    if let Some(expiration) = fields.expiration {
        put_number(to, expiration.as_secs());
        put_number(to, u64::from(expiration.subsec_nanos()));
    }
}

/// The textual properties in the order in which they are written.
fn texts(fields: &Fields) -> [&Option<Arc<str>>; 7] {
    [
        &fields.message_id,
        &fields.correlation_id,
        &fields.reply_to,
        &fields.content_encoding,
        &fields.app_id,
        &fields.user_id,
        &fields.kind,
    ]
}

fn read_properties(reader: &mut Reader<'_>) -> Result<Properties> {
    let set = u16::from_le_bytes(reader.array()?);
    let has = |index: u16| set >> index & 1 == 1;
    let mut fields = Fields::default();
    for (index, field) in [
        &mut fields.message_id,
        &mut fields.correlation_id,
        &mut fields.reply_to,
        &mut fields.content_encoding,
        &mut fields.app_id,
        &mut fields.user_id,
        &mut fields.kind,
    ]
    .into_iter()
    .enumerate()
    {
        if set >> index & 1 == 1 {
            *field = Some(reader.text()?.into());
        }
    }
    if has(7) {
        fields.timestamp = Some(reader.signed()?);
    }
    if has(8) {
        fields.priority = Some(reader.byte()?);
    }
    if has(9) {
        let seconds = reader.number()?;
        let nanos = u32::try_from(reader.number()?)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000);
        let nanos =
            nanos.ok_or_else(|| corrupt("an expiration has more than a second of nanoseconds"))?;
        fields.expiration = Some(Duration::new(seconds, nanos));
    }
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        ".{0,12}"
    }

    fn value() -> impl Strategy<Value = HeaderValue> {
        let leaf = prop_oneof![
            Just(HeaderValue::Null),
            any::<bool>().prop_map(HeaderValue::Bool),
            any::<i64>().prop_map(HeaderValue::Int),
            any::<i32>().prop_map(|number| HeaderValue::Float(f64::from(number) / 3.0)),
            text().prop_map(HeaderValue::from),
            vec(any::<u8>(), 0..9).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
            any::<i64>().prop_map(HeaderValue::Timestamp),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
                vec((text(), inner), 0..4)
                    .prop_map(|pairs| HeaderValue::Table(pairs.into_iter().collect())),
            ]
        })
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let text = || option::of(text().prop_map(Arc::<str>::from));
        let texts = (text(), text(), text(), text(), text(), text(), text());
        let numbers = (
            option::of(any::<i64>()),
            option::of(any::<u8>()),
            option::of(any::<Duration>()),
        );
        (texts, numbers).prop_map(|(texts, (timestamp, priority, expiration))| Fields {
            message_id: texts.0,
            correlation_id: texts.1,
            reply_to: texts.2,
            content_encoding: texts.3,
            app_id: texts.4,
            user_id: texts.5,
            kind: texts.6,
            timestamp,
            priority,
            expiration,
        })
    }

    fn call() -> impl Strategy<Value = Call> {
        let content_type = prop_oneof![
            Just(None),
            Just(Some("application/json".to_owned())),
            text().prop_map(Some)
        ];
        let payload = (vec(any::<u8>(), 0..40), content_type);
        let headers = vec((text(), value()), 0..5);
        (
            text(),
            text(),
            payload,
            headers,
            option::of(fields()),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(
                |(exchange, key, (bytes, content_type), headers, fields, persistent, mandatory)| {
                    let mut envelope =
                        Envelope::new(bytes).with_headers(headers.into_iter().collect());
                    envelope.payload.content_type = content_type.map(Cow::Owned);
                    // An empty set of properties is written as none.
                    let fields = fields.filter(|fields| *fields != Fields::default());
                    envelope.properties = fields.map(Properties::from).unwrap_or_default();
                    envelope.persistent = persistent;
                    let mut call = Call::new(Address::new(exchange, key), envelope);
                    call.mandatory = mandatory;
                    call
                },
            )
    }

    fn encoded(call: &Call) -> Bytes {
        let mut bytes = Vec::new();
        encode(call, &mut bytes).unwrap();
        bytes.into()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(call in call()) {
            let read = decode(&encoded(&call)).unwrap();
            prop_assert_eq!(&read.address, &call.address);
            prop_assert_eq!(&read.envelope, &call.envelope);
            prop_assert_eq!(read.mandatory, call.mandatory);
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..200)) {
            check_answer(bytes);
        }

        #[test]
        fn damaged_calls_get_an_answer(call in call(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encoded(&call).to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            check_answer(bytes);
        }
    }

    fn check_answer(bytes: Vec<u8>) {
        if let Err(error) = decode(&bytes.into()) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    }

    #[test]
    fn the_payload_is_not_copied() {
        let bytes = encoded(&Call::new(
            Address::queue("q"),
            Envelope::new(vec![7; 1_000]),
        ));
        let read = decode(&bytes).unwrap();
        assert_eq!(
            bytes.slice(bytes.len() - 1_000..).as_ptr(),
            read.envelope.payload.bytes.as_ptr()
        );
    }

    #[test]
    fn huge_announcements_are_refused() {
        for body in [
            &[
                VERSION, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ][..],
            &[
                VERSION, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            &[VERSION, HEADERS, 0, 0, 0xff, 0xff, 0xff, 0x7f],
            &[VERSION + 1, 0, 0, 0],
            &[],
        ] {
            let error = decode(&Bytes::from(body.to_vec())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    }

    fn nested(depth: usize) -> Call {
        let value = (0..depth).fold(HeaderValue::Null, |inner, _| HeaderValue::List(vec![inner]));
        Call::new(
            Address::queue("q"),
            Envelope::default().with_headers(Headers::new().with("deep", value)),
        )
    }

    #[test]
    fn what_would_be_too_deep_to_read_is_not_written() {
        let deepest = nested(DEEPEST);
        assert_eq!(
            decode(&encoded(&deepest)).unwrap().envelope,
            deepest.envelope
        );
        let error = encode(&nested(DEEPEST + 1), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
    }
}
