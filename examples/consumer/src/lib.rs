//! A package of handlers, to copy: one file for each exchange.
//!
//! It is a library, so that one program can serve the handlers of several packages.

pub mod dx_example;
