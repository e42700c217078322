//! A proof-of-stake node: Gasper consensus, Ed25519 accounts, delegation by share pools.
//!
//! Modules import downwards only: [`types`] and [`crypto`] know nothing of the others.

pub mod api;
pub mod cli;
pub mod config;
pub mod consensus;
pub mod crypto;
pub mod fuzzing;
pub mod mempool;
pub mod network;
pub mod node;
pub mod slashing_protection;
pub mod state;
pub mod storage;
pub mod sync;
pub mod types;
pub mod validator;
