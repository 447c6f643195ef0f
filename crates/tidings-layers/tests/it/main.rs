//! What the layers promise, driven by hand: futures are polled one step at a time and time stands still.

#![cfg(test)]

mod answer;
mod catch_panic;
mod chaos;
mod concurrency;
mod dead_letter;
mod fakes;
mod idempotency;
mod metrics;
mod recorder;
mod redeliver;
mod retry;
mod stack;
mod timeout;
mod trace;
