//! JSON as text: laid out for people or on one line, with every number and every escape as it was.
//!
//! Payloads are shown as they travel. A parsed value would round long numbers and drop members of the same name,
//! which is what somebody may be looking for.

use serde_json::value::RawValue;

use crate::table::Tone;

/// The JSON in these bytes, if they are JSON.
pub(crate) fn read(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

/// On one line, without spaces between the tokens.
pub(crate) fn compact(json: &RawValue) -> Box<RawValue> {
    let mut line = String::with_capacity(json.get().len());
    for token in tokens(json.get()) {
        line.push_str(token);
    }
    // Without the spaces between its tokens it is the same JSON.
    RawValue::from_string(line).unwrap_or_else(|_| json.to_owned())
}

/// Over several lines, with colours if they are wanted.
pub(crate) fn pretty(json: &RawValue, colour: bool) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let tokens: Vec<_> = tokens(json.get()).collect();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).copied().unwrap_or_default();
        match *token {
            "{" | "[" if matches!(next, "}" | "]") => out.push_str(token),
            "{" | "[" => {
                depth += 1;
                out.push_str(token);
                new_line(&mut out, depth);
            }
            "}" | "]" => {
                let was_empty = index > 0 && matches!(tokens[index - 1], "{" | "[");
                if !was_empty {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                }
                out.push_str(token);
            }
            "," => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            value => out.push_str(&tone(value, next == ":").paint(value, colour)),
        }
    }
    out
}

fn tone(token: &str, is_name: bool) -> Tone {
    match token.as_bytes().first() {
        _ if is_name => Tone::Quiet,
        Some(b'"') => Tone::Good,
        Some(b't' | b'f' | b'n') => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// The tokens of valid JSON.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let end = token_end(rest)?;
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

/// Where the first token ends; none if there is no token.
fn token_end(text: &str) -> Option<usize> {
    match text.bytes().next()? {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => Some(1),
        b'"' => {
            let mut escaped = false;
            let end = text.bytes().skip(1).position(|byte| {
                let is_end = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                is_end
            });
            Some(end.map_or(text.len(), |end| end + 2))
        }
        _ => {
            let is_end = |c: char| c.is_ascii_whitespace() || ",:]}".contains(c);
            Some(text.find(is_end).unwrap_or(text.len()).max(1))
        }
    }
}

/// Text that cannot move the cursor of a terminal or change its colours.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, compacted: &str, laid_out: &str) {
        let json = read(json.as_bytes()).unwrap();
        assert_eq!(compact(json).get(), compacted);
        assert_eq!(pretty(json, false), laid_out);
        let again = pretty(json, false);
        assert_eq!(compact(read(again.as_bytes()).unwrap()).get(), compacted);
    }

    #[test]
    fn keeps_every_token_as_it_was() {
        check(
            r#" { "a" : [ 1e400 , 1180591620717411303424, "x\"y, \\" ] , "a":{ },"é\u0001": [] } "#,
            r#"{"a":[1e400,1180591620717411303424,"x\"y, \\"],"a":{},"é\u0001":[]}"#,
            "{\n  \"a\": [\n    1e400,\n    1180591620717411303424,\n    \"x\\\"y, \\\\\"\n  ],\n  \"a\": {},\n  \"é\\u0001\": []\n}",
        );
        check("7", "7", "7");
        check(" \"\" ", "\"\"", "\"\"");
        check("[true,null]", "[true,null]", "[\n  true,\n  null\n]");
    }

    #[test]
    fn colours_tell_names_from_values() {
        let json = read(br#"{"a":"b","c":1,"d":null}"#).unwrap();
        assert_eq!(
            pretty(json, true),
            "{\n  \u{1b}[2m\"a\"\u{1b}[0m: \u{1b}[32m\"b\"\u{1b}[0m,\n  \u{1b}[2m\"c\"\u{1b}[0m: 1,\n  \u{1b}[2m\"d\"\u{1b}[0m: \u{1b}[31mnull\u{1b}[0m\n}"
        );
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for bytes in [&b""[..], b"{", b"hello", b"\xff", b"1 2"] {
            assert!(read(bytes).is_none());
        }
    }

    #[test]
    fn a_message_cannot_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\r"), "a\\u{1b}[2Jb\nc\\r");
    }
}
