//! The same promises on a real RabbitMQ.

mod faults;
mod same;
