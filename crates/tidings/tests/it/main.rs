//! What users are promised, through the facade, on the embedded broker: in virtual time, but for what dies for real
//! (`crash`).

#![cfg(test)]

mod bad_input;
#[cfg(feature = "rpc")]
mod calling;
mod chaos;
mod configuring;
mod crash;
mod detours;
mod failures;
mod fallback;
mod impatient;
mod lifecycle;
mod logs;
mod ordering;
mod publishing;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod registering;
mod resilience;
mod signals;
mod spans;
mod world;
