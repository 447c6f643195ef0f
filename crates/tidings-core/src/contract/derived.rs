//! What the derives call, so that generated code stays short and names no crate that its user does not depend on.
//!
//! Called by derives only: it may change in any version.

use serde::Serialize;

pub use serde_json::Value;

pub use crate::{codec::Format, error::Result};

/// The value of a member as JSON; `None` if it cannot be written.
pub fn lock_value<T: Serialize + ?Sized>(member: &T) -> Option<String> {
    serde_json::to_string(member).ok()
}

/// Examples as callers write them, without those that cannot be written.
pub fn examples<T: Serialize>(examples: &[T]) -> Vec<Value> {
    let written = examples.iter().map(serde_json::to_value);
    written.flatten().collect()
}
