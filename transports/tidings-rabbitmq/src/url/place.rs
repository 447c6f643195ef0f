//! Host and port out of the authority of a URL, and percent-encoded parts of one.
//!
//! Nothing here quotes what it was given: a password that should have been percent-encoded may be in it.

/// A host and a port, the way `host:port` and `[::1]:port` say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Place {
    /// Reads `host`, `host:port` or `[address]:port`; what is missing comes from the arguments.
    pub(crate) fn read(text: &str, host: &str, port: u16) -> Result<Self, &'static str> {
        let (found, rest) = match text.strip_prefix('[') {
            Some(bracketed) => bracketed
                .split_once(']')
                .ok_or("an IPv6 address without its closing `]`")?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port > 0),
            None => rest.is_empty().then_some(port),
        };
        let port = port.ok_or(
            "a port that is not a number from 1 to 65535 (an IPv6 address goes into brackets)",
        )?;
        let found = decode(found)?;
        let host = if found.is_empty() { host } else { &found };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Resolves `%xx`.
pub(crate) fn decode(text: &str) -> Result<String, &'static str> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part
            .get(..2)
            .filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|code| u8::from_str_radix(code, 16).ok())
            .ok_or("a `%` without two hexadecimal digits (write `%25` for `%`)")?;
        bytes.push(code);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| "a percent-encoded part that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = Place::read(text, "localhost", 7).ok();
        let found = found
            .as_ref()
            .map(|place| (place.host.as_str(), place.port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn hosts_and_ports() {
        check("", Some(("localhost", 7)));
        check("mq", Some(("mq", 7)));
        check("mq:5", Some(("mq", 5)));
        check(":5", Some(("localhost", 5)));
        check("[::1]", Some(("::1", 7)));
        check("[fd00::2]:65535", Some(("fd00::2", 65535)));
        check("m%71", Some(("mq", 7)));
        for wrong in [
            "mq:", "mq:0", "mq:65536", "mq:5672x", "::1", "[::1", "[::1]5", "m%7",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn percent_codes() {
        assert_eq!(decode("a%2Fb%2f%25"), Ok("a/b/%".to_owned()));
        assert_eq!(decode("%c3%a9é"), Ok("éé".to_owned()));
        for wrong in ["%", "%2", "%zz", "%+1", "%é", "%ff"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }
}
