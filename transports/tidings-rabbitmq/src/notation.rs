//! Headers as AMQP field tables, and back; texts as AMQP short strings.
//!
//! What we write is narrow: an integer is a long int where it fits (which is what Python clients write and expect), a
//! text is a long string. What we read may come from anybody: every field type has a nearest value of ours, and nothing
//! that a peer can write makes this code fail. What a message consists of is the business of [`envelope`](crate::envelope).

use std::fmt;

use bytes::Bytes;
use lapin::types::{
    AMQPValue, DecimalValue, FieldArray, FieldTable, LongString, MAX_SHORT_STRING_LENGTH,
    ShortString,
};
use tidings_core::{Error, ErrorKind, HeaderValue, Headers, Result};

/// How deep lists and tables may be in one another. `x-death` needs three.
const DEEPEST: usize = 32;

/// All headers of a message travel in one frame together with its properties. The broker closes the connection on a
/// larger one, so it must not be sent: RabbitMQ's frames are 128 KiB, and the properties need up to three of them.
const MOST_BYTES: usize = 124 << 10;

/// A short string.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) that says what it is if it has more than 255 bytes.
pub(crate) fn short(text: &str, what: impl fmt::Display) -> Result<ShortString> {
    if text.len() > MAX_SHORT_STRING_LENGTH {
        let start: String = text.chars().take(40).collect();
        return Err(misuse(format_args!(
            "{what} `{start}…` is {} bytes long: shorten it to at most {MAX_SHORT_STRING_LENGTH}",
            text.len()
        )));
    }
    Ok(ShortString::from(text))
}

/// Headers, or the arguments of a queue or a consumer, as a field table.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) if a name has more than 255 bytes, if they are nested too deep or take too much room, or
/// if a timestamp is before 1970.
pub(crate) fn to_table(headers: &Headers) -> Result<FieldTable> {
    let mut room = MOST_BYTES;
    write_table(headers, DEEPEST, &mut room)
}

/// A field table as headers, in the order of their names.
pub(crate) fn from_table(table: &FieldTable) -> Headers {
    read_table(table, DEEPEST)
}

fn write_table(headers: &Headers, deeper: usize, room: &mut usize) -> Result<FieldTable> {
    let mut table = FieldTable::default();
    for (name, value) in headers.iter() {
        take(room, name.len() + 1)?;
        let value = write_value(name, value, deeper, room)?;
        table.insert(short(name, "the header name")?, value);
    }
    Ok(table)
}

fn write_value(
    name: &str,
    value: &HeaderValue,
    deeper: usize,
    room: &mut usize,
) -> Result<AMQPValue> {
    // A type, and a length or a number.
    take(room, 9)?;
    let below = || {
        deeper.checked_sub(1).ok_or_else(|| {
            misuse(format_args!(
                "header `{name}` is nested more than {DEEPEST} deep: put it into the payload"
            ))
        })
    };
    Ok(match value {
        HeaderValue::Bool(truth) => AMQPValue::Boolean(*truth),
        HeaderValue::Int(int) => {
            i32::try_from(*int).map_or(AMQPValue::LongLongInt(*int), AMQPValue::LongInt)
        }
        HeaderValue::Float(float) => AMQPValue::Double(*float),
        HeaderValue::Text(text) => {
            take(room, text.len())?;
            AMQPValue::LongString(LongString::from(text.as_bytes()))
        }
        HeaderValue::Bytes(bytes) => {
            take(room, bytes.len())?;
            AMQPValue::ByteArray(bytes[..].into())
        }
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(timestamp(*seconds, name)?),
        HeaderValue::List(list) => {
            let below = below()?;
            let items = list.iter().map(|item| write_value(name, item, below, room));
            AMQPValue::FieldArray(FieldArray::from(items.collect::<Result<Vec<_>>>()?))
        }
        HeaderValue::Table(table) => AMQPValue::FieldTable(write_table(table, below()?, room)?),
        // `Null`, and whatever comes later that AMQP has no type for.
        _ => AMQPValue::Void,
    })
}

/// Seconds since 1970, as AMQP has them.
pub(crate) fn timestamp(seconds: i64, what: &str) -> Result<u64> {
    u64::try_from(seconds).map_err(|_| {
        misuse(format_args!(
            "`{what}` is a time before 1970, which AMQP cannot express: write it as text"
        ))
    })
}

fn take(room: &mut usize, bytes: usize) -> Result<()> {
    *room = room.checked_sub(bytes).ok_or_else(|| {
        misuse(format_args!(
            "the headers need more than {} KiB, which is all that fits into a frame: put such data into the payload",
            MOST_BYTES >> 10
        ))
    })?;
    Ok(())
}

fn read_table(table: &FieldTable, deeper: usize) -> Headers {
    table
        .into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), read_value(value, deeper)))
        .collect()
}

fn read_value(value: &AMQPValue, deeper: usize) -> HeaderValue {
    let integer = |int: i64| HeaderValue::Int(int);
    match value {
        AMQPValue::Void => HeaderValue::Null,
        AMQPValue::Boolean(truth) => HeaderValue::Bool(*truth),
        AMQPValue::ShortShortInt(int) => integer((*int).into()),
        AMQPValue::ShortShortUInt(int) => integer((*int).into()),
        AMQPValue::ShortInt(int) => integer((*int).into()),
        AMQPValue::ShortUInt(int) => integer((*int).into()),
        AMQPValue::LongInt(int) => integer((*int).into()),
        AMQPValue::LongUInt(int) => integer((*int).into()),
        AMQPValue::LongLongInt(int) => integer(*int),
        AMQPValue::Float(float) => HeaderValue::Float((*float).into()),
        AMQPValue::Double(float) => HeaderValue::Float(*float),
        AMQPValue::DecimalValue(decimal) => HeaderValue::Float(read_decimal(*decimal)),
        AMQPValue::ShortString(text) => text.as_str().into(),
        AMQPValue::LongString(text) => read_text(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(seconds_of(*seconds)),
        // Nobody nests this deep in earnest, and each level costs stack.
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) if deeper == 0 => HeaderValue::Null,
        AMQPValue::FieldArray(list) => {
            let items = list.as_slice().iter();
            HeaderValue::List(items.map(|item| read_value(item, deeper - 1)).collect())
        }
        AMQPValue::FieldTable(table) => HeaderValue::Table(read_table(table, deeper - 1)),
    }
}

