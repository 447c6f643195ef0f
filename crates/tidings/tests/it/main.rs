//! What users are promised, through the facade, on the embedded broker: in virtual time, but for what dies for real
//! (`crash`).

#![cfg(test)]

mod bad_input;
mod chaos;
mod crash;
mod failures;
mod fallback;
mod lifecycle;
mod ordering;
mod publishing;
mod resilience;
mod signals;
mod world;
