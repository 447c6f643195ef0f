//! A JSON document as it was written, and the reader of it.
//!
//! `serde_json::Value` cannot hold what Python's reader lets through: `NaN`, half a surrogate pair, integers of any
//! size. This tree can, and knows an integer from a float. It is read only after serde has refused the bytes, so the
//! reader is made to be short, not fast.

use std::collections::HashMap;

use super::Rules;

/// How deep arrays and objects may lie in one another, as for `serde_json`.
const DEPTH: usize = 127;

/// What stands in a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i128),
    /// An integer that 128 bits do not hold, as the float next to it.
    Huge(f64),
    Float(f64),
    Text(String),
    /// A string with half a surrogate pair in it, which Python has and Rust has not.
    Torn,
    List(Vec<Self>),
    Record(Vec<(String, Self)>),
}

/// Why bytes are no document, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Unreadable {
    pub(super) reason: &'static str,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Reads a whole document.
pub(super) fn read(bytes: &[u8], rules: Rules) -> Result<Json, Unreadable> {
    let lax = rules == Rules::Lax;
    // Python's reader skips a byte order mark.
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if lax => rest,
        _ => bytes,
    };
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(unreadable(bytes, error.valid_up_to(), "not UTF-8")),
    };
    let mut reader = Reader {
        text,
        at: 0,
        lax,
        depth: 0,
    };
    reader
        .document()
        .map_err(|reason| unreadable(bytes, reader.at, reason))
}

fn unreadable(bytes: &[u8], at: usize, reason: &'static str) -> Unreadable {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n');
    Unreadable {
        reason,
        line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        column: 1 + before.len() - line_start.map_or(0, |at| at + 1),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    lax: bool,
    depth: usize,
}

/// The reason if it cannot be read; the place is where the reader stands.
type Read<T> = Result<T, &'static str>;

