//! The same promises on a real RabbitMQ.

mod domain;
mod faults;
mod same;
