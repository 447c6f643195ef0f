//! A typed map that travels with a call inside one process and never on the wire.

use std::any::Any;

/// Values keyed by their type. An empty one holds no memory.
#[derive(Clone, Debug, Default)]
pub struct Extensions(http::Extensions);

impl Extensions {
    /// Puts a value in and returns the one it replaces.
    pub fn insert<T: Any + Clone + Send + Sync>(&mut self, value: T) -> Option<T> {
        self.0.insert(value)
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Any + Clone + Send + Sync>(&self) -> Option<&T> {
        self.0.get()
    }

    /// Takes the value of this type out.
    pub fn remove<T: Any + Clone + Send + Sync>(&mut self) -> Option<T> {
        self.0.remove()
    }
}
