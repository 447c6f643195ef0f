//! A broker's routing in thirty lines, to find out where an address leads in a declared topology.

use tidings_core::{Address, topology::Topology};

/// The queues that a message to this address reaches.
pub(crate) fn reached(topology: &Topology, address: &Address) -> Vec<String> {
    let mut queues: Vec<String> = if address.is_queue() {
        let named = topology
            .queues
            .iter()
            .filter(|queue| queue.name == address.key);
        named.map(|queue| queue.name.to_string()).collect()
    } else {
        assert!(
            topology
                .exchanges
                .iter()
                .any(|exchange| exchange.name == address.exchange),
            "no exchange for {address}"
        );
        let bound = topology.bindings.iter().filter(|binding| {
            binding.exchange == address.exchange && is_match(&binding.pattern, &address.key)
        });
        bound.map(|binding| binding.queue.to_string()).collect()
    };
    queues.sort();
    queues.dedup();
    queues
}

/// Where a message goes that expires in this queue.
pub(crate) fn reached_by_expiry(topology: &Topology, queue: &str) -> Vec<String> {
    let queue = topology
        .queues
        .iter()
        .find(|known| &*known.name == queue)
        .unwrap();
    let Some(dead_letter) = &queue.dead_letter else {
        return Vec::new();
    };
    let key = dead_letter.key.clone().expect("the wire always sets one");
    reached(topology, &Address::new(dead_letter.exchange.clone(), key))
}

/// Topic patterns as far as the wire uses them: `*` is one word.
fn is_match(pattern: &str, key: &str) -> bool {
    pattern.split('.').count() == key.split('.').count()
        && pattern
            .split('.')
            .zip(key.split('.'))
            .all(|(pattern, word)| pattern == "*" || pattern == word)
}
