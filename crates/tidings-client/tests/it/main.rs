//! The behaviour of the client and of its fallback, through the public API.

#![cfg(test)]

mod calls;
mod client;
mod fallback;
mod file_damage;
mod file_spool;
mod fixture;
mod full_disk;
mod log_lines;
mod primary;
mod queue_spool;
mod replayer;
mod second;
