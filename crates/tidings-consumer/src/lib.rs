//! The consumer program: whatever handlers are linked into a binary, served as a file says.
//!
//! One process serves the exchanges of one virtual host or of several. What a request passes through is the server's
//! stack; here is what surrounds it: which handlers there are, what the file asks for, what operators see.

pub mod config;
pub mod journal;
