//! Rules of headers. Mirrors `CheckBlockHeader` and `ContextualCheckBlockHeader` in `src/main.cpp`.

use fluxd_pon::{MAX_EMERGENCY_SIGNATURES_SIZE, MAX_SIGNATURE, PonBlock, PonError};
use fluxd_pow::{
    difficulty::{BlockFacts, Recent, median_time},
    equihash::{self, EquihashError, Parameters},
    meets_target,
};
use fluxd_primitives::{BlockHeader, Codec, Proof};

use crate::{
    params::{Network, Params},
    upgrades::Upgrade,
};

/// Lowest version of any header.
const MIN_VERSION: i32 = 4;
/// Seconds that a header may be ahead of the clock: before LWMA, with proof of work, with proof of node.
const FUTURE_BEFORE_LWMA: i64 = 7200;
const FUTURE_WORK: i64 = 360;
const FUTURE_NODE: i64 = 300;
/// Test network: heights up to which any solution length passes, and PoN heights whose targets are not checked.
const TEST_ANY_SOLUTION: u32 = 320;
const TEST_ANY_PON_BITS: std::ops::RangeInclusive<u32> = 800..=1800;

/// A rule that a header breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A version below 4.
    #[error("version-too-low")]
    VersionTooLow,
    /// A PoN signature that is too long.
    #[error("bad-pon-sig-size")]
    PonSignatureSize,
    /// The proof of node does not meet its target.
    #[error("high-hash")]
    ProofOfNode(#[source] PonError),
    /// The solution is not one.
    #[error("invalid-solution")]
    Solution(#[source] EquihashError),
    /// The hash does not meet its target, or the target is not allowed.
    #[error("high-hash")]
    HighHash,
    /// Too far ahead of the clock.
    #[error("time-too-new")]
    TimeTooNew,
    /// The parent is too deep below the tip.
    #[error("bad-fork-prior-to-maxreorgdepth")]
    ForkTooDeep,
    /// Proof of work where proof of node is due.
    #[error("not-pon-block")]
    NotPon,
    /// Proof of node before its height.
    #[error("premature-pon-block")]
    PrematurePon,
    /// The proof of node does not meet the limit of its height.
    #[error("bad-pon-header")]
    PonHeader(#[source] PonError),
    /// Another target than the retarget gives.
    #[error("bad-pon-diffbits")]
    PonBits,
    /// A solution whose length its height does not accept.
    #[error("bad-equihash-solution-size")]
    SolutionSize,
    /// Another target than the difficulty rules give.
    #[error("bad-diffbits")]
    Bits,
    /// Not later than the chain before it.
    #[error("time-too-old")]
    TimeTooOld,
    /// Another block than the known one of its height.
    #[error("known forked chain")]
    Checkpoint,
}

/// The chain that a header extends.
#[derive(Debug, Clone, Copy)]
pub struct HeaderContext<'a> {
    /// Height of the parent.
    pub prev_height: u32,
    /// The last blocks up to the parent, oldest first: [`fluxd_pow::difficulty::HISTORY`] of them, or all.
    pub recent: &'a [BlockFacts],
    /// Height of the best chain.
    pub tip_height: u32,
}

/// Checks a header by itself: form, proof, and its time against the clock (`now`, seconds since the epoch).
/// `tip_height` decides how far ahead it may be.
///
/// # Errors
/// The first rule that is broken.
pub fn check_header(
    header: &BlockHeader,
    params: &Params,
    tip_height: u32,
    now: i64,
) -> Result<(), HeaderError> {
    if header.version < MIN_VERSION {
        return Err(HeaderError::VersionTooLow);
    }
    match &header.proof {
        Proof::Node { collateral, signature } => {
            let emergency = params.pon.emergency.is_emergency(collateral);
            if signature.len() > if emergency { MAX_EMERGENCY_SIGNATURES_SIZE } else { MAX_SIGNATURE } {
                return Err(HeaderError::PonSignatureSize);
            }
            if !emergency {
                let hash = params.pon.header_hash(header, collateral);
                params.pon.check_hash(&hash, header.bits, None).map_err(HeaderError::ProofOfNode)?;
            }
        }
        Proof::Work { nonce, solution } => {
            let input = [header.common_bytes(), nonce.to_bytes()].concat();
            Parameters::of_solution(solution.len())
                .and_then(|parameters| equihash::verify(parameters, &input, solution))
                .map_err(HeaderError::Solution)?;
            let any_hash = params.network == Network::Regtest;
            if !any_hash && !meets_target(&header.hash(), header.bits, params.pow.limit) {
                return Err(HeaderError::HighHash);
            }
        }
    }
    let ahead = if !is_past(params, Upgrade::Lwma, tip_height) {
        FUTURE_BEFORE_LWMA
    } else if header.is_pon() {
        FUTURE_NODE
    } else {
        FUTURE_WORK
    };
    if i64::from(header.time) > now.saturating_add(ahead) { Err(HeaderError::TimeTooNew) } else { Ok(()) }
}

/// Checks a header against its chain: kind of proof, target, time, depth of the fork, known blocks.
///
/// # Errors
/// The first rule that is broken.
pub fn check_header_at(
    header: &BlockHeader,
    params: &Params,
    context: &HeaderContext<'_>,
) -> Result<(), HeaderError> {
    let height = context.prev_height.saturating_add(1);
    let depth = context.tip_height.saturating_sub(context.prev_height);
    if depth >= params.max_reorg_depth(context.tip_height) {
        return Err(HeaderError::ForkTooDeep);
    }
    match (&header.proof, params.pon.is_active(height)) {
        (Proof::Work { .. }, true) => return Err(HeaderError::NotPon),
        (Proof::Node { .. }, false) => return Err(HeaderError::PrematurePon),
        (Proof::Node { collateral, .. }, true) => {
            if !params.pon.emergency.is_emergency(collateral) {
                let hash = params.pon.header_hash(header, collateral);
                params.pon.check_hash(&hash, header.bits, Some(height)).map_err(HeaderError::PonHeader)?;
            }
            let recent: Vec<PonBlock> =
                context.recent.iter().map(|block| PonBlock { time: block.time, bits: block.bits }).collect();
            let exempt = params.network == Network::Test && TEST_ANY_PON_BITS.contains(&height);
            if !exempt && header.bits != params.pon.next_bits(context.prev_height, &recent) {
                return Err(HeaderError::PonBits);
            }
        }
        (Proof::Work { solution, .. }, false) => {
            let exempt = params.network == Network::Test && height <= TEST_ANY_SOLUTION;
            let fits = params
                .equihash_at(height)
                .iter()
                .any(|parameters| parameters.solution_size() == solution.len());
            if !solution.is_empty() && !exempt && !fits {
                return Err(HeaderError::SolutionSize);
            }
            let recent = Recent { height: context.prev_height, blocks: context.recent };
            if header.bits != params.pow.next_bits(Some(recent), header.time) {
                return Err(HeaderError::Bits);
            }
        }
    }
    let earliest = if header.is_pon() {
        context.recent.last().map_or(0, |block| i64::from(block.time))
    } else {
        median_time(context.recent)
    };
    if i64::from(header.time) <= earliest {
        return Err(HeaderError::TimeTooOld);
    }
    match params.checkpoint(height) {
        Some(known) if known != header.hash() => Err(HeaderError::Checkpoint),
        _ => Ok(()),
    }
}

/// As the reference compares: a network without the upgrade has a start that no height reaches.
fn is_past(params: &Params, upgrade: Upgrade, height: u32) -> bool {
    params.upgrades.height(upgrade).is_some_and(|start| height >= start)
}
