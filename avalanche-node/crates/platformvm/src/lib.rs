//! The P-chain: transactions and blocks of every upgrade from Apricot to Granite and the pending Helicon, their encodings,
//! rules and execution, rewards, fees, warp messages, genesis, the state and validator sets at past heights, mempool and
//! block building, and all of it as a machine that consensus drives. Mirrors `vms/platformvm`.
//!
//! The path of a block: `block` reads it, `vm/verify` judges it with `txs/verify` and `txs/execute` on a draft of `state`,
//! `vm` accepts it, `state` writes it.

pub mod block;
pub mod config;
pub mod fx;
pub mod genesis;
pub mod mempool;
pub mod reward;
pub mod state;
pub mod txs;
pub mod uptime;
pub mod utxo;
pub mod validator_fee;
pub mod vm;
pub mod warp;

use avalanche_ids::Id;

/// The P-chain's own id, which is also the id of the primary network.
pub const CHAIN_ID: Id = Id::EMPTY;
