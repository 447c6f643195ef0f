//! Finds the members of a message in its text: one pass, no recursion, no copy.
//!
//! A JSON reader of our own, because the usual ones either build values or refuse what Python accepts. It
//! checks the grammar and remembers where members begin and end; it never looks into their meaning.

use std::ops::Range;

use super::nesting::Nesting;

/// Where something is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Something that Python's JSON has and JSON does not, and what stands for it here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fix {
    pub(super) at: Span,
    pub(super) with: &'static str,
}

/// What should be where the scanner stopped. The place is the scanner's own: without it a result fits into
/// registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected(pub(super) &'static str);

pub(super) type Scan<T = ()> = Result<T, Expected>;

/// A place in a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    pub(super) at: usize,
    pub(super) fixes: Vec<Fix>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            fixes: Vec::new(),
        }
    }

    /// The first byte of the value that comes next.
    pub(super) fn upcoming(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    /// Reads an object, calling `member` at each value with the text between the quotes of its key.
    /// `member` must read the value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Scan) -> Scan {
        self.space();
        self.expect(b'{', "`{`")?;
        if self.upcoming() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(self, &self.text[key.start + 1..key.end - 1])?;
            match self.upcoming() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("`,` or `}`"),
            }
        }
    }

    /// Reads any value.
    pub(super) fn value(&mut self) -> Scan<Span> {
        let first = self.upcoming();
        let start = self.at;
        match first {
            Some(b'{' | b'[') => self.nested()?,
            _ => self.scalar(first)?,
        }
        Ok(self.since(start))
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Scan {
        match self.upcoming() {
            None => Ok(()),
            Some(_) => self.wrong("the end of the body"),
        }
    }

    /// Reads a list or an object with all that is in it.
    fn nested(&mut self) -> Scan {
        let mut open = Nesting::default();
        while !(self.element(&mut open)? && self.close(&mut open)?) {}
        Ok(())
    }

    /// Reads a scalar or the beginning of a list or an object. True if a value is complete.
    fn element(&mut self, open: &mut Nesting) -> Scan<bool> {
        match self.upcoming() {
            Some(b'{') => {
                self.open(open, true)?;
                if self.upcoming() != Some(b'}') {
                    self.key()?;
                    return Ok(false);
                }
                Ok(true)
            }
            Some(b'[') => {
                self.open(open, false)?;
                Ok(self.upcoming() == Some(b']'))
            }
            first => self.scalar(first).map(|()| true),
        }
    }

    /// Reads a value that begins with this byte and has nothing in it.
    fn scalar(&mut self, first: Option<u8>) -> Scan {
        match first {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    /// After a complete value: closes what closes. True if the outermost value is complete, false if another
    /// element follows.
    fn close(&mut self, open: &mut Nesting) -> Scan<bool> {
        while let Some(in_object) = open.innermost() {
            match (self.upcoming(), in_object) {
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                (Some(b','), true) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (_, true) => return self.wrong("`,` or `}`"),
                (_, false) => return self.wrong("`,` or `]`"),
            }
        }
        Ok(true)
    }

    fn open(&mut self, open: &mut Nesting, object: bool) -> Scan {
        if !open.push(object) {
            return self.wrong("at most 1024 levels of nesting");
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Scan<Span> {
        if self.upcoming() != Some(b'"') {
            return self.wrong("a member name in double quotes");
        }
        let start = self.at;
        self.string()?;
        let key = self.since(start);
        if self.upcoming() != Some(b':') {
            return self.wrong("`:`");
        }
        self.at += 1;
        Ok(key)
    }

    fn number(&mut self) -> Scan {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(b'I') => {
                self.word("Infinity")?;
                self.fix(start, "null");
                return Ok(());
            }
            _ => return self.wrong("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn literal(&mut self) -> Scan {
        let start = self.at;
        match self.peek() {
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'N') => self.word("NaN").map(|()| self.fix(start, "null")),
            Some(b'I') => self.word("Infinity").map(|()| self.fix(start, "null")),
            _ => self.wrong("a value"),
        }
    }

    fn word(&mut self, word: &'static str) -> Scan {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.wrong(word);
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn fix(&mut self, start: usize, with: &'static str) {
        let at = self.since(start);
        self.fixes.push(Fix { at, with });
    }

    pub(super) fn since(&self, start: usize) -> Span {
        Span {
            start,
            end: self.at,
        }
    }

    fn some_digits(&mut self) -> Scan {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return self.wrong("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        let digits = self.rest().iter().take_while(|b| b.is_ascii_digit());
        self.at += digits.count();
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Scan {
        if self.peek() != Some(byte) {
            return self.wrong(expected);
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn wrong<T>(&self, expected: &'static str) -> Scan<T> {
        Err(Expected(expected))
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DEEPEST, *};

    fn check(text: &str, accepted: bool) {
        let mut scanner = Scanner::new(text);
        let scanned = scanner
            .value()
            .and_then(|span| scanner.end().map(|()| span));
        assert_eq!(scanned.is_ok(), accepted, "{text}: {scanned:?}");
    }

    #[test]
    fn accepts_what_python_accepts() {
        for text in [
            "1",
            "-0",
            "0.5",
            "1e5",
            "1E-5",
            "-1.5e+300",
            "true",
            "false",
            "null",
            "NaN",
            "Infinity",
            "-Infinity",
            r#""""#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800""#,
            "[]",
            "[[],[{}]]",
            " [ 1 , 2 ] ",
            r#"{"a" : {"b":[1,{"c":null}]} , "" : 0}"#,
            "\"\u{7f}é😀\"",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn refuses_what_python_refuses() {
        for text in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "nul",
            "nan",
            "infinity",
            "-infinity",
            "'a'",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "[",
            "[1",
            "[1,]",
            "[1 2]",
            "{",
            "{a:1}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            "[}",
            "{]",
            "1 2",
            "[1]]",
            "\u{a0}1",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        check(&nested(DEEPEST), true);
        check(&nested(DEEPEST + 1), false);
        check(&"[".repeat(1_000_000), false);
        check(&"{\"a\":".repeat(1_000_000), false);
    }
}
