//! The X-chain: transactions, blocks and genesis, the stop vertex that ended its DAG, rules and execution, the state,
//! mempool and block building, and all of it as a machine that consensus drives. Mirrors `vms/avm` and, for the vertex,
//! `snow/engine/avalanche/vertex`.
//!
//! The path of a block: `block` reads it, `vm` judges it with `txs/verify` and `txs/execute` on a draft of `state`, and
//! accepts it; `state` writes it.

pub mod block;
pub mod config;
pub mod fx;
pub mod genesis;
pub mod mempool;
pub mod state;
pub mod txs;
pub mod vertex;
pub mod vm;
