//! What the test kit promises, through its public face.

mod conformance;
mod double;
mod history;
mod process;
mod proxy;
mod reference;
