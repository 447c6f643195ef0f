//! The convention from outside: what it declares, writes and answers.
