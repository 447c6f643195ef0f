//! Spans of time as people write and read them: `90s`, `1h 30m`, `2d`.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{Span, SpanRelativeTo};

/// Reads a span: `90s`, `1h 30m`, `2d`. A day has 24 hours.
pub(crate) fn parse(text: &str) -> Result<Duration> {
    let span: Span = text
        .parse()
        .ok()
        .context("write it as `90s`, `1h 30m` or `2d`")?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .context("use weeks, days, hours, minutes and seconds, and no minus")
}

/// Seconds on the command line: not negative, not endless, with a fraction if need be.
pub(crate) fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().ok().context("expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .context("expected a number of seconds, 0 or more")
}

/// A span in its two largest units.
pub(crate) fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A TTL as it is set: whole milliseconds, in the largest unit that loses nothing.
pub(crate) fn ttl(ttl: Duration) -> String {
    let millis = ttl.as_millis();
    match (millis % 1_000, millis % 60_000, millis % 3_600_000) {
        (_, _, 0) if millis > 0 => format!("{}h", millis / 3_600_000),
        (_, 0, _) if millis > 0 => format!("{}m", millis / 60_000),
        (0, _, _) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

/// A pause between two looks, as [`seconds`]: one that is shorter would keep the broker busy with being looked at.
pub(crate) fn pause(text: &str) -> Result<Duration> {
    let pause = seconds(text)?;
    anyhow::ensure!(
        pause >= Duration::from_secs(1),
        "it takes at least 1 second"
    );
    Ok(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("90s", 90),
            ("1h", 3_600),
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1 week", 604_800),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "1", "soon", "-1h", "1 month"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_and_no_sign() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for text in ["-1", "nan", "inf", "x", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pause_is_a_second_at_least() {
        assert_eq!(pause("1").unwrap(), Duration::from_secs(1));
        for text in ["0", "0.5", "-1"] {
            assert!(pause(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_two_units() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m 1s"),
            (3_700, "1h 1m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(show(Duration::from_secs(seconds)), shown);
        }
        for (millis, shown) in [
            (5_000, "5s"),
            (1, "1ms"),
            (60_000, "1m"),
            (61_000, "61s"),
            (7_200_000, "2h"),
            (0, "0s"),
        ] {
            assert_eq!(ttl(Duration::from_millis(millis)), shown);
        }
    }
}
