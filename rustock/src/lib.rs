//! rustock: a Rootstock light client that verifies every header of the chain itself.
//!
//! The path of a header: `net/transport.rs` (socket) -> `rlpx/` (handshake, frames) -> `wire/` and `codec/header.rs`
//! (bytes to values) -> `sync/` (what to ask of whom) -> `verify/` (is it valid?) -> `chain.rs` (which branch has more
//! work?) -> `store/` (one atomic batch) -> `rpc/` (served).
//!
//! Layers, imports go down only: types, params < codec, rlpx < wire, verify, store < chain, sync, net, discovery < rpc
//! < node < cli.

pub mod chain;
pub mod cli;
pub mod codec;
pub mod config;
pub mod discovery;
pub mod fuzzing;
pub mod metrics;
pub mod net;
pub mod node;
pub mod params;
pub mod rlpx;
pub mod rpc;
pub mod store;
pub mod sync;
pub mod types;
pub mod verify;
pub mod wire;
