//! The command line of a benchmark: its words, its numbers, and the broker that it is told of.

use std::env;

use anyhow::{Context, Result, ensure};

/// Where the broker is named, by `cargo xtask bench` or by a person.
const URL: &str = "TIDINGS_TEST_RABBITMQ_URL";

/// The broker.
#[expect(
    clippy::disallowed_methods,
    reason = "the one setting from outside is read here"
)]
pub fn url() -> Result<String> {
    env::var(URL).with_context(|| format!("{URL} does not name a broker"))
}

/// A number above nothing.
pub fn positive(option: &str, number: &str) -> Result<usize> {
    let parsed = number.parse().ok().filter(|number| *number > 0);
    let parsed: usize = parsed.with_context(|| format!("{option} takes a number above 0"))?;
    // Enough for hours; what was not meant to be so much is found here and not after lunch.
    ensure!(parsed <= 10_000_000, "{option} is at most 10,000,000");
    Ok(parsed)
}

/// The words of the command line and of a program to its children: writes and reads the variants of an enum.
#[macro_export]
macro_rules! words {
    ($of:ident: $($variant:ident = $word:literal),+) => {
        impl ::std::fmt::Display for $of {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word),+
                })
            }
        }

        impl ::std::str::FromStr for $of {
            type Err = ::anyhow::Error;

            fn from_str(text: &str) -> ::anyhow::Result<Self> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => ::anyhow::bail!("`{text}` is none of {}", [$($word),+].join(", ")),
                }
            }
        }
    };
}
