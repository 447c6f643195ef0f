//! What to do about a broker that has other definitions than this domain wants.

use tidings_core::{
    error::{Error, ErrorKind},
    topology::{Difference, Thing},
};

use crate::{
    Domain,
    names::{DEAD_LETTER_PREFIX, STORE},
};

impl Domain {
    /// Adds to a refusal which setting of the domain would agree with what exists.
    pub(crate) fn advise(&self, refused: Error, differences: &[Difference]) -> Error {
        let is_of_queue =
            |it: &&Difference| matches!(it.thing(), Thing::Queue(_)) && it.is_conflict();
        let advice = match owner_of_store(differences) {
            Some(owner) => self.other_store(owner),
            None if differences.iter().any(|it| is_of_queue(&it)) => {
                "the queues were declared with other settings than this domain has: give it theirs (`joining_existing` \
                 for the TTLs that petisco has unless told otherwise, else `main_ttl`, `retry_ttl` and \
                 `queue_rule`), or delete the queues once they are empty"
                    .to_owned()
            }
            None => return refused,
        };
        Error::new(ErrorKind::Conflict, advice).with_source(refused)
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
