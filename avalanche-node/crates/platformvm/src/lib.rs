//! The P-chain: transactions and blocks of every upgrade from Apricot to Granite and the pending Helicon, their
//! encodings, rewards, fees, warp messages and genesis. All of it is pure; there is no state and no execution yet.
//! Mirrors `vms/platformvm`.

pub mod block;
pub mod fx;
pub mod genesis;
pub mod reward;
pub mod txs;
pub mod validator_fee;
pub mod warp;

use avalanche_ids::Id;

/// The P-chain's own id, which is also the id of the primary network.
pub const CHAIN_ID: Id = Id::EMPTY;
