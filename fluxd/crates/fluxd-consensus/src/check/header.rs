//! Rules of headers. Mirrors `CheckBlockHeader` and `ContextualCheckBlockHeader` in `src/main.cpp`.

use fluxd_pon::{MAX_EMERGENCY_SIGNATURES_SIZE, MAX_SIGNATURE, PonBlock, PonError};
use fluxd_pow::{
    difficulty::{BlockFacts, Recent, median_time},
    equihash::{self, EquihashError, Parameters},
    meets_target,
};
use fluxd_primitives::{BlockHash, BlockHeader, Codec, Proof};

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
    check_form(header, params)?;
    check_proof(header, params)?;
    check_clock(header, params, tip_height, now)
}

/// As [`check_header`], but for a block that is still to be proven: one that is only proposed.
///
/// # Errors
/// The first rule that is broken.
pub fn check_header_without_proof(
    header: &BlockHeader,
    params: &Params,
    tip_height: u32,
    now: i64,
) -> Result<(), HeaderError> {
    check_form(header, params)?;
    check_clock(header, params, tip_height, now)
}

fn check_form(header: &BlockHeader, params: &Params) -> Result<(), HeaderError> {
    if header.version < MIN_VERSION {
        return Err(HeaderError::VersionTooLow);
    }
    if let Proof::Node { collateral, signature } = &header.proof {
        let emergency = params.pon.emergency.is_emergency(collateral);
        if signature.len() > if emergency { MAX_EMERGENCY_SIGNATURES_SIZE } else { MAX_SIGNATURE } {
            return Err(HeaderError::PonSignatureSize);
        }
    }
    Ok(())
}

