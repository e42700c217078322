//! Proof of node: which collateral may make a block in which slot, the target of the next block, block signatures and
//! emergency blocks. Mirrors `src/pon/pon.cpp` and `src/emergencyblock.cpp` of the C++ node.
//!
//! Who the confirmed nodes are is not known here; the caller brings the key of the collateral.

pub mod emergency;

use fluxd_primitives::{
    BlockHash, BlockHeader, Codec, CompactTarget, Hash256, OutPoint, PublicKey, U256, codec::Writer,
    hash::sha256d, target::hash_value,
};
use fluxd_script::ecdsa;

/// Longest signature of an ordinary PoN block.
pub const MAX_SIGNATURE: usize = 73;
/// Longest signature list of an emergency block.
pub const MAX_EMERGENCY_SIGNATURES_SIZE: usize = 512;

/// What a network says about proof of node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PonRules {
    /// First height; -1 on a network that never scheduled it, where the height tests still read it as a number.
    pub activation: i64,
    /// The easiest target after the first window.
    pub limit: U256,
    /// The easiest target, and the target itself, in the first window.
    pub start_limit: U256,
    /// Seconds of a slot.
    pub spacing: i64,
    /// Blocks that the retarget looks at.
    pub window: i64,
    /// Time of the genesis block, where slots are counted from.
    pub genesis_time: u32,
    /// Regression tests: every hash meets every target.
    pub any_hash: bool,
    /// A collateral that needs no signature (test networks).
    pub bypass: Option<OutPoint>,
    /// Emergency blocks.
    pub emergency: emergency::EmergencyRules,
}

/// Why the proof of node of a header is wrong. One variant per rule; none of them but the target says anything about
/// the block hash, which does not cover the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PonError {
    /// The target is zero, negative, too large for 256 bits or easier than allowed (`CheckProofOfNode`).
    #[error("proof-of-node target is not allowed")]
    TargetNotAllowed,
    /// The PoN hash is above the target (`CheckProofOfNode`).
    #[error("proof-of-node hash is above the target")]
    HashAboveTarget,
    /// The collateral belongs to no node (`ContextualCheckPONBlockHeader`).
    #[error("block collateral is not a fluxnode")]
    UnknownNode,
    /// The signature is not by the node's key (`ContextualCheckPONBlockHeader`).
    #[error("block signature is not by the fluxnode")]
    BadSignature,
    /// The signatures of an emergency block do not suffice (`ValidateEmergencyBlockSignatures`).
    #[error("emergency block signatures do not suffice")]
    BadEmergencySignatures,
    /// An emergency block before proof of node (`IsEmergencyBlockAllowed`).
    #[error("emergency block before proof of node")]
    EmergencyTooEarly,
}

/// What the retarget reads of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PonBlock {
    /// Header time.
    pub time: u32,
    /// Header target.
    pub bits: CompactTarget,
}

impl PonRules {
    /// True when blocks of this height must carry a proof of node (`IsPONActive`).
    #[must_use]
    pub fn is_active(&self, height: u32) -> bool {
        i64::from(height) >= self.activation
    }

    /// The slot of a header time: slots since the genesis block, as the reference's 32-bit cast leaves it.
    #[must_use]
    pub fn slot(&self, time: u32) -> u32 {
        let slot =
            (i64::from(time) - i64::from(self.genesis_time)).checked_div(self.spacing).unwrap_or_default();
        u32::try_from(slot & 0xffff_ffff).unwrap_or_default()
    }

    /// The PoN hash of a header with this collateral.
    #[must_use]
    pub fn header_hash(&self, header: &BlockHeader, collateral: &OutPoint) -> Hash256 {
        pon_hash(collateral, &header.prev, self.slot(header.time))
    }

    /// Checks a PoN hash against a target; `height` is `None` where the parent is not known yet.
    ///
    /// # Errors
    /// [`PonError::TargetNotAllowed`] or [`PonError::HashAboveTarget`].
    pub fn check_hash(
        &self,
        hash: &Hash256,
        bits: CompactTarget,
        height: Option<u32>,
    ) -> Result<(), PonError> {
        if self.any_hash {
            return Ok(());
        }
        let easiest = match height {
            None => self.limit.max(self.start_limit),
            Some(height) if i64::from(height) >= self.activation + self.window => self.limit,
            Some(_) => self.start_limit,
        };
        let target = bits.positive().filter(|target| *target <= easiest).ok_or(PonError::TargetNotAllowed)?;
        if hash_value(hash) <= target { Ok(()) } else { Err(PonError::HashAboveTarget) }
    }

