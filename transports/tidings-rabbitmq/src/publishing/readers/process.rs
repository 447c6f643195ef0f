//! The process that the address of a direct reply names, as Erlang writes it.
//!
//! Only the form is read here. Whether there is such a node, or such a process, only the broker can tell.

use base64::{Engine, engine::general_purpose::STANDARD};

/// What all these addresses begin with.
const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// More than the longest routing key can hold.
const ROOM: usize = 192;

/// The numbers of a process on every version of Erlang have 15 and 13 bits.
const NARROW: (u32, u32) = (1 << 15, 1 << 13);

/// From Erlang 26 on the first has 28 bits, and the second as many as it likes.
const WIDE: u32 = 1 << 28;

/// How large the numbers of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    /// As they may be on every version of Erlang.
    Narrow,
    /// As they may be on newer ones.
    Wide,
    /// As they are on none that is known.
    Unheard,
}

/// A process, as it is written.
#[derive(Debug)]
pub(super) struct Process {
    bytes: [u8; ROOM],
    /// Where the name of the node ends.
    node: usize,
    pub(super) size: Size,
}

impl Process {
    /// Reads the process out of an address; `None` if it names none.
    pub(super) fn read(address: &str) -> Option<Self> {
        let rest = address.strip_prefix(PREFIX)?;
        let (process, key) = rest.split_once('.').unwrap_or((rest, ""));
        let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
        if !key.bytes().all(is_of_key) {
            return None;
        }
        let mut bytes = [0; ROOM];
        let length = STANDARD.decode_slice(process, &mut bytes).ok()?;
        let (node, first, second) = parts(&bytes[..length])?;
        let size = match (first, second) {
            _ if first < NARROW.0 && second < NARROW.1 => Size::Narrow,
            _ if first < WIDE => Size::Wide,
            _ => Size::Unheard,
        };
        Some(Self { bytes, node, size })
    }

    /// Everything up to the end of the name of its node: what is the same for all processes of that node.
    pub(super) fn node(&self) -> &[u8] {
        &self.bytes[..self.node]
    }
}

/// Where the name of the node ends, and the two numbers of the process.
fn parts(term: &[u8]) -> Option<(usize, u32, u32)> {
    let [131, form @ (88 | 103), tag, ..] = *term else {
        return None;
    };
    let (head, length) = match (tag, &term[3..]) {
        (100 | 118, [high, low, ..]) => (5, usize::from(u16::from_be_bytes([*high, *low]))),
        (115 | 119, [length, ..]) => (4, usize::from(*length)),
        _ => return None,
    };
    let node = head + length;
    let creation = if form == 88 { 4 } else { 1 };
    let numbers = term.get(node..).filter(|_| length > 0)?;
    let (first, rest) = numbers.split_first_chunk::<4>()?;
    let (second, rest) = rest.split_first_chunk::<4>()?;
    let (first, second) = (u32::from_be_bytes(*first), u32::from_be_bytes(*second));
    (rest.len() == creation).then_some((node, first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen with RabbitMQ 3.10 and 4.0.
    const SEEN: &str = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA2ODc4MTMzNAAAcEoAAAAAaS8eQg==.mKcNlVl3yZ6kGcmVEEY2Uw==";

    fn address(term: &[u8]) -> String {
        format!("{PREFIX}{}.x", STANDARD.encode(term))
    }

    fn process(first: u32, second: u32) -> Vec<u8> {
        let mut term = b"\x83\x58\x77\x07reply@1".to_vec();
        term.extend(first.to_be_bytes());
        term.extend(second.to_be_bytes());
        term.extend([0; 4]);
        term
    }

    fn check(first: u32, second: u32, expected: Size) {
        let process = Process::read(&address(&process(first, second)));
        let process = process.unwrap();
        assert_eq!(process.size, expected, "{first} {second}");
        assert_eq!(process.node(), b"\x83\x58\x77\x07reply@1");
    }

    #[test]
    fn real_addresses_name_a_process() {
        let process = Process::read(SEEN).unwrap();
        assert_eq!(process.node(), b"\x83\x58\x76\x00\x0ereply@68781334");
        assert_eq!(process.size, Size::Narrow);
        let (without_key, _) = SEEN.rsplit_once('.').unwrap();
        assert!(Process::read(without_key).is_some());
        let mut old = b"\x83\x67\x64\x00\x08rabbit@h".to_vec();
        old.extend([0, 0, 1, 1, 0, 0, 0, 0, 2]);
        assert!(Process::read(&address(&old)).is_some());
    }

    #[test]
    fn the_numbers_of_a_process_tell_where_it_may_be() {
        check(32_767, 8_191, Size::Narrow);
        check(32_768, 0, Size::Wide);
        check(0, 8_192, Size::Wide);
        check((1 << 28) - 1, u32::MAX, Size::Wide);
        check(1 << 28, 0, Size::Unheard);
    }

    #[test]
    fn what_is_made_up_names_none() {
        let good = process(1, 2);
        let mut longer = good.clone();
        longer.push(0);
        let mut nameless = good.clone();
        nameless[3] = 0;
        for term in [
            &[][..],
            &[131],
            &[131, 106],
            &good[..good.len() - 1],
            &longer,
            &nameless,
        ] {
            assert!(Process::read(&address(term)).is_none(), "{term:?}");
        }
        for address in [
            "",
            "amq.rabbitmq.reply-to",
            "amq.rabbitmq.reply-to.",
            "amq.rabbitmq.reply-to.g2g=.x",
            "amq.rabbitmq.reply-to.%%%.x",
            &format!("{SEEN}.more"),
            &format!("{SEEN} "),
        ] {
            assert!(Process::read(address).is_none(), "{address}");
        }
    }
}