fn check_proof(header: &BlockHeader, params: &Params) -> Result<(), HeaderError> {
    match &header.proof {
        Proof::Node { collateral, .. } => {
            if !params.pon.emergency.is_emergency(collateral) {
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
    Ok(())
}

fn check_clock(header: &BlockHeader, params: &Params, tip_height: u32, now: i64) -> Result<(), HeaderError> {
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
    check_in_chain(header, params, context)?;
    check_known(&header.hash(), params, context)
}

/// Checks that a header is not another block than the known one of its height.
///
/// # Errors
/// [`HeaderError::Checkpoint`].
pub fn check_known(
    hash: &BlockHash,
    params: &Params,
    context: &HeaderContext<'_>,
) -> Result<(), HeaderError> {
    match params.checkpoint(context.prev_height.saturating_add(1)) {
        Some(known) if known != *hash => Err(HeaderError::Checkpoint),
        _ => Ok(()),
    }
}

/// Checks a header against its chain, without the known blocks.
///
/// # Errors
/// The first rule that is broken.
pub fn check_in_chain(
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
    if i64::from(header.time) <= earliest { Err(HeaderError::TimeTooOld) } else { Ok(()) }
}

/// As the reference compares: a network without the upgrade has a start that no height reaches.
fn is_past(params: &Params, upgrade: Upgrade, height: u32) -> bool {
    params.upgrades.height(upgrade).is_some_and(|start| height >= start)
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{CompactTarget, Hash256, OutPoint, TxId};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// A regtest chain of PoN blocks, thirty seconds apart.
    fn chain(params: &Params, length: u32) -> Vec<BlockFacts> {
        let start = params.genesis.header.time;
        let bits = CompactTarget::from_value(params.pon.start_limit);
        (0..length).map(|height| BlockFacts { time: start + 30 * height, bits }).collect()
    }

    fn pon_header(params: &Params, time: u32) -> BlockHeader {
        BlockHeader {
            version: 100,
            prev: BlockHash([7; 32]),
            merkle_root: Hash256::ZERO,
            sapling_root: Hash256::ZERO,
            time,
            bits: CompactTarget::from_value(params.pon.start_limit),
            proof: Proof::Node {
                collateral: OutPoint { txid: TxId([3; 32]), index: 0 },
                signature: vec![0x30; 72],
            },
        }
    }

    #[test]
    fn a_header_by_itself_is_judged_by_form_proof_and_clock() {
        let params = Params::of(Network::Regtest);
        let genesis = params.genesis.header.clone();
        assert_eq!(check_header(&genesis, &params, 0, NOW), Ok(()));
        let changed = |change: fn(&mut BlockHeader)| {
            let mut header = genesis.clone();
            change(&mut header);
            check_header(&header, &params, 0, NOW)
        };
        assert_eq!(changed(|header| header.version = 3), Err(HeaderError::VersionTooLow));
        assert!(matches!(changed(|header| header.time += 1), Err(HeaderError::Solution(_))));
        assert_eq!(
            check_header(&genesis, &params, 0, i64::from(genesis.time) - FUTURE_BEFORE_LWMA - 1),
            Err(HeaderError::TimeTooNew)
        );
        let mut long = pon_header(&params, genesis.time);
        long.proof = Proof::Node {
            collateral: OutPoint { txid: TxId([3; 32]), index: 0 },
            signature: vec![0; MAX_SIGNATURE + 1],
        };
        assert_eq!(check_header(&long, &params, 0, NOW), Err(HeaderError::PonSignatureSize));
        let main = Params::of(Network::Main);
        let hard =
            BlockHeader { bits: CompactTarget(0x0300_0001), ..pon_header(&main, main.genesis.header.time) };
        assert_eq!(
            check_header(&hard, &main, 0, NOW),
            Err(HeaderError::ProofOfNode(PonError::HashAboveTarget))
        );
        let easy = BlockHeader { bits: CompactTarget(0x2100_ffff), ..hard };
        assert_eq!(
            check_header(&easy, &main, 0, NOW),
            Err(HeaderError::ProofOfNode(PonError::TargetNotAllowed))
        );
        let mut genesis = main.genesis.header.clone();
        assert_eq!(check_header(&genesis, &main, 0, NOW), Ok(()));
        genesis.bits = CompactTarget(0x1e07_ffff);
        assert!(check_header(&genesis, &main, 0, NOW).is_err(), "another target is another Equihash input");
    }

    #[test]
    fn a_header_in_its_chain_is_judged_by_proof_target_time_and_depth() {
        let params = Params::of(Network::Regtest);
        let recent = chain(&params, 10);
        let context = HeaderContext { prev_height: 9, recent: &recent, tip_height: 9 };
        let last = recent[9].time;
        let check = |header: &BlockHeader| check_header_at(header, &params, &context);
        let header = pon_header(&params, last + 1);
        assert_eq!(check(&header), Ok(()));
        assert_eq!(check(&BlockHeader { time: last, ..header.clone() }), Err(HeaderError::TimeTooOld));
        assert_eq!(
            check(&BlockHeader { bits: CompactTarget(0x200f_0f0f), ..header.clone() }),
            Err(HeaderError::PonBits)
        );
        let work = Proof::Work { nonce: Hash256::ZERO, solution: Vec::new() };
        assert_eq!(check(&BlockHeader { proof: work, ..header }), Err(HeaderError::NotPon));
        let deep = HeaderContext { tip_height: 49, ..context };
        assert_eq!(check_header_at(&header, &params, &deep), Err(HeaderError::ForkTooDeep));
        assert_eq!(check_header_at(&header, &params, &HeaderContext { tip_height: 48, ..context }), Ok(()));

        let main = Params::of(Network::Main);
        let recent = chain(&main, 10);
        let context = HeaderContext { prev_height: 9, recent: &recent, tip_height: 9 };
        let check = |header: &BlockHeader| check_header_at(header, &main, &context);
        let premature = pon_header(&main, recent[9].time + 1);
        assert_eq!(check(&premature), Err(HeaderError::PrematurePon));
        let work = Proof::Work { nonce: Hash256::ZERO, solution: Vec::new() };
        let powered = BlockHeader { version: 4, proof: work, bits: CompactTarget(0x1f07_ffff), ..premature };
        assert_eq!(check(&powered), Ok(()));
        assert_eq!(
            check(&BlockHeader { bits: CompactTarget(0x1f07_fffe), ..powered.clone() }),
            Err(HeaderError::Bits)
        );
        let checkpoint = HeaderContext { prev_height: 5499, tip_height: 5499, ..context };
        let at_checkpoint = BlockHeader {
            bits: main.pow.next_bits(Some(Recent { height: 5499, blocks: &recent }), 0),
            ..powered.clone()
        };
        assert_eq!(check_header_at(&at_checkpoint, &main, &checkpoint), Err(HeaderError::Checkpoint));
        let zelhash = Proof::Work { nonce: Hash256::ZERO, solution: vec![0; 52] };
        assert_eq!(check(&BlockHeader { proof: zelhash, ..powered }), Err(HeaderError::SolutionSize));
    }
}
