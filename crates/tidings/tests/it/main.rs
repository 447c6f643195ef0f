//! What users are promised, through the facade, on the embedded broker in virtual time.

mod bad_input;
mod failures;
mod lifecycle;
mod ordering;
mod publishing;
mod world;