impl<'t> Reader<'t> {
    fn document(&mut self) -> Read<Json> {
        let value = self.value()?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err("trailing characters"),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(|byte| blank(byte)).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Read<Json> {
        match self.peek() {
            None => Err("expected a value, found the end"),
            Some(b'{') => self.nested(Self::record),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => Ok(self.string()?.map_or(Json::Torn, Json::Text)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn word(&mut self) -> Read<Json> {
        let words = [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ];
        let more = [
            ("NaN", Json::Float(f64::NAN)),
            ("Infinity", Json::Float(f64::INFINITY)),
            ("-Infinity", Json::Float(f64::NEG_INFINITY)),
        ];
        let more = more.into_iter().filter(|_| self.lax);
        let rest = &self.text[self.at..];
        let known = words
            .into_iter()
            .chain(more)
            .find(|(word, _)| rest.starts_with(word));
        let (word, value) = known.ok_or("expected a value")?;
        self.at += word.len();
        Ok(value)
    }

    /// A number by the grammar of JSON, which is narrower than that of Rust.
    fn number(&mut self) -> Read<Json> {
        if self.text[self.at..].starts_with("-I") {
            return self.word();
        }
        let start = self.at;
        self.at += usize::from(self.text.as_bytes()[start] == b'-');
        let whole = self.digits();
        let leading_zero = self.text[self.at - whole..].starts_with('0');
        if whole == 0 || (whole > 1 && leading_zero) {
            return Err("invalid number");
        }
        let mut fractional = false;
        if self.take(b".") {
            fractional = true;
            if self.digits() == 0 {
                return Err("invalid number");
            }
        }
        if self.take(b"eE") {
            fractional = true;
            self.take(b"+-");
            if self.digits() == 0 {
                return Err("invalid number");
            }
        }
        let text = &self.text[start..self.at];
        // serde reads -0 as a float, Python as an integer.
        let fractional = fractional || (text == "-0" && !self.lax);
        Ok(number(text, fractional))
    }

    /// Goes past a digit sequence and says how long it was.
    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn take(&mut self, one_of: &[u8]) -> bool {
        let next = self.text.as_bytes().get(self.at);
        let found = next.is_some_and(|byte| one_of.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Read<Json>) -> Read<Json> {
        if self.depth == DEPTH {
            return Err("nested too deeply");
        }
        self.at += 1;
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Read<Json> {
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(elements));
        }
        loop {
            elements.push(self.value()?);
            if self.closes(b']', "expected `,` or `]`")? {
                return Ok(Json::List(elements));
            }
        }
    }

    fn record(&mut self) -> Read<Json> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut places = HashMap::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Record(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err("expected the name of a member");
            }
            // A name that Rust cannot hold is the name of no member of ours.
            let name = self.string()?.unwrap_or_else(|| "\u{fffd}".to_owned());
            if self.peek() != Some(b':') {
                return Err("expected `:`");
            }
            self.at += 1;
            let value = self.value()?;
            // Of two members with one name Python keeps the last, in the place of the first.
            match places.get(&name) {
                Some(&place) => members[place] = (name, value),
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
            if self.closes(b'}', "expected `,` or `}`")? {
                return Ok(Json::Record(members));
            }
        }
    }

    fn closes(&mut self, end: u8, expected: &'static str) -> Read<bool> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(expected),
        }
    }

    /// The string that starts here; `None` if Rust cannot hold it.
    fn string(&mut self) -> Read<Option<String>> {
        self.at += 1;
        let mut string = String::new();
        let mut torn = false;
        loop {
            let rest = &self.text[self.at..];
            let special = |c: char| matches!(c, '"' | '\\' | '\0'..='\u{1f}');
            let plain = rest.find(special).ok_or("a string without an end")?;
            string.push_str(&rest[..plain]);
            self.at += plain;
            match self.text.as_bytes()[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok((!torn).then_some(string));
                }
                b'\\' => match self.escape()? {
                    Some(c) => string.push(c),
                    None => torn = true,
                },
                _ => return Err("a control character in a string"),
            }
        }
    }

    /// The character behind a backslash; `None` for half a surrogate pair.
    fn escape(&mut self) -> Read<Option<char>> {
        let escaped = self.text.as_bytes().get(self.at + 1).copied();
        let c = match escaped.ok_or("a string without an end")? {
            b'u' => return self.unicode(),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            _ => return Err("invalid escape"),
        };
        self.at += 2;
        Ok(Some(c))
    }

    fn unicode(&mut self) -> Read<Option<char>> {
        let first = self.unit(self.at).ok_or("invalid escape")?;
        self.at += 6;
        if let Some(c) = char::from_u32(u32::from(first)) {
            return Ok(Some(c));
        }
        let Some(second) = self.unit(self.at) else {
            return Ok(None);
        };
        let pair = char::decode_utf16([first, second]).next();
        let Some(Ok(c)) = pair else { return Ok(None) };
        self.at += 6;
        Ok(Some(c))
    }

    /// The UTF-16 unit that is written as `\uXXXX` here.
    fn unit(&self, at: usize) -> Option<u16> {
        let written: &'t str = self.text.get(at..at + 6)?;
        let digits = written.strip_prefix("\\u")?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal.then(|| u16::from_str_radix(digits, 16).ok())?
    }
}

/// The value of a number that is written by the grammar of JSON.
pub(super) fn number(text: &str, fractional: bool) -> Json {
    let float = || text.parse().unwrap_or(f64::NAN);
    match text.parse() {
        Ok(integer) if !fractional => Json::Int(integer),
        Err(_) if !fractional => Json::Huge(float()),
        _ => Json::Float(float()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Json) {
        assert_eq!(
            read(text.as_bytes(), Rules::Lax).as_ref(),
            Ok(expected),
            "{text}"
        );
    }

    fn refuses(text: &[u8], reason: &str, line: usize, column: usize) {
        let refused = read(text, Rules::Lax).unwrap_err();
        let found = (refused.reason, refused.line, refused.column);
        assert_eq!(found, (reason, line, column), "{text:?}");
    }

    #[test]
    fn keeps_what_python_keeps() {
        check(" -0 ", &Json::Int(0));
        check(
            "18446744073709551616",
            &Json::Int(18_446_744_073_709_551_616),
        );
        check(&format!("1{}", "0".repeat(50)), &Json::Huge(1e50));
        check("1E2", &Json::Float(100.0));
        check("-Infinity", &Json::Float(f64::NEG_INFINITY));
        check(r#""\ud83d\ude00\n\/""#, &Json::Text("😀\n/".to_owned()));
        check(r#""a\ud83dz""#, &Json::Torn);
        check(r#""\ude00\ud83d""#, &Json::Torn);
        let last = Json::Record(vec![
            ("a".to_owned(), Json::Int(3)),
            ("b".to_owned(), Json::Int(2)),
        ]);
        check("\u{feff}{\"a\":1,\"b\":2,\"a\":3}", &last);
    }

    #[test]
    fn says_where_and_never_what() {
        refuses(b"", "expected a value, found the end", 1, 1);
        refuses(b"{\n \"a\": tru}", "expected a value", 2, 7);
        refuses(b"[1 2]", "expected `,` or `]`", 1, 4);
        refuses(b"{\"a\" 1}", "expected `:`", 1, 6);
        refuses(b"{1:2}", "expected the name of a member", 1, 2);
        refuses(b"\"\xff\"", "not UTF-8", 1, 2);
        refuses(b"\"a\nb\"", "a control character in a string", 1, 3);
        refuses(b"\"\\u12", "invalid escape", 1, 2);
        refuses(b"\"\\", "a string without an end", 1, 2);
        refuses(b"{} {}", "trailing characters", 1, 4);
        refuses("[".repeat(200).as_bytes(), "nested too deeply", 1, 128);
    }

    #[test]
    fn strict_is_the_grammar_of_json() {
        for text in ["NaN", "-Infinity", "[Infinity]", "\u{feff}{}"] {
            assert!(read(text.as_bytes(), Rules::Strict).is_err(), "{text}");
        }
        assert_eq!(read(b"-0", Rules::Strict), Ok(Json::Float(-0.0)));
    }
}
