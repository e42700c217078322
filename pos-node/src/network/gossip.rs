//! Whether a gossiped message is passed on: the table of rejections (the sender is punished) and of messages that are
//! ignored (nobody is). Mirrors the conditions of `specs/phase0/p2p-interface.md`; cheap checks come first, signatures
//! last.
//!
//! Blocks are checked here by their header alone, so that they travel before they are executed. Everything else is
//! checked by the chain as it takes it in, and its answer is turned into a verdict.

use super::seen::{Seen, SeenBlock};
use crate::{
    consensus::{
        chain::{
            Chain,
            votes::{EvidenceError, VoteError},
        },
        fork_choice::VoteRefusal,
    },
    state::{
        transition::operation::{OperationError, Signed},
        verifier::Verifier,
    },
    storage::Database,
    types::{
        block::SignedBlock,
        domain::{DomainType, signing_root},
        operation::SingleAttestation,
        params::Config,
        primitives::Slot,
    },
};

/// How far clocks may differ: messages this much ahead of time are taken.
pub const CLOCK_DISPARITY_MS: u64 = 500;

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Use it and pass it on.
    Accept,
    /// Do not pass it on; punish who sent it.
    Reject(Rejection),
    /// Do not pass it on.
    Ignore(Reason),
}

/// Why a message is rejected: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The bytes are no message of the topic.
    #[error("undecodable")]
    Undecodable,
    /// A block's header does not commit to its body, or its summary contradicts its lists.
    #[error("block body does not fit its header")]
    BlockBody,
    /// A block was refused before.
    #[error("block is known to be invalid")]
    BlockInvalid,
    /// A block's parent was refused.
    #[error("parent of the block is invalid")]
    BlockParent,
    /// A block is not after its parent.
    #[error("block is not after its parent")]
    BlockSlot,
    /// A block does not descend from the final block.
    #[error("block does not descend from the final block")]
    BlockFinality,
    /// A block's proposer is not the one drawn for its slot.
    #[error("wrong proposer")]
    BlockProposer,
    /// A block's signature is bad.
    #[error("bad signature of the block")]
    BlockSignature,
    /// A vote names a committee other than 0.
    #[error("committee index is not 0")]
    VoteIndex,
    /// A vote's target epoch is not that of its slot, or its target is not on the chain of the block voted for.
    #[error("target does not fit the vote")]
    VoteTarget,
    /// A vote is for a block that was refused.
    #[error("vote for an invalid block")]
    VoteBlock,
    /// The voter is not of the slot's committee.
    #[error("voter is not of the committee")]
    VoteCommittee,
    /// A vote's signature is bad.
    #[error("bad signature of the vote")]
    VoteSignature,
    /// A batch without transactions.
    #[error("empty batch of transactions")]
    TxsEmpty,
    /// A transaction of another chain.
    #[error("transaction of another chain")]
    TxChain,
    /// A new transaction has a bad signature.
    #[error("bad signature of a transaction")]
    TxSignature,
    /// The signer of a finality vote is not of the set that may sign, or its signature is bad.
    #[error("finality voter is not of the set, or bad signature")]
    FinalityVote,
    /// An exit or the evidence of an offence is invalid.
    #[error("invalid operation")]
    Operation(#[from] OperationError),
}

/// Why a message is ignored: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A block of a slot that has not begun. It is kept until then.
    #[error("block of a future slot")]
    BlockFuture,
    /// A block at or before the final slot.
    #[error("block at or before the final slot")]
    BlockOld,
    /// A block that is known.
    #[error("known block")]
    BlockKnown,
    /// A second block of a proposer for a slot, well signed: evidence of an offence.
    #[error("second block of the proposer for the slot")]
    BlockSecond,
    /// A block whose parent is not known. It is kept and the parent is asked for.
    #[error("parent of the block is unknown")]
    BlockParentUnknown,
    /// A vote of an epoch other than the current and the previous, or of a slot that has not begun.
    #[error("vote of another time")]
    VoteTime,
    /// A vote of a validator that has voted for this target epoch.
    #[error("second vote of the validator for the epoch")]
    VoteSeen,
    /// A vote for a block that is not known. It is kept for a slot.
    #[error("vote for an unknown block")]
    VoteBlockUnknown,
    /// No transaction of the batch entered the pool.
    #[error("nothing new in the batch of transactions")]
    TxsNotNew,
    /// A finality vote on a checkpoint that is not final here. It is kept.
    #[error("finality vote on what is not final here")]
    FinalityVoteEarly,
    /// A finality vote that was seen.
    #[error("known finality vote")]
    FinalityVoteSeen,
    /// An exit or evidence concerning validators that were concerned before.
    #[error("operation about a known validator")]
    OperationKnown,
}

/// Where a slot's start is in Unix milliseconds.
#[must_use]
pub fn slot_start_ms(config: &Config, slot: Slot) -> u64 {
    config.genesis_time.saturating_mul(1000).saturating_add(slot.saturating_mul(config.params.slot_ms))
}

