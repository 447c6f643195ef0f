//! `occurred_on`: UTC without saying so, `YYYY-MM-DD HH:MM:SS.ffffff`.
//!
//! Written and read by hand: it is on the path of every message, and a format string is parsed every time.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

/// What the format looks like, for errors.
pub(super) const EXPECTED: &str = "UTC as `YYYY-MM-DD HH:MM:SS.ffffff`";

/// Appends a time; false if its year does not fit the format.
pub(super) fn write(time: Timestamp, out: &mut Vec<u8>) -> bool {
    let time = Offset::UTC.to_datetime(time);
    let Some(year) = u32::try_from(time.year()).ok().filter(|year| *year > 0) else {
        return false;
    };
    digits(out, year, 4);
    for (before, value) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (b' ', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(before);
        digits(out, u32::from(value.unsigned_abs()), 2);
    }
    out.push(b'.');
    digits(out, time.subsec_nanosecond().unsigned_abs() / 1_000, 6);
    true
}

/// Reads a time: month to second may have one digit, the fraction one to six, and it must be there.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let mut rest = text;
    let year = number(&mut rest, 4, 4)?;
    let month = after(&mut rest, '-')?;
    let day = after(&mut rest, '-')?;
    let trimmed = rest.trim_start();
    if trimmed.len() == rest.len() {
        return None;
    }
    rest = trimmed;
    let hour = number(&mut rest, 1, 2)?;
    let minute = after(&mut rest, ':')?;
    let second = after(&mut rest, ':')?;
    rest = rest.strip_prefix('.')?;
    let fraction = rest;
    let value = number(&mut rest, 1, 6)?;
    if !rest.is_empty() || year == 0 {
        return None;
    }
    let nanoseconds = value * 10_i32.pow(9 - u32::try_from(fraction.len()).ok()?);
    let small = |value: i32| i8::try_from(value).ok();
    let date = Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
    let time = Time::new(small(hour)?, small(minute)?, small(second)?, nanoseconds).ok()?;
    // The last day of the year 9999 is beyond what a timestamp holds, but not beyond what the wire does.
    let time = Offset::UTC.to_timestamp(DateTime::from_parts(date, time));
    Some(time.unwrap_or(Timestamp::MAX))
}

fn after(rest: &mut &str, separator: char) -> Option<i32> {
    *rest = rest.strip_prefix(separator)?;
    number(rest, 1, 2)
}

/// Takes up to `most` digits, at least `least`.
fn number(rest: &mut &str, least: usize, most: usize) -> Option<i32> {
    let length = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if length < least {
        return None;
    }
    let (number, tail) = rest.split_at(length);
    *rest = tail;
    number.parse().ok()
}

fn digits(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let mut buffer = [b'0'; 10];
    for slot in buffer[..width].iter_mut().rev() {
        *slot += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    out.extend_from_slice(&buffer[..width]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let written = read(text).map(|time| {
            let mut out = Vec::new();
            assert!(write(time, &mut out));
            String::from_utf8(out).unwrap()
        });
        assert_eq!(written.as_deref(), expected, "{text}");
    }

    #[test]
    fn reads_what_the_wire_accepts_and_writes_it_in_full() {
        check(
            "2024-05-06 07:08:09.123456",
            Some("2024-05-06 07:08:09.123456"),
        );
        check("2024-5-6 7:8:9.5", Some("2024-05-06 07:08:09.500000"));
        check(
            "2024-05-06  07:08:09.000001",
            Some("2024-05-06 07:08:09.000001"),
        );
        check("0001-01-01 00:00:00.0", Some("0001-01-01 00:00:00.000000"));
        check(
            "9999-12-30 21:59:59.999999",
            Some("9999-12-30 21:59:59.999999"),
        );
    }

    #[test]
    fn takes_the_end_of_time_for_the_last_instant_it_has() {
        assert_eq!(read("9999-12-31 23:59:59.999999"), Some(Timestamp::MAX));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2024-05-06 07:08:09",
            "2024-05-06 07:08:09.",
            "2024-05-06T07:08:09.1",
            "2024-05-06 07:08:09.1Z",
            "2024-05-06 07:08:09.1234567",
            "2024-05-0607:08:09.1",
            "2024-13-06 07:08:09.1",
            "2024-05-06 24:08:09.1",
            "2024-05-06 07:08:60.1",
            "0000-05-06 07:08:09.1",
            "224-05-06 07:08:09.1",
            "2024-05-06 07:08:09.1 ",
        ] {
            check(text, None);
        }
    }
}
