//! Drives the built daemon from outside. One binary for all daemon tests.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's failure is a panic, in its helpers too

mod checkpoint;
mod errors;
mod hostile;
mod kills;
#[path = "../mint/mod.rs"]
mod mint;
mod nodes;
mod operations;
mod sim;
mod two_nodes;
