//! neo-node: a full node for Neo N3.
//!
//! The path of a block: `neo-p2p/src/transport.rs` (socket) -> `neo-p2p/src/frame.rs` (frames) -> `neo-p2p/src/message.rs`
//! and `neo-base/src/ledger/` (bytes to values) -> `neo-p2p/src/sync.rs` (what to ask of whom) -> `neo-runtime` (is it
//! valid? what does it change? one atomic commit) -> `neo-rpc` (served). `neo-consensus` makes new ones.
//! Here the parts meet: [`node`] wires them, [`config`] holds the settings, [`cli`] the verbs.

pub mod cli;
pub mod config;
pub mod fuzzing;
pub mod metrics;
pub mod node;
