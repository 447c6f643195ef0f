//! What one small JSON event costs in this process: in instructions, and in heap allocations.
//!
//! Every figure is the difference between a run over 2 M messages and one over M, divided by M: starting up, the
//! first message, growing a queue once all happen in both and cancel. Each run is a process of its own with one
//! thread, so it has one order of execution and the counts repeat from run to run.

mod bare;
mod ours;
mod peer;
mod report;
mod scenario;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::Event;

pub use self::{
    report::{Report, measure},
    scenario::run,
};
use ruststream::Outgoing;

/// The event, for us and for the peer: two whole numbers, as in the peer's own benchmark, so that decoding its
/// fields allocates nothing and the figures are those of the frameworks.
#[derive(Debug, Event, Outgoing, Serialize, Deserialize, JsonSchema)]
#[outgoing(name = "orders")]
pub struct OrderPlaced {
    /// Which order.
    pub id: u64,
    /// How many.
    pub quantity: u32,
}

/// The same event every time: digits that grew with the messages would make later ones dearer.
const ORDER: OrderPlaced = OrderPlaced {
    id: 1_000_000,
    quantity: 37,
};
