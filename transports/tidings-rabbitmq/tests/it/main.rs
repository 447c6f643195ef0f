//! The RabbitMQ transport against a real broker.

#![cfg(test)]

mod alarms;
mod answers;
mod bed;
mod closing;
mod conformance;
mod consuming;
mod consuming_limits;
mod declaring;
mod declaring_again;
mod declaring_differences;
mod declaring_looking;
mod direct_replies;
mod front;
mod inboxes;
mod publishing;
mod publishing_faults;
mod refusals;
