//! The way out: publish an event, send a command, call and get the answer, and what happens when the broker is away.
//!
//! A [`Client`] joins a convention (how a message looks and where it goes) with a publisher (what carries it).
//! It is cheap to clone and is also an argument that handlers may ask for; what they publish with it carries
//! the correlation of the message they handle. A [`Caller`] sends requests and hands out their answers.

mod caller;
mod client;
mod context;
pub mod fallback;
mod observed;

#[doc(inline)]
pub use crate::{
    caller::{Caller, Calling},
    client::Client,
    observed::Publishing,
};
