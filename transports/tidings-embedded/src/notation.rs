//! The notation in which messages are written: numbers, texts and header values as bytes, and back.
//!
//! Integers are variable-length, seven bits a byte; texts and byte strings have their length before them.
//! Reading believes nothing: a length is compared with what is left before anything is allocated. What a call
//! consists of is the business of [`envelope`](crate::envelope).

use bytes::Bytes;
use tidings_core::{Error, ErrorKind, HeaderValue, Headers, Result};

/// How deep lists and tables may be in one another. `x-death` needs three.
pub(crate) const DEEPEST: usize = 32;
/// How many headers one table may have. Setting one looks at all before it.
pub(crate) const MOST_HEADERS: usize = 4_096;

pub(crate) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    to.push(low_byte(number));
}

fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// Small negative numbers are short, too.
pub(crate) fn put_signed(to: &mut Vec<u8>, number: i64) {
    put_number(
        to,
        (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned(),
    );
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

pub(crate) fn put_text(to: &mut Vec<u8>, text: &str) {
    put_bytes(to, text.as_bytes());
}

pub(crate) fn put_table(to: &mut Vec<u8>, table: &Headers, depth: usize) -> Result<()> {
    if table.len() > MOST_HEADERS {
        return Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "a message has more than {MOST_HEADERS} headers: put such data into the payload"
            ),
        ));
    }
    put_number(to, table.len() as u64);
    table.iter().try_for_each(|(name, value)| {
        put_text(to, name);
        put_value(to, value, depth)
    })
}

fn put_value(to: &mut Vec<u8>, value: &HeaderValue, depth: usize) -> Result<()> {
    match value {
        HeaderValue::Null => to.push(0),
        HeaderValue::Bool(false) => to.push(1),
        HeaderValue::Bool(true) => to.push(2),
        HeaderValue::Int(int) => {
            to.push(3);
            put_signed(to, *int);
        }
        HeaderValue::Float(float) => {
            to.push(4);
            to.extend_from_slice(&float.to_le_bytes());
        }
        HeaderValue::Text(text) => {
            to.push(5);
            put_text(to, text);
        }
        HeaderValue::Bytes(bytes) => {
            to.push(6);
            put_bytes(to, bytes);
        }
        HeaderValue::Timestamp(seconds) => {
            to.push(7);
            put_signed(to, *seconds);
        }
        HeaderValue::List(list) => {
            check_depth(depth)?;
            to.push(8);
            put_number(to, list.len() as u64);
            list.iter()
                .try_for_each(|item| put_value(to, item, depth + 1))?;
        }
        HeaderValue::Table(table) => {
            check_depth(depth)?;
            to.push(9);
            put_table(to, table, depth + 1)?;
        }
        // `HeaderValue` may grow; this notation must then grow with it.
        _ => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a header has a value of a kind that cannot be written",
            ));
        }
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<()> {
    if depth < DEEPEST {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Misuse,
        format!("headers are nested more than {DEEPEST} deep: put such a value into the payload"),
    ))
}

pub(crate) fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("a stored or received message is damaged: {why}"),
    )
}

/// Reads from the front; never past the end.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a Bytes,
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..count) else {
            return Err(corrupt(format_args!(
                "{count} bytes are announced at byte {} and {} are left",
                self.at,
                rest.len()
            )));
        };
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(corrupt(format_args!(
            "the number before byte {} is too large",
            self.at
        )))
    }

    pub(crate) fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A length or a count. Everything counted takes at least one byte.
    fn length(&mut self) -> Result<usize> {
        let number = self.number()?;
        let left = self.bytes.len() - self.at;
        match usize::try_from(number) {
            Ok(length) if length <= left => Ok(length),
            _ => Err(corrupt(format_args!(
                "{number} bytes are announced at byte {} and {left} are left",
                self.at
            ))),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|error| corrupt("a text is not UTF-8").with_source(error))
    }

    pub(crate) fn table(&mut self, depth: usize) -> Result<Headers> {
        let count = self.length()?;
        if count > MOST_HEADERS {
            return Err(corrupt(format_args!(
                "{count} headers are announced at byte {}",
                self.at
            )));
        }
        let mut table = Headers::new();
        for _ in 0..count {
            let name = self.text()?.to_owned();
            table.set(name, self.value(depth)?);
        }
        Ok(table)
    }

    fn value(&mut self, depth: usize) -> Result<HeaderValue> {
        Ok(match self.byte()? {
            0 => HeaderValue::Null,
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Bool(true),
            3 => HeaderValue::Int(self.signed()?),
            4 => HeaderValue::Float(f64::from_le_bytes(self.array()?)),
            5 => HeaderValue::Text(self.text()?.into()),
            6 => {
                let length = self.length()?;
                let start = self.at;
                self.take(length)?;
                HeaderValue::Bytes(self.bytes.slice(start..self.at))
            }
            7 => HeaderValue::Timestamp(self.signed()?),
            8 if depth < DEEPEST => HeaderValue::List(self.list(depth + 1)?),
            9 if depth < DEEPEST => HeaderValue::Table(self.table(depth + 1)?),
            kind => {
                return Err(corrupt(format_args!(
                    "a header at byte {} has the unknown kind {kind}",
                    self.at
                )));
            }
        })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<HeaderValue>> {
        // Grows as items are found: the count alone reserves nothing.
        (0..self.length()?)
            .map(|_| self.value(depth))
            .collect::<Result<Vec<_>>>()
    }
}
