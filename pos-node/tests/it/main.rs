//! Tests of whole nodes: many in one process on a virtual clock, and the built daemon from outside.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // a test's failure is a panic

mod devnet;
mod load;
mod operations;
mod proof;
mod sim;
