//! The node: a pure core that holds the chain, and the wiring that connects it with sockets, clock, disk and RPC.

mod bootstrap;
pub mod core;
pub mod genesis;
pub mod keys;
mod report;
pub mod run;
pub mod signer;
