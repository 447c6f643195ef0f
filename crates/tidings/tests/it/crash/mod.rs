//! What survives when processes are killed, the disk is full, or the machine stops: the durable file under real deaths.
//!
//! Unlike the other scenarios these run in real time, because what dies are real processes: this test binary
//! starts itself again, with orders in its environment ([`child`]), and the parent kills it. What the children
//! saw is in their histories; `tidings_testkit::history` says what follows from it.
//!
//! Not tested here: a power cut. Instead, copies of a live file are opened elsewhere ([`crash_image`]).

mod broken_broker;
mod child;
mod crash_image;
mod crash_points;
mod crew;
mod full_disk;
mod halting;
mod kill_9_rounds;
mod orders;
mod place;
mod roles;
