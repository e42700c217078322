//! The P-chain: transactions and blocks of every upgrade from Apricot to Granite and the pending Helicon, their
//! encodings and context-free rules, rewards, fees, warp messages, genesis, and validator sets at past heights. There is
//! no other state and no execution yet.
//! Mirrors `vms/platformvm`.

pub mod block;
pub mod config;
pub mod fx;
pub mod genesis;
pub mod reward;
pub mod state;
pub mod txs;
pub mod utxo;
pub mod validator_fee;
pub mod warp;

use avalanche_ids::Id;

/// The P-chain's own id, which is also the id of the primary network.
pub const CHAIN_ID: Id = Id::EMPTY;
