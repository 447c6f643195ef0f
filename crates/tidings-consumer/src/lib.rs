//! The consumer program: whatever handlers are linked into a binary, served as a file says.
//!
//! One process serves the exchanges of one virtual host or of several. What a request passes through is the server's
//! stack; here is what surrounds it: which handlers there are, what the file asks for, what operators see.
//!
//! Read in this order: `flags` and [`config`] say what is wanted, `plan` finds who handles it, `serve` starts the server
//! of one virtual host, [`Program`] ties them together.

pub mod config;
mod flags;
mod handlers;
pub mod journal;
mod logging;
mod notify;
mod plan;
mod program;
mod request_log;
mod serve;
mod served;

pub use self::{
    flags::{Flags, LogFormat},
    program::{Program, Transports},
    serve::Handled,
    served::Served,
};
