//! What the router promises, seen through its public API.

mod ui;
