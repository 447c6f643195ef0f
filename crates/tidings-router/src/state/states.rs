//! The state of handlers that register themselves: whatever the program gives, by type.

use std::{
    any::{Any, type_name},
    fmt,
};

use tidings_core::{Error, ErrorKind, error::Result, extensions::Extensions};

use super::FromState;

/// Values by their type. A handler that asks for `State<T>` gets a clone of the `T` among them.
///
/// ```
/// use tidings_router::{FromState, States};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Limit(u32);
///
/// let states = States::new().with(Limit(10));
/// assert_eq!(Limit::from_state(&states)?, Limit(10));
/// assert!(String::from_state(&states).is_err());
/// # Ok::<(), tidings_core::Error>(())
/// ```
// Not `Clone`: then it would be a part of itself, twice over.
#[derive(Default)]
pub struct States {
    values: Extensions,
    names: Vec<&'static str>,
}

impl States {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, in place of another of its type.
    #[must_use]
    pub fn with<T: Any + Clone + Send + Sync>(mut self, value: T) -> Self {
        if self.values.insert(value).is_none() {
            self.names.push(type_name::<T>());
        }
        self
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Any + Clone + Send + Sync>(&self) -> Option<&T> {
        self.values.get()
    }
}

impl<T: Any + Clone + Send + Sync> FromState<States> for T {
    fn from_state(states: &States) -> Result<Self> {
        states
            .get()
            .cloned()
            .ok_or_else(|| missing::<Self>(&states.names))
    }
}

fn missing<T>(names: &[&str]) -> Error {
    let there = match names {
        [] => "it has none at all".to_owned(),
        names => format!("it has `{}`", names.join("`, `")),
    };
    let wanted = type_name::<T>();
    let context = format!(
        "asks for `State<{wanted}>`, and the program has no state of that type ({there}): give it one with `.state(…)`"
    );
    Error::new(ErrorKind::Misuse, context)
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("States").field(&self.names).finish()
    }
}
