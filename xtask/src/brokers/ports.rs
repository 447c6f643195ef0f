//! Local ports for brokers that keep them while they are down.
//!
//! A port from the system's own range would not do: while a node is down, an outgoing connection of anybody,
//! even one to that very node, may be given its port. So ours lie below that range. They are held until just
//! before the broker starts; what is left of the race is two runs that draw the same number in that moment.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    ops::Range,
};

use anyhow::{Result, ensure};

/// Where we draw from. What else listens here is mostly well known, and is found by trying.
const OURS: Range<u16> = 20_000..32_768;
/// More than enough: the range is nearly empty.
const ATTEMPTS: usize = 1_000;

/// Ports that nobody else can have while this lives.
#[derive(Debug)]
pub(crate) struct Reserved(Vec<TcpListener>);

impl Reserved {
    /// Reserves some that are free and not among `taken`, which are those of brokers that are down.
    pub(crate) fn new(count: usize, taken: &[u16]) -> Result<Self> {
        let range = range();
        let mut listeners = Vec::with_capacity(count);
        for _ in 0..ATTEMPTS {
            if listeners.len() == count {
                break;
            }
            let port = draw(&range);
            if !taken.contains(&port) {
                listeners.extend(TcpListener::bind(("127.0.0.1", port)));
            }
        }
        ensure!(
            listeners.len() == count,
            "cannot find {count} free ports between {} and {}",
            range.start,
            range.end
        );
        Ok(Self(listeners))
    }

    pub(crate) fn numbers(&self) -> Result<Vec<u16>> {
        let number = |listener: &TcpListener| Ok(listener.local_addr()?.port());
        self.0.iter().map(number).collect()
    }
}

/// Our range, as far as the system does not use it for outgoing connections.
fn range() -> Range<u16> {
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(OURS.end);
    below(lowest)
}

fn below(lowest: u16) -> Range<u16> {
    // A machine on which nothing useful is left gets ports that are merely free.
    if lowest > OURS.start + 1_000 {
        OURS.start..lowest.min(OURS.end)
    } else {
        OURS
    }
}

/// The standard library's only source of randomness is the one that protects its maps.
fn draw(range: &Range<u16>) -> u16 {
    let random = RandomState::new().build_hasher().finish();
    let offset = random % u64::from(range.end - range.start);
    range.start + u16::try_from(offset).expect("the remainder is smaller than a u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_different_and_cannot_be_had_by_others() {
        let reserved = Reserved::new(4, &[]).unwrap();
        let mut ports = reserved.numbers().unwrap();
        for port in &ports {
            assert!(TcpListener::bind(("127.0.0.1", *port)).is_err());
        }
        ports.dedup();
        assert_eq!(ports.len(), 4);
    }

    #[test]
    fn ports_of_brokers_that_are_down_are_not_drawn() {
        let all_but_one: Vec<u16> = range().skip(1).collect();
        let Ok(reserved) = Reserved::new(1, &all_but_one) else {
            return; // The one that is left is in use, or was not drawn.
        };
        assert_eq!(reserved.numbers().unwrap(), [range().start]);
    }

    #[test]
    fn outgoing_connections_are_given_other_ports() {
        assert_eq!(below(32_768), OURS);
        assert_eq!(below(60_000), OURS);
        assert_eq!(below(25_000), 20_000..25_000);
        assert_eq!(below(1_024), OURS);
    }
}
