//! Texts: of a format, after a pattern, or words of the right length.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::{Timestamp, civil::Date};
use serde_json::{Map, Value};

use super::{Sampler, pattern};

/// How often another text is made where its length does not fit.
const TRIES: usize = 200;

impl Sampler<'_> {
    pub(super) fn text(&mut self, schema: &Map<String, Value>) -> Result<Value, String> {
        let count = |word: &str| schema.get(word).and_then(Value::as_u64);
        let least = usize::try_from(count("minLength").unwrap_or(0)).unwrap_or(usize::MAX);
        let most = count("maxLength").unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if least > most {
            return Err("`minLength` is more than `maxLength`".to_owned());
        }
        let fits = |text: &String| (least..=most).contains(&text.chars().count());
        let format = schema.get("format").and_then(Value::as_str);
        if let Some(Value::String(pattern)) = schema.get("pattern") {
            let made = (0..TRIES).map(|_| pattern::text(pattern, self.rng));
            for text in made {
                let text = text?;
                if fits(&text) {
                    return Ok(Value::String(text));
                }
            }
            return Err(format!(
                "nothing of the right length fits the pattern `{pattern}`"
            ));
        }
        if let Some(text) = format.and_then(|format| self.of_format(format)) {
            return match fits(&text) {
                true => Ok(Value::String(text)),
                false => Err(format!("its length does not fit its format {format:?}")),
            };
        }
        Ok(Value::String(self.word(least, most)))
    }

    /// Small letters, a few of them if the bounds allow.
    pub(super) fn word(&mut self, least: usize, most: usize) -> String {
        let length = self.rng.usize(4..=10).clamp(least, most);
        (0..length).map(|_| self.rng.lowercase()).collect()
    }

    /// A text of a format that is known; other formats are names for people.
    fn of_format(&mut self, format: &str) -> Option<String> {
        Some(match format {
            "uuid" => self.uuid(),
            "date-time" => self.instant().to_string(),
            "date" | "full-date" => self.date().to_string(),
            "time" => format!("{}Z", self.clock_time()),
            "partial-time" => self.clock_time(),
            "partial-date-time" | "local-date-time" => {
                format!("{}T{}", self.date(), self.clock_time())
            }
            "duration" => format!("PT{}S", self.rng.u32(1..100_000)),
            "email" | "idn-email" => format!("{}@example.com", self.word(3, 8)),
            "hostname" | "idn-hostname" => format!("{}.example.com", self.word(3, 8)),
            "uri" | "url" | "iri" | "uri-reference" => {
                format!("https://example.com/{}", self.word(3, 8))
            }
            "ipv4" | "ip" => Ipv4Addr::new(192, 0, 2, self.rng.u8(1..=254)).to_string(),
            "ipv6" => {
                let last = self.rng.u16(1..);
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).to_string()
            }
            "char" => self.rng.lowercase().to_string(),
            _ => return None,
        })
    }

    fn uuid(&mut self) -> String {
        let mut bytes = self.rng.u128(..).to_be_bytes();
        // Version 4, variant 1.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (a, b, c, d, e) = (
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        );
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    /// Some second of the years 2020 to 2030.
    fn instant(&mut self) -> Timestamp {
        let seconds = self.rng.i64(1_577_836_800..1_893_456_000);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn date(&mut self) -> Date {
        let (year, month, day) = (
            self.rng.i16(2020..2030),
            self.rng.i8(1..=12),
            self.rng.i8(1..=28),
        );
        jiff::civil::date(year, month, day)
    }

    fn clock_time(&mut self) -> String {
        let (hour, minute, second) = (self.rng.u8(..24), self.rng.u8(..60), self.rng.u8(..60));
        format!("{hour:02}:{minute:02}:{second:02}")
    }
}
