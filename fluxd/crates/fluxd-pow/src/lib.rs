//! Proof of work: Equihash in all parameter sets of the chain's history, the three difficulty rules, the hash check.
//!
//! Mirrors `src/crypto/equihash.cpp` and `src/pow.cpp` of the C++ node. Which parameters and rules belong to a network
//! is told by the caller ([`difficulty::PowRules`]).

pub mod difficulty;
pub mod equihash;

use fluxd_primitives::{BlockHash, CompactTarget, Hash256, U256, target::hash_value};

/// True when the hash of a PoW block is at most its target and the target at most the limit (`CheckProofOfWork`).
#[must_use]
pub fn meets_target(hash: &BlockHash, bits: CompactTarget, limit: U256) -> bool {
    bits.positive().is_some_and(|target| target <= limit && hash_value(&Hash256(hash.0)) <= target)
}
