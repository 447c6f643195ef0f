//! The way out: publish an event, send a command, and what happens when the broker is away.
//!
//! A [`Client`] joins a convention (how a message looks and where it goes) with a publisher (what carries it).
//! It is cheap to clone and is also an argument that handlers may ask for; what they publish with it carries
//! the correlation of the message they handle. Calls with a reply will live here too.

mod client;
mod context;
pub mod fallback;
mod observed;

#[doc(inline)]
pub use crate::{client::Client, observed::Publishing};
