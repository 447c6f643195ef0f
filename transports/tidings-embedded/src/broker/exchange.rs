//! From an exchange and a routing key to queues.
//!
//! Matching walks all bindings of the exchange; the result is remembered per address, because services publish
//! to few addresses many times. Any change of the topology forgets what was remembered.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use tidings_core::{Address, topology::ExchangeKind};

use crate::broker::queue::QueueId;

/// Which queues receive a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Nowhere,
    One(QueueId),
    Many(Arc<[QueueId]>),
}

/// How many addresses are remembered before all are forgotten: enough for any service, and a bound for
/// publishers that put an id into every key.
const REMEMBERED: usize = 4_096;

/// The exchanges with their bindings.
#[derive(Debug)]
pub(crate) struct Exchanges {
    by_name: HashMap<Arc<str>, Exchange>,
    queues: HashMap<Arc<str>, QueueId>,
    remembered: HashMap<Address, Route>,
}

#[derive(Debug)]
struct Exchange {
    kind: ExchangeKind,
    bindings: Vec<(Arc<str>, QueueId)>,
}

impl Exchanges {
    pub(crate) fn new() -> Self {
        Self {
            by_name: HashMap::new(),
            queues: HashMap::new(),
            remembered: HashMap::new(),
        }
    }

    pub(crate) fn kind(&self, exchange: &str) -> Option<ExchangeKind> {
        self.by_name.get(exchange).map(|exchange| exchange.kind)
    }

    pub(crate) fn add(&mut self, name: Arc<str>, kind: ExchangeKind) {
        let bindings = Vec::new();
        self.by_name.insert(name, Exchange { kind, bindings });
        self.remembered.clear();
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.remembered.clear();
        self.by_name.remove(name).is_some()
    }

    /// Makes a queue known to the default exchange.
    pub(crate) fn add_queue(&mut self, name: Arc<str>, queue: QueueId) {
        self.queues.insert(name, queue);
        self.remembered.clear();
    }

    /// Forgets a queue and all its bindings.
    pub(crate) fn remove_queue(&mut self, name: &str) -> Option<QueueId> {
        let queue = self.queues.remove(name)?;
        for exchange in self.by_name.values_mut() {
            exchange.bindings.retain(|(_, bound)| *bound != queue);
        }
        self.remembered.clear();
        Some(queue)
    }

    pub(crate) fn queue(&self, name: &str) -> Option<QueueId> {
        self.queues.get(name).copied()
    }

    /// Binds a queue; returns whether that is new. Unknown exchanges were refused before.
    pub(crate) fn bind(&mut self, exchange: &str, pattern: &Arc<str>, queue: QueueId) -> bool {
        let Some(exchange) = self.by_name.get_mut(exchange) else {
            return false;
        };
        let known = |(bound, to): &(Arc<str>, QueueId)| bound == pattern && *to == queue;
        if exchange.bindings.iter().any(known) {
            return false;
        }
        exchange.bindings.push((Arc::clone(pattern), queue));
        self.remembered.clear();
        true
    }

    pub(crate) fn is_bound(&self, exchange: &str, pattern: &str, queue: QueueId) -> bool {
        let exchange = self.by_name.get(exchange);
        let mut bindings = exchange.iter().flat_map(|exchange| &exchange.bindings);
        bindings.any(|(bound, to)| &**bound == pattern && *to == queue)
    }

    /// Where a message goes; `None` if the exchange does not exist.
    pub(crate) fn route(&mut self, address: &Address) -> Option<Route> {
        if let Some(route) = self.remembered.get(address) {
            return Some(route.clone());
        }
        let route = self.find(address)?;
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(address.clone(), route.clone());
        Some(route)
    }

    fn find(&self, address: &Address) -> Option<Route> {
        if address.is_queue() {
            return Some(self.queue(&address.key).map_or(Route::Nowhere, Route::One));
        }
        let exchange = self.by_name.get(&address.exchange)?;
        let mut found = Vec::new();
        for (pattern, queue) in &exchange.bindings {
            if !found.contains(queue) && matches(exchange.kind, pattern, &address.key) {
                found.push(*queue);
            }
        }
        Some(match found.as_slice() {
            [] => Route::Nowhere,
            [one] => Route::One(*one),
            _ => Route::Many(found.into()),
        })
    }
}

