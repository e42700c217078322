//! Blocks, transactions and extensible payloads: their wire form and hashes, without any rule of validity that
//! needs more than the bytes themselves. Mirrors `Network/P2P/Payloads`.

mod attribute;
mod block;
mod condition;
mod extensible;
mod header;
mod merkle;
mod signer;
mod transaction;
mod witness;

pub use attribute::{Attribute, OracleCode};
pub use block::Block;
pub use condition::{Condition, MAX_NESTING, RuleAction, WitnessRule};
pub use extensible::Extensible;
pub use header::{Header, HeaderBody};
pub use merkle::merkle_root;
pub use signer::{Scopes, Signer};
pub use transaction::{MAX_TRANSACTION_SIZE, Transaction, TransactionBody};
pub use witness::Witness;

use crate::hash::UInt256;

/// What is signed for a block, transaction or payload: the magic number of the network and the hash.
#[must_use]
pub fn sign_data(network: u32, hash: &UInt256) -> [u8; 36] {
    let mut out = [0; 36];
    out[..4].copy_from_slice(&network.to_le_bytes());
    out[4..].copy_from_slice(hash.as_bytes());
    out
}