    /// The target of the next block. `recent` are the last blocks, oldest first, at least a window of them where the
    /// chain is that long; `prev_height` is the height of the last.
    #[must_use]
    pub fn next_bits(&self, prev_height: u32, recent: &[PonBlock]) -> CompactTarget {
        let start = CompactTarget::from_value(self.start_limit);
        let Some(last) = recent.last() else {
            return start;
        };
        let next = i64::from(prev_height) + 1;
        if next < self.activation {
            return last.bits;
        }
        if next < self.activation + self.window {
            return start;
        }
        let first_height = i64::from(prev_height) - (self.window - 1);
        let offset = usize::try_from(self.window).ok().and_then(|window| recent.len().checked_sub(window));
        let Some(first) =
            offset.and_then(|offset| recent.get(offset)).filter(|_| first_height >= self.activation)
        else {
            return start;
        };
        let limit = CompactTarget::from_value(self.limit);
        let goal = (self.window - 1) * self.spacing;
        let span = (i64::from(last.time) - i64::from(first.time)).max(goal * 4 / 5).min(goal * 5 / 4);
        let Some(target) = last.bits.positive() else {
            return limit;
        };
        let step = target.checked_div(U256::from(goal.unsigned_abs())).unwrap_or(U256::ZERO);
        let next_target = step.wrapping_mul(U256::from(span.unsigned_abs())).min(self.limit);
        if next_target.is_zero() { limit } else { CompactTarget::from_value(next_target) }
    }

    /// Checks who signed a PoN header. `node_key` is the operator key of the confirmed collateral, if there is one.
    ///
    /// # Errors
    /// [`PonError::UnknownNode`], a bad signature, or an emergency block that is not one.
    pub fn check_signature(
        &self,
        header: &BlockHeader,
        collateral: &OutPoint,
        signature: &[u8],
        height: u32,
        node_key: Option<&PublicKey>,
    ) -> Result<(), PonError> {
        let hash = header.hash();
        if self.emergency.is_emergency(collateral) {
            if !self.emergency.check(&hash, signature) {
                return Err(PonError::BadEmergencySignatures);
            }
            return if self.is_active(height) { Ok(()) } else { Err(PonError::EmergencyTooEarly) };
        }
        if self.bypass == Some(*collateral) {
            return Ok(());
        }
        let key = node_key.ok_or(PonError::UnknownNode)?;
        if ecdsa::verify(key, &hash.0, signature) { Ok(()) } else { Err(PonError::BadSignature) }
    }

    /// The nodes that may make a block on `prev` in `slot`, best first: byte order of the PoN hash, as the minter
    /// ranks them.
    #[must_use]
    pub fn ranking(
        &self,
        nodes: &[OutPoint],
        prev: &BlockHash,
        slot: u32,
        bits: CompactTarget,
        height: u32,
    ) -> Vec<OutPoint> {
        let mut eligible: Vec<(Hash256, OutPoint)> = nodes
            .iter()
            .map(|node| (pon_hash(node, prev, slot), *node))
            .filter(|(hash, _)| self.check_hash(hash, bits, Some(height)).is_ok())
            .collect();
        eligible.sort_unstable();
        eligible.into_iter().map(|(_, node)| node).collect()
    }
}

/// The hash that decides whether a collateral may make the block after `prev` in a slot. Between two blocks of equal
/// work and height, the one whose hash is smaller in byte order wins.
#[must_use]
pub fn pon_hash(collateral: &OutPoint, prev: &BlockHash, slot: u32) -> Hash256 {
    let mut writer = Writer::with_capacity(72);
    collateral.encode(&mut writer);
    prev.encode(&mut writer);
    writer.u32_le(slot);
    Hash256(sha256d(writer.as_slice()))
}
