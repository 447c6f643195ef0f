//! The program as a person or a script meets it: its output, its errors, its exit codes.
//!
//! Every case runs the real binary on a broker in a file; those that depend on the broker also run on RabbitMQ
//! (see [`rabbitmq`]).

#![cfg(test)]

mod bed;
mod calling;
mod deadletters;
mod errors;
mod publishing;
mod queues;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod requeue;
mod rpc_status;
mod tailing;
mod topology;
