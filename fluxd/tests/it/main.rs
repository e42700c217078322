//! Drives the built daemon from outside.
#![allow(missing_docs)]

mod nodes;
mod operations;
mod two_nodes;
