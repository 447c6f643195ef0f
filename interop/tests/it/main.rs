//! The program as the outside sees it: several processes on one file, their output and their exit codes.

#![cfg(test)]

mod bed;
mod dead_letters;
mod dying;
mod failing;
mod petisco;
mod refusing;
mod role;
mod rpc;
mod sharing;
mod topology;
mod venv;
