//! Drives the built daemon from outside. One binary for all daemon tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test's failure is a panic, in its helpers too

mod import;
mod network;
mod nodes;
mod operations;
