//! Texts that match a regular expression.
//!
//! The expression is parsed by the parser of the `regex` crate, which knows nearly all that patterns in schemas say; looking around and
//! back-references are not in it and are refused by name.

use fastrand::Rng;
use regex_syntax::hir::{Class, Hir, HirKind};

/// How often something is repeated that may be repeated without an end.
const REPEATED: u32 = 3;

/// A text that matches.
pub(super) fn text(pattern: &str, rng: &mut Rng) -> Result<String, String> {
    let hir = regex_syntax::parse(pattern).map_err(|error| {
        format!(
            "the pattern `{pattern}` is not known here: {}",
            said(&error)
        )
    })?;
    let mut bytes = Vec::new();
    match write(&hir, rng, &mut bytes) {
        true => {
            String::from_utf8(bytes).map_err(|_| format!("the pattern `{pattern}` makes no text"))
        }
        false => Err(format!("nothing matches the pattern `{pattern}`")),
    }
}

/// The last line of what the parser says, which is the reason; the others draw a picture.
fn said(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Appends something that matches; false if nothing does.
fn write(hir: &Hir, rng: &mut Rng, out: &mut Vec<u8>) -> bool {
    match hir.kind() {
        // Anchors hold at both ends, because the text is nothing but the match.
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Class(class) => write_one(class, rng, out),
        HirKind::Repetition(repetition) => {
            let most = repetition
                .max
                .unwrap_or(repetition.min.saturating_add(REPEATED));
            let most = most.min(repetition.min.saturating_add(REPEATED));
            let times = rng.u32(repetition.min..=most);
            (0..times).all(|_| write(&repetition.sub, rng, out))
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, out),
        HirKind::Concat(parts) => parts.iter().all(|part| write(part, rng, out)),
        HirKind::Alternation(branches) => match rng.choice(branches) {
            Some(branch) => write(branch, rng, out),
            None => false,
        },
    }
}

/// Appends one character of a class: a letter, a digit but zero, or another visible one if the class has any. A number
/// that does not begin with a zero can be read as one.
fn write_one(class: &Class, rng: &mut Rng, out: &mut Vec<u8>) -> bool {
    let Class::Unicode(class) = class else {
        return false;
    };
    let has = |wanted: char| {
        let mut ranges = class.ranges().iter();
        ranges.any(|range| (range.start()..=range.end()).contains(&wanted))
    };
    let visible: Vec<char> = ('!'..='~').filter(|one| has(*one)).collect();
    let plain = visible.iter().copied();
    let plain = plain.filter(|one| one.is_ascii_alphanumeric() && *one != '0');
    let plain: Vec<char> = plain.collect();
    let picked = rng.choice(if plain.is_empty() { visible } else { plain });
    let picked = picked.or_else(|| class.ranges().first().map(|range| range.start()));
    let Some(picked) = picked else {
        return false;
    };
    out.extend_from_slice(picked.encode_utf8(&mut [0; 4]).as_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_makes_matches() {
        for (pattern, wanted) in [
            ("^abc$", "abc"),
            ("^(a|a)[b]c?c{0}$", "ab"),
            ("^[^\\x00-\\x40\\x42-\\x{10FFFF}]{2}$", "AA"),
        ] {
            let made = text(pattern, &mut Rng::with_seed(1)).unwrap();
            assert!(made.starts_with(wanted), "{pattern}: {made}");
        }
        let made = text(r"^\d{4}-[a-f]+ ?$", &mut Rng::with_seed(1)).unwrap();
        let (digits, rest) = made.split_once('-').unwrap();
        assert!(digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()));
        assert!(
            rest.trim_end()
                .bytes()
                .all(|byte| (b'a'..=b'f').contains(&byte))
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for pattern in ["(?=a)b", "(a", r"(a)\1", "[^\\x00-\\x{10FFFF}]"] {
            let problem = text(pattern, &mut Rng::with_seed(1)).unwrap_err();
            assert!(problem.contains(pattern), "{problem}");
        }
    }
}
