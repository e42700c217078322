//! Drives the built daemon from outside, and networks of engines on a virtual clock. One binary for all such tests.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's failure is a panic, in its helpers too

mod daemon;
mod killed;
mod operations;
mod sim;
mod source;
