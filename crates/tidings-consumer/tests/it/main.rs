//! The consumer program from outside.