/// Checks a block's header, and that its body belongs to it. Execution comes later.
pub fn check_block<D: Database>(
    chain: &mut Chain<D>,
    seen: &mut Seen,
    verifier: &dyn Verifier,
    now_ms: u64,
    block: &SignedBlock,
) -> Verdict {
    let config = chain.config().clone();
    let params = &config.params;
    let header = &block.header.header;
    if slot_start_ms(&config, header.slot) > now_ms.saturating_add(CLOCK_DISPARITY_MS) {
        return Verdict::Ignore(Reason::BlockFuture);
    }
    let finalized = chain.finalized();
    let final_slot = params.start_slot(finalized.epoch);
    if header.slot <= final_slot {
        return Verdict::Ignore(Reason::BlockOld);
    }
    let root = block.root();
    let first = seen.block(header.slot, header.proposer_index).copied();
    if chain.contains(&root) || first.is_some_and(|first| first.root == root) {
        return Verdict::Ignore(Reason::BlockKnown);
    }
    if chain.is_invalid(&root) {
        return Verdict::Reject(Rejection::BlockInvalid);
    }
    let exec = &block.body.exec;
    let counted = u64::try_from(block.body.tx_ids.len()).is_ok_and(|count| count == exec.tx_count);
    if !counted || exec.gas_used > exec.gas_limit || !block.body_matches() {
        return Verdict::Reject(Rejection::BlockBody);
    }
    if chain.is_invalid(&header.parent_root) {
        return Verdict::Reject(Rejection::BlockParent);
    }
    let tree = chain.fork_choice().tree();
    match tree.get(&header.parent_root) {
        None => return Verdict::Ignore(Reason::BlockParentUnknown),
        Some(parent) if header.slot <= parent.block.slot => return Verdict::Reject(Rejection::BlockSlot),
        Some(_) => {}
    }
    if tree.ancestor_root(&header.parent_root, final_slot) != Some(finalized.root) {
        return Verdict::Reject(Rejection::BlockFinality);
    }
    let epoch = params.epoch_of(header.slot);
    let Some(state) = chain.state_in_epoch(&header.parent_root, epoch) else {
        return Verdict::Ignore(Reason::BlockParentUnknown);
    };
    let slashed = state.validators.slashed.at(header.proposer_index) != Some(&false);
    if slashed || state.proposer(params, header.slot) != Some(header.proposer_index) {
        return Verdict::Reject(Rejection::BlockProposer);
    }
    let signed = Signed {
        signers: vec![header.proposer_index],
        message: signing_root(header, state.domain(DomainType::Proposer, epoch)),
        signature: block.header.signature,
    };
    if verifier.validators(&state, &[signed]).is_err() {
        return Verdict::Reject(Rejection::BlockSignature);
    }
    if first.is_some() {
        return Verdict::Ignore(Reason::BlockSecond);
    }
    seen.add_block(SeenBlock { root, header: block.header });
    Verdict::Accept
}

/// Gives a vote to the chain. A second vote of a validator for an epoch still goes there, as it may be an offence, but
/// is not passed on; of a validator that was caught nothing is looked at any more.
pub fn take_vote<D: Database>(chain: &mut Chain<D>, seen: &mut Seen, vote: &SingleAttestation) -> Verdict {
    let (target, voter) = (vote.data.target.epoch, vote.attester_index);
    let second = seen.has_vote(target, voter);
    if second && chain.fork_choice().is_equivocating(voter) {
        return Verdict::Ignore(Reason::VoteSeen);
    }
    let block = vote.data.beacon_block_root;
    match chain.on_attestation(vote) {
        Ok(()) if second => Verdict::Ignore(Reason::VoteSeen),
        Ok(()) => {
            seen.add_vote(target, voter);
            Verdict::Accept
        }
        Err(VoteError::Place(VoteRefusal::UnknownBlock)) if chain.is_invalid(&block) => {
            Verdict::Reject(Rejection::VoteBlock)
        }
        Err(error) => vote_verdict(error),
    }
}

const fn vote_verdict(error: VoteError) -> Verdict {
    match error {
        VoteError::CommitteeIndex(_) => Verdict::Reject(Rejection::VoteIndex),
        VoteError::NotInCommittee => Verdict::Reject(Rejection::VoteCommittee),
        VoteError::Signature => Verdict::Reject(Rejection::VoteSignature),
        VoteError::Place(
            VoteRefusal::TargetSlot | VoteRefusal::BlockAfterSlot | VoteRefusal::TargetMismatch,
        ) => Verdict::Reject(Rejection::VoteTarget),
        VoteError::Place(VoteRefusal::UnknownBlock | VoteRefusal::UnknownTarget) | VoteError::NoState => {
            Verdict::Ignore(Reason::VoteBlockUnknown)
        }
        VoteError::Place(VoteRefusal::TargetEpoch | VoteRefusal::TooEarly) | VoteError::Future => {
            Verdict::Ignore(Reason::VoteTime)
        }
        VoteError::Known => Verdict::Ignore(Reason::VoteSeen),
    }
}

/// The verdict on an exit or on evidence, from what the chain said to it.
#[must_use]
pub const fn operation_verdict(taken: Result<(), EvidenceError>) -> Verdict {
    match taken {
        Ok(()) => Verdict::Accept,
        // everybody it concerns was punished meanwhile, or is leaving: late, not wrong
        Err(
            EvidenceError::Known
            | EvidenceError::Invalid(OperationError::NobodyToSlash | OperationError::AlreadyExiting),
        ) => Verdict::Ignore(Reason::OperationKnown),
        Err(EvidenceError::Invalid(error)) => Verdict::Reject(Rejection::Operation(error)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
