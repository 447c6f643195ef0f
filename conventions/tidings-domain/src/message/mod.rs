//! The JSON of a domain message, both ways.
//!
//! One object with one member, `data`; in it `id`, `type`, `type_message`, `version`, `occurred_on`,
//! `attributes` and `meta`, in this order. Writing produces the exact bytes that existing systems write.
//! Reading is as lax as they are, reads the usual text once, recurses nowhere and copies nothing in the usual case;
//! `attributes` and `meta` stay JSON.
//!
//! Decided differently from the Python side, on purpose:
//!
//! * `NaN` and the infinities, which Python reads and writes and JSON does not have, are read as `null`, and
//!   so are they written.
//! * Half a surrogate pair is read as U+FFFD, because Rust text cannot hold it.
//! * Attributes named like internals of the Python classes (`format`, `_message_id`, …) are ordinary data here.
//!   A publisher whose messages Python services receive must avoid them.
//! * `type` and `type_message` that are lists or objects are kept as their JSON text.
//! * A `version` beyond 64 bits and text nested deeper than [`DEEPEST`] levels are errors. The fields of a typed
//!   message may have 128 levels, which is what serde_json reads.

mod decode;
mod encode;
mod format;
mod nesting;
mod quoted;
mod scan;
mod text;
mod time;
mod usual;

pub use self::format::{format, format_time, parse_time};
pub(crate) use self::{
    decode::decode,
    encode::{Head, encode},
};

/// How many levels of lists and objects a member of `data` may have. Python gives up at about the same depth.
pub const DEEPEST: usize = 1_024;
