//! The Flux node as a daemon: command line, configuration, wiring. Rules live in the crates below.
//!
//! The path of a block: `fluxd-p2p/src/transport.rs` (socket) -> `fluxd-p2p/src/{frame,message,peer}.rs` -> `node/network.rs`
//! (what to ask of whom) -> `node/worker.rs` (one writer) -> `fluxd-chainstate` -> `node/network.rs`, `node/zmq.rs` (who
//! hears of it) and `fluxd-rpc` (who asks).

pub mod cli;
pub mod config;
pub mod node;
