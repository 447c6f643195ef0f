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

/// How long a time is in full: as it is written, and nearly always as it is read.
pub(super) const FULL: usize = 26;

const SHAPE: &[u8; FULL] = b"0000-00-00 00:00:00.000000";

/// Appends a time; false if its year does not fit the format.
pub(super) fn write(time: Timestamp, out: &mut Vec<u8>) -> bool {
    let time = Offset::UTC.to_datetime(time);
    let Some(year) = usize::try_from(time.year()).ok().filter(|year| *year > 0) else {
        return false;
    };
    let micros = usize::try_from(time.subsec_nanosecond() / 1_000).unwrap_or(0);
    let mut text = *SHAPE;
    for (at, value) in [
        (0, year / 100),
        (2, year),
        (5, usize::from(time.month().unsigned_abs())),
        (8, usize::from(time.day().unsigned_abs())),
        (11, usize::from(time.hour().unsigned_abs())),
        (14, usize::from(time.minute().unsigned_abs())),
        (17, usize::from(time.second().unsigned_abs())),
        (20, micros / 10_000),
        (22, micros / 100),
        (24, micros),
    ] {
        text[at..at + 2].copy_from_slice(&PAIRS[value % 100]);
    }
    out.extend_from_slice(&text);
    true
}

/// Reads a time in the form in which it is written; `None` if [`read`] must look.
pub(super) fn read_full(text: &[u8; FULL]) -> Option<Timestamp> {
    let mut digits = [0; FULL];
    let mut fits = true;
    for ((digit, byte), shape) in digits.iter_mut().zip(text).zip(SHAPE) {
        *digit = byte.wrapping_sub(*shape);
        fits &= *digit < if *shape == b'0' { 10 } else { 1 };
    }
    if !fits {
        return None;
    }
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    let year = i16::from(pair(0)) * 100 + i16::from(pair(2));
    if year == 0 {
        return None;
    }
    let micros = i32::from(pair(20)) * 10_000 + i32::from(pair(22)) * 100 + i32::from(pair(24));
    // Two digits are far below where the sign would begin.
    let small = |at: usize| pair(at).cast_signed();
    let date = Date::new(year, small(5), small(8)).ok()?;
    let time = Time::new(small(11), small(14), small(17), micros * 1_000).ok()?;
    Some(timestamp(date, time))
}

/// Reads a time: month to second may have one digit, the fraction one to six, and it must be there.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let full = text.as_bytes().try_into().ok();
    full.and_then(read_full).or_else(|| read_lax(text))
}

fn read_lax(text: &str) -> Option<Timestamp> {
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
    Some(timestamp(date, time))
}

/// The last day of the year 9999 is beyond what a timestamp holds, but not beyond what the wire does.
fn timestamp(date: Date, time: Time) -> Timestamp {
    let time = Offset::UTC.to_timestamp(DateTime::from_parts(date, time));
    time.unwrap_or(Timestamp::MAX)
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

/// The numbers below a hundred, in two digits each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut value, mut tens) = (0, b'0');
    while value < pairs.len() {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[value] = [tens, ones];
            value += 1;
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn reads_the_full_form_as_any_other(
            (year, month, day) in (0..10_000, 0..14, 0..33),
            (hour, minute, second) in (0..26, 0..62, 0..62),
            micros in 0..1_000_000,
            odd in prop_oneof![3 => Just(None), 1 => (0..FULL, any::<char>()).prop_map(Some)],
        ) {
            let mut text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}");
            if let Some((at, odd)) = odd {
                text.replace_range(at..=at, odd.encode_utf8(&mut [0; 4]));
            }
            if let Ok(full) = text.as_bytes().try_into() && text.is_ascii() {
                let usual = read_full(full);
                prop_assert!(usual.is_none() || usual == read_lax(&text), "{}", text);
                prop_assert!(odd.is_some() || usual == read_lax(&text), "{}", text);
            }
        }
    }
}