/// Text is text only if it is UTF-8.
fn read_text(bytes: &[u8]) -> HeaderValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes)),
    }
}

/// A time beyond what we can hold becomes the last that we can.
pub(crate) fn seconds_of(timestamp: u64) -> i64 {
    i64::try_from(timestamp).unwrap_or(i64::MAX)
}

fn read_decimal(decimal: DecimalValue) -> f64 {
    f64::from(decimal.value) / 10_f64.powi(decimal.scale.into())
}

pub(crate) fn misuse(context: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Misuse, context.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Any value that a peer can write.
    fn foreign() -> impl Strategy<Value = AMQPValue> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i8>().prop_map(AMQPValue::ShortShortInt),
            any::<u8>().prop_map(AMQPValue::ShortShortUInt),
            any::<i16>().prop_map(AMQPValue::ShortInt),
            any::<u16>().prop_map(AMQPValue::ShortUInt),
            any::<i32>().prop_map(AMQPValue::LongInt),
            any::<u32>().prop_map(AMQPValue::LongUInt),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<f32>().prop_map(AMQPValue::Float),
            any::<f64>().prop_map(AMQPValue::Double),
            (any::<u8>(), any::<u32>())
                .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
            ".{0,9}".prop_map(|text| AMQPValue::ShortString(text.into())),
            vec(any::<u8>(), 0..9).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
            vec(any::<u8>(), 0..9).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            Just(AMQPValue::Void),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(|list| AMQPValue::FieldArray(list.into())),
                vec((".{0,9}", inner), 0..4)
                    .prop_map(|pairs| AMQPValue::FieldTable(field_table(pairs))),
            ]
        })
    }

    fn field_table(pairs: Vec<(String, AMQPValue)>) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in pairs {
            table.insert(name.into(), value);
        }
        table
    }

    proptest! {
        #[test]
        fn whatever_a_peer_writes_is_read_and_can_be_passed_on(pairs in vec((".{0,9}", foreign()), 0..6)) {
            let read = from_table(&field_table(pairs));
            let written = to_table(&read).unwrap();
            let again = from_table(&written);
            // Not a number is not equal to itself.
            prop_assert_eq!(format!("{again:?}"), format!("{read:?}"));
        }
    }

    fn nested(depth: usize) -> Headers {
        let value = (0..depth).fold(HeaderValue::Null, |inner, _| HeaderValue::List(vec![inner]));
        Headers::new().with("deep", value)
    }

    #[test]
    fn integers_are_as_narrow_as_python_clients_write_them() {
        let value =
            |int: i64| to_table(&Headers::new().with("n", int)).unwrap().inner()["n"].clone();
        assert_eq!(value(1), AMQPValue::LongInt(1));
        assert_eq!(value(i32::MIN.into()), AMQPValue::LongInt(i32::MIN));
        let wide = i64::from(i32::MAX) + 1;
        assert_eq!(value(wide), AMQPValue::LongLongInt(wide));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let check = |headers: &Headers, named: &str| {
            let error = to_table(headers).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains(named), "{error}");
        };
        assert!(to_table(&nested(DEEPEST)).is_ok());
        check(&nested(DEEPEST + 1), "`deep`");
        check(&Headers::new().with("n".repeat(256), 1), "header name `nnn");
        check(
            &Headers::new().with("large", "x".repeat(MOST_BYTES)),
            "124 KiB",
        );
        let before = HeaderValue::Timestamp(-1);
        check(&Headers::new().with("when", before), "`when`");
        assert!(short(&"x".repeat(255), "the key").is_ok());
        assert_eq!(
            short(&"x".repeat(256), "the key").unwrap_err().kind(),
            ErrorKind::Misuse
        );
    }

    #[test]
    fn what_is_too_deep_to_read_is_left_out() {
        let deep = (0..1_000).fold(AMQPValue::Void, |inner, _| {
            AMQPValue::FieldArray(vec![inner].into())
        });
        let table = field_table(vec![("deep".to_owned(), deep)]);
        assert_eq!(from_table(&table), nested(DEEPEST));
    }

    #[test]
    fn nearest_values() {
        let check = |value: AMQPValue, expected: HeaderValue| {
            assert_eq!(read_value(&value, DEEPEST), expected);
        };
        let decimal = DecimalValue {
            scale: 2,
            value: 1_250,
        };
        check(AMQPValue::DecimalValue(decimal), HeaderValue::Float(12.5));
        check(
            AMQPValue::Timestamp(u64::MAX),
            HeaderValue::Timestamp(i64::MAX),
        );
        check(
            AMQPValue::LongString(vec![0xff].into()),
            HeaderValue::Bytes(vec![0xff].into()),
        );
        check(AMQPValue::LongString("é".into()), HeaderValue::from("é"));
        check(
            AMQPValue::LongUInt(u32::MAX),
            HeaderValue::Int(u32::MAX.into()),
        );
    }
}