fn matches(kind: ExchangeKind, pattern: &str, key: &str) -> bool {
    match kind {
        ExchangeKind::Fanout => true,
        ExchangeKind::Topic => matches_topic(pattern, key),
        // `ExchangeKind` may grow; an exchange of a kind we do not know was refused when it was declared.
        _ => pattern == key,
    }
}

/// RabbitMQ's rules: `*` is exactly one word, `#` any number of words, the empty text has no words and two
/// dots in a row have an empty word between them.
fn matches_topic(pattern: &str, key: &str) -> bool {
    let (pattern, key) = (words(pattern), words(key));
    let (mut p, mut k) = (0, 0);
    // Where to go on when the words after the last `#` do not fit: let it swallow one word more. Only the last
    // `#` needs this, because whatever an earlier one could swallow the last one can, too.
    let mut retry = None;
    while k < key.len() {
        match pattern.get(p) {
            Some(&"#") => {
                retry = Some((p + 1, k));
                p += 1;
            }
            Some(&word) if word == "*" || word == key[k] => {
                p += 1;
                k += 1;
            }
            _ => {
                let Some((after, swallowed)) = retry else {
                    return false;
                };
                retry = Some((after, swallowed + 1));
                (p, k) = (after, swallowed + 1);
            }
        }
    }
    pattern[p..].iter().all(|&word| word == "#")
}

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() {
        Vec::new()
    } else {
        text.split('.').collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, fits: &[&str], fails: &[&str]) {
        for key in fits {
            assert!(
                matches_topic(pattern, key),
                "`{pattern}` must match `{key}`"
            );
        }
        for key in fails {
            assert!(
                !matches_topic(pattern, key),
                "`{pattern}` must not match `{key}`"
            );
        }
    }

    #[test]
    fn words_are_compared_whole() {
        check("", &[""], &["a", "."]);
        check("a.b", &["a.b"], &["", "a", "a.b.c", "ab", "a.bb", "a.B"]);
    }

    #[test]
    fn a_star_is_exactly_one_word() {
        check("*", &["a", "abc"], &["", "a.b", "."]);
        check("*.*", &["a.b", ".", "a."], &["a", "a.b.c"]);
        check("a.*.c", &["a.b.c", "a..c"], &["a.c", "a.b.b.c"]);
        check("a*", &["a*"], &["ab", "a"]);
    }

    #[test]
    fn a_hash_is_any_number_of_words() {
        check("#", &["", "a", "a.b.c", ".", "..."], &[]);
        check("a.#", &["a", "a.b", "a.b.c", "a."], &["", "b", "ab", "b.a"]);
        check("#.a", &["a", "b.a", "a.a", ".a"], &["", "a.b"]);
        check(
            "#.a.#",
            &["a", "a.a", "x.a", "a.x", "x.y.a.z", ".a.", "a.b.a.c"],
            &["", "b", "x.y"],
        );
        check("#.#", &["", "a", "a.b"], &[]);
        check("*.#", &["a", "a.b"], &[""]);
        check("#.*", &["a", "a.b"], &[""]);
        check(
            "a.#.b.#.c",
            &["a.b.c", "a.x.b.y.c", "a.b.b.c.c"],
            &["a.c", "a.b", "a.c.b"],
        );
        check("#.*.a", &["x.a", "x.y.a", "a.a"], &["a"]);
    }

    #[test]
    fn routing_remembers_until_the_topology_changes() {
        let mut exchanges = Exchanges::new();
        let (q, r) = (QueueId(1), QueueId(2));
        exchanges.add("x".into(), ExchangeKind::Direct);
        exchanges.add_queue("q".into(), q);
        exchanges.add_queue("r".into(), r);
        let address = Address::new("x", "k");
        assert_eq!(exchanges.route(&address), Some(Route::Nowhere));
        assert!(exchanges.bind("x", &"k".into(), q));
        assert!(
            !exchanges.bind("x", &"k".into(), q),
            "the second time changes nothing"
        );
        assert_eq!(exchanges.route(&address), Some(Route::One(q)));
        assert!(exchanges.bind("x", &"k".into(), r));
        assert_eq!(exchanges.route(&address), Some(Route::Many([q, r].into())));
        exchanges.remove_queue("q");
        assert_eq!(exchanges.route(&address), Some(Route::One(r)));
        assert_eq!(exchanges.route(&Address::queue("q")), Some(Route::Nowhere));
        assert_eq!(exchanges.route(&Address::new("y", "k")), None);
    }
}
