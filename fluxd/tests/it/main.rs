//! Drives the built daemon from outside.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // a test's failure is a panic

mod fluxnodes;
mod golden;
mod hostile;
mod nodes;
mod operations;
mod two_nodes;
