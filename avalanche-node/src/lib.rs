//! The node as a library: what needs more than one virtual machine at once. Everything else lives in the crates below
//! `crates/`; `ARCHITECTURE.md` says where.
//!
//! Path of a message: `avalanche-net` hands it to [`node`], which gives it to the thread of its chain ([`node::chain`]);
//! there the engines of `avalanche-snow` decide, and call the machine through `proposervm`.

pub mod cli;
pub mod config;
pub mod genesis;
pub mod node;
pub mod upgrades;
