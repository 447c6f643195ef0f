//! The RabbitMQ transport against a real broker.

#![cfg(test)]

mod bed;
