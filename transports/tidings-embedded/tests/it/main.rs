//! The embedded transport from outside: what every transport does (`conformance`), and what only this one does.

#![cfg(test)]

mod bed;
mod comparing;
mod conformance;
mod directory;
mod durable;
mod dying;
mod files;
mod link;
mod link_kill;
mod link_socket;
mod random;
mod sharing;
