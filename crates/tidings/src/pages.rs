//! The README and the guide as doc-tests, so that every snippet in them compiles and does what it says.

#![cfg(all(doctest, feature = "testing"))]
