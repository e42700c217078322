//! The cryptography of the network: recoverable secp256k1 signatures of transactions, BLS signatures of validators,
//! staking certificates of peers, and the text forms of keys and addresses. No key files and no entropy: secrets are
//! passed in. Mirrors `utils/crypto`, `staking` and `utils/formatting/address`.

pub mod address;
pub mod bls;
mod der;
pub mod secp256k1;
pub mod staking;

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// RIPEMD-160 of SHA-256: how public keys become addresses and certificates become node ids.
#[must_use]
pub fn short_hash(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
