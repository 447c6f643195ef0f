//! From a call to a function: which handler a message goes to, and how its arguments are made.
//!
//! A handler is a plain async function. Its last argument is the message; the others are extractors. A
//! [`Subscriber`] gives handlers a name and a policy, a [`Router`] collects subscribers and their state.
//! Nothing here knows a transport, a task or a broker.

mod handler;
mod joined;
mod ordering;
pub mod registry;
mod route;
mod router;
mod stable_hash;
mod state;
mod subscriber;

#[doc(inline)]
pub use tidings_core::respond::Respond;

#[doc(inline)]
pub use crate::{
    handler::{AnswerOf, AnyHandler, Arguments, Function, Handler, Handling},
    ordering::OrderKey,
    route::{Route, RouteService},
    router::Router,
    state::{FromState, State, States},
    subscriber::{Options, Subscriber},
};
