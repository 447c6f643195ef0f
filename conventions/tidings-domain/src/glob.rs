//! Shell patterns over queue names: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`, matched against the whole name.
//!
//! Written here because the wire's rules are those of a shell without path separators: in the common glob
//! libraries `*` or `!` mean something else. Case counts.

/// Whether the whole name matches the pattern.
///
/// Takes time proportional to the product of both lengths at worst: only the last `*` is ever revisited.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(next) = one(&pattern, p, *c) {
            p = next;
            n += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            p = after;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Matches one character and returns where the pattern goes on.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match set_end(pattern, at) {
            Some(end) => in_set(&pattern[at + 1..end], c).then_some(end + 1),
            // A set that is never closed is a bracket.
            None => (c == '[').then_some(at + 1),
        },
        literal => (*literal == c).then_some(at + 1),
    }
}

/// Where the set that opens at `at` closes. A `]` that comes first belongs to the set.
fn set_end(pattern: &[char], at: usize) -> Option<usize> {
    let mut first = at + 1;
    if pattern.get(first) == Some(&'!') {
        first += 1;
    }
    let from = first + 1;
    let rest = pattern.get(from..)?;
    rest.iter()
        .position(|c| *c == ']')
        .map(|index| from + index)
}

fn in_set(set: &[char], c: char) -> bool {
    let (set, negated) = match set {
        ['!', rest @ ..] => (rest, true),
        _ => (set, false),
    };
    let mut index = 0;
    let mut found = false;
    while let Some(low) = set.get(index) {
        if let (Some('-'), Some(high)) = (set.get(index + 1), set.get(index + 2)) {
            found |= (*low..=*high).contains(&c);
            index += 3;
        } else {
            found |= *low == c;
            index += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::matches;

    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
    }

    #[test]
    fn matches_the_whole_name() {
        check("store", "store", true);
        check("store", "store.x", false);
        check("", "", true);
        check("", "x", false);
        check("*", "", true);
        check("*store", "retry.store", true);
        check("*mail*", "o.s.1.event.a.send_mail", true);
        check("*.a.*", "o.s.1.event.a.b", true);
        check("*.a.*", "o.s.1.event.ab", false);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXbXbX", false);
    }

    #[test]
    fn matches_single_characters_and_sets() {
        check("?tore", "store", true);
        check("?tore", "tore", false);
        check("[a-c]x", "bx", true);
        check("[a-c]x", "dx", false);
        check("[!a-c]x", "dx", true);
        check("[]]x", "]x", true);
        check("[x", "[x", true);
        check("[a-]x", "-x", true);
        check("STORE", "store", false);
    }

    #[test]
    fn takes_no_exponential_time() {
        check(&"a*".repeat(40), &"a".repeat(2_000), true);
        check(&("a*".repeat(40) + "b"), &"a".repeat(2_000), false);
    }
}
