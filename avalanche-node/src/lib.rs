//! The node as a library: what needs more than one virtual machine at once. So far that is the genesis of a network,
//! which the P-chain and the X-chain share. Everything else lives in the crates below `crates/`; `ARCHITECTURE.md` says
//! where.

pub mod config;
pub mod genesis;
