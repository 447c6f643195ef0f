//! The same promises on a real RabbitMQ.

mod alarm;
mod domain;
mod faults;
mod same;
