//! A typed map that travels with a call inside one process and never on the wire.

use std::{any::Any, sync::Arc};

/// Values keyed by their type. An empty one holds no memory, and clones share what is in them until one of them is
/// changed: every layer that keeps a call for the case of a failure clones it.
#[derive(Clone, Debug, Default)]
pub struct Extensions(Option<Arc<http::Extensions>>);

impl Extensions {
    /// Puts a value in and returns the one it replaces.
    pub fn insert<T: Any + Clone + Send + Sync>(&mut self, value: T) -> Option<T> {
        Arc::make_mut(self.0.get_or_insert_default()).insert(value)
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Any + Clone + Send + Sync>(&self) -> Option<&T> {
        self.0.as_ref()?.get()
    }

    /// Takes the value of this type out.
    pub fn remove<T: Any + Clone + Send + Sync>(&mut self) -> Option<T> {
        self.get::<T>()?;
        Arc::make_mut(self.0.as_mut()?).remove()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_clone_leaves_the_other_as_it_is() {
        let mut one = Extensions::default();
        assert_eq!((one.insert(1_u8), one.insert("text")), (None, None));
        let mut other = one.clone();
        assert_eq!(other.insert(2_u8), Some(1));
        assert_eq!(other.remove::<&str>(), Some("text"));
        assert_eq!(other.remove::<u64>(), None);
        assert_eq!(
            (one.get::<u8>(), one.get::<&str>()),
            (Some(&1), Some(&"text"))
        );
        assert_eq!((other.get::<u8>(), other.get::<&str>()), (Some(&2), None));
    }
}
