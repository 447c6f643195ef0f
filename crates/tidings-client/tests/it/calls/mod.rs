//! Calls and their answers: the same promises on the embedded broker, on RabbitMQ, and on a transport that fails on
//! command.

mod answers;
mod bed;
mod faults;
mod flaky;
mod rabbitmq;
mod requests;
mod responder;
