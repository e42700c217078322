//! Drives the built daemon from outside. One binary for all daemon tests.

mod errors;
mod hostile;
mod nodes;
mod operations;
mod two_nodes;
