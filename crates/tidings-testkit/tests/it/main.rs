//! What the test kit promises, through its public face.

mod double;
mod history;
mod process;
