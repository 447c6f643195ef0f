//! Times as people write them: `30 s`, `10 min`, `1 h 30 min`.

use std::time::Duration;

/// What is said of a text that is no time.
pub(crate) const EXPECTED: &str = "a time is a whole number of seconds, or whole numbers with units, such as `30 s`, `10 min`, `1 h 30 min` or `7 days`";

/// Reads pairs of a whole number and a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let part = length(unit).and_then(|unit| number.checked_mul(unit));
        let part = part.map(Duration::from_millis).ok_or(EXPECTED)?;
        total = total.checked_add(part).ok_or(EXPECTED)?;
        rest = after.trim_start();
    }
    if text.trim().is_empty() {
        return Err(EXPECTED);
    }
    Ok(total)
}

/// What a text begins with, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A unit in milliseconds.
fn length(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" | "sec" | "second" | "seconds" => 1_000,
        "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn check(text: &str, millis: Option<u128>) {
        assert_eq!(parse(text).ok().map(|it| it.as_millis()), millis, "{text}");
    }

    #[test]
    fn reads_numbers_with_units() {
        check("30 s", Some(30_000));
        check("30s", Some(30_000));
        check(" 10 min ", Some(600_000));
        check("1 h 30 min", Some(5_400_000));
        check("1h30min", Some(5_400_000));
        check("7 days", Some(604_800_000));
        check("1 day", Some(86_400_000));
        check("250 ms", Some(250));
        check("0 s", Some(0));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            " ",
            "10",
            "min",
            "10 m",
            "1.5 h",
            "-1 s",
            "10 min,",
            "10 parsecs",
            "18446744073709551615 days",
            "99999999999999999999 s",
        ] {
            check(text, None);
        }
    }
}
