//! The RabbitMQ transport against a real broker.

#![cfg(test)]

mod bed;
mod conformance;
mod declaring;
mod front;
mod publishing;
mod publishing_faults;
mod refusals;
