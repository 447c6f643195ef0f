//! What to do about a broker that has other definitions than this domain wants.

use tidings_core::{
    error::{Error, ErrorKind},
    topology::{Difference, Thing},
};

use crate::{
    Domain,
    names::{DEAD_LETTER_PREFIX, RETRY_PREFIX, STORE},
    queue_config::WIRE_MAIN_TTL,
};

impl Domain {
    /// Adds to a refusal which setting of the domain would agree with what exists.
    pub(crate) fn advise(&self, refused: Error, differences: &[Difference]) -> Error {
        if let Some(owner) = owner_of_store(differences) {
            return Error::new(ErrorKind::Conflict, self.other_store(owner)).with_source(refused);
        }
        let of_queue = |it: &Difference| matches!(it.thing(), Thing::Queue(_)) && it.is_conflict();
        if !differences.iter().any(of_queue) {
            return refused;
        }
        let advice = if differences.iter().any(is_without_wire_ttl) {
            "these queues were declared without petisco's TTL: leave `joining_existing` out, or delete them once they are empty"
        } else {
            "or give the domain the settings that the queues have: `joining_existing` for the TTLs of petisco, \
             `main_ttl`, `retry_ttl` and `queue_rule` for others"
        };
        Error::new(ErrorKind::Conflict, format!("{refused}; {advice}"))
    }

    fn other_store(&self, owner: &str) -> String {
        let ours = &self.names().exchange;
        format!(
            "the store on this virtual host belongs to organization `{owner}`, and a virtual host has room for one: \
             give `{ours}` a virtual host of its own, or build its domain without a store (`without_store`); \
             `joining_existing` helps only within one organization"
        )
    }
}

/// Whether a main queue exists without a TTL where existing systems have theirs: the domain joins them, and whoever
/// made the queue did not. The TTLs of retry queues are another setting.
fn is_without_wire_ttl(difference: &Difference) -> bool {
    match difference {
        Difference::Differs {
            thing: Thing::Queue(queue),
            setting,
            has,
            wants,
        } => {
            let wire = format!("{} ms", WIRE_MAIN_TTL.as_millis());
            let is_main = !queue.starts_with(RETRY_PREFIX);
            is_main && setting == "message TTL" && has == "none" && *wants == wire
        }
        _ => false,
    }
}

/// The organization that the store belongs to, if a comparison shows that it is not the one that was asked for.
/// The store's name says nothing; where its expired messages go does.
pub(crate) fn owner_of_store(differences: &[Difference]) -> Option<&str> {
    differences.iter().find_map(|difference| match difference {
        Difference::Differs {
            thing: Thing::Queue(queue),
            has,
            ..
        } if &**queue == STORE => {
            let exchange = has.trim_matches(['`', '"', '\'']);
            let owner = exchange.strip_prefix(DEAD_LETTER_PREFIX)?;
            owner.strip_suffix(STORE)?.strip_suffix('.')
        }
        _ => None,
    })
}
