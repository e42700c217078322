//! The rules between a wrapper and its parent. Mirrors `verify...` of `vms/proposervm/{block,post_fork_block,post_fork_option,
//! pre_fork_block}.go`. Which blocks are there, and the chain's own rules, are matters of `vm`.

use std::time::Duration;

use avalanche_ids::{Id, NodeId};
use avalanche_utils::upgrade::{Fork, Upgrades};

use crate::{
    epoch::Epoch,
    windower::{MAX_VERIFY_WINDOWS, WINDOW, Windower, time_to_slot},
};

/// How far ahead of the verifier's clock a block may be, in seconds.
pub const MAX_SKEW: i64 = 10;

/// Which rule a block breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A raw block on a wrapped one (`errUnsignedChild`).
    #[error("expected signed child")]
    UnsignedChild,
    /// A block on an oracle block that is no option of it, or an option on another block (`errUnexpectedBlockType`).
    #[error("unexpected proposer block type")]
    UnexpectedBlockType,
    /// The inner block does not build on the parent's (`errInnerParentMismatch`).
    #[error("inner parentID didn't match expected parent")]
    InnerParentMismatch,
    /// The time is before the parent's (`errTimeNotMonotonic`).
    #[error("time must monotonically increase")]
    TimeNotMonotonic,
    /// The time is too far ahead (`errTimeTooAdvanced`).
    #[error("time is too far advanced")]
    TimeTooAdvanced,
    /// The P-chain height is below the parent's (`errPChainHeightNotMonotonic`).
    #[error("non monotonically increasing P-chain height")]
    PChainHeightNotMonotonic,
    /// The P-chain height has not been accepted (`errPChainHeightNotReached`).
    #[error("block P-chain height larger than current P-chain height")]
    PChainHeightNotReached,
    /// The P-chain height is below the first one allowed (`errPChainHeightTooLow`).
    #[error("block P-chain height is too low")]
    PChainHeightTooLow,
    /// The epoch does not follow from the parent (`errEpochMismatch`).
    #[error("epoch mismatch")]
    EpochMismatch,
    /// The first wrapped block has an epoch (`errEpochNotZero`).
    #[error("epoch must not be provided")]
    EpochNotZero,
    /// The first wrapped block is signed (`errChildOfPreForkBlockHasProposer`).
    #[error("child of pre-fork block has proposer")]
    ChildOfPreForkBlockHasProposer,
    /// A wrapped block before the fork (`errProposersNotActivated`).
    #[error("proposers haven't been activated yet")]
    ProposersNotActivated,
    /// Before Durango: the proposer's window has not begun (`errProposerWindowNotStarted`).
    #[error("proposer window hasn't started")]
    ProposerWindowNotStarted,
    /// Signed where anyone may propose, or not where somebody must (`errProposerMismatch`).
    #[error("proposer mismatch")]
    ProposerMismatch,
    /// Since Durango: another node's slot (`errUnexpectedProposer`).
    #[error("unexpected proposer for current window")]
    UnexpectedProposer,
}

/// What children depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Unix time in seconds.
    pub timestamp: i64,
    /// The P-chain height it states.
    pub p_chain_height: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its inner block.
    pub inner: Id,
    /// True when only options may follow.
    pub is_oracle: bool,
}

/// What a child states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Unix time in seconds.
    pub timestamp: i64,
    /// The P-chain height it states.
    pub p_chain_height: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// The parent of its inner block.
    pub inner_parent: Id,
    /// Its inner block's height.
    pub height: u64,
    /// Who signed it.
    pub proposer: Option<NodeId>,
}

/// Rules that need no validators. `now` is the verifier's clock in Unix seconds.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_child(parent: &Parent, child: &Child, now: i64) -> Result<(), RuleError> {
    if parent.is_oracle {
        return Err(RuleError::UnexpectedBlockType);
    }
    if child.p_chain_height < parent.p_chain_height {
        return Err(RuleError::PChainHeightNotMonotonic);
    }
    if child.inner_parent != parent.inner {
        return Err(RuleError::InnerParentMismatch);
    }
    verify_time(parent.timestamp, child.timestamp, now)
}

/// Rules of normal operation: epoch, P-chain height and proposer. `windower` is the schedule at the parent's P-chain
/// height.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_proposer(
    upgrades: &Upgrades,
    parent: &Parent,
    child: &Child,
    current_p_chain_height: u64,
    windower: &Windower,
) -> Result<(), RuleError> {
    if child.epoch != expected_epoch(upgrades, parent, child.timestamp) {
        return Err(RuleError::EpochMismatch);
    }
    if child.p_chain_height > current_p_chain_height {
        return Err(RuleError::PChainHeightNotReached);
    }
    let must_be_signed = if upgrades.is_active(Fork::Durango, parent.timestamp) {
        let slot = time_to_slot(parent.timestamp, child.timestamp);
        match windower.expected_proposer(child.height, slot) {
            None => false,
            expected if expected == child.proposer => true,
            Some(_) => return Err(RuleError::UnexpectedProposer),
        }
    } else {
        let delay = seconds_between(parent.timestamp, child.timestamp);
        if delay < windower.delay(child.height, child.proposer, MAX_VERIFY_WINDOWS) {
            return Err(RuleError::ProposerWindowNotStarted);
        }
        delay < WINDOW.saturating_mul(MAX_VERIFY_WINDOWS)
    };
    if must_be_signed == child.proposer.is_some() { Ok(()) } else { Err(RuleError::ProposerMismatch) }
}

/// Rules of the first wrapped block, on a raw parent.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_first_child(
    upgrades: &Upgrades,
    parent: &Parent,
    child: &Child,
    current_p_chain_height: u64,
    now: i64,
) -> Result<(), RuleError> {
    if parent.is_oracle {
        return Err(RuleError::UnexpectedBlockType);
    }
    if child.p_chain_height > current_p_chain_height {
        return Err(RuleError::PChainHeightNotReached);
    }
    if child.p_chain_height < upgrades.apricot_phase_4_min_p_chain_height {
        return Err(RuleError::PChainHeightTooLow);
    }
    if child.inner_parent != parent.inner {
        return Err(RuleError::InnerParentMismatch);
    }
    if !upgrades.is_active(Fork::ApricotPhase4, parent.timestamp) {
        return Err(RuleError::ProposersNotActivated);
    }
    verify_time(parent.timestamp, child.timestamp, now)?;
    if child.epoch != Epoch::default() {
        return Err(RuleError::EpochNotZero);
    }
    if child.proposer.is_some() { Err(RuleError::ChildOfPreForkBlockHasProposer) } else { Ok(()) }
}

fn verify_time(parent: i64, child: i64, now: i64) -> Result<(), RuleError> {
    if child < parent {
        Err(RuleError::TimeNotMonotonic)
    } else if child > now.saturating_add(MAX_SKEW) {
        Err(RuleError::TimeTooAdvanced)
    } else {
        Ok(())
    }
}

/// The epoch that a child of this time has.
#[must_use]
pub fn expected_epoch(upgrades: &Upgrades, parent: &Parent, timestamp: i64) -> Epoch {
    if upgrades.is_active(Fork::Granite, timestamp) {
        parent.epoch.of_child(parent.p_chain_height, parent.timestamp, upgrades.granite_epoch_duration)
    } else {
        Epoch::default()
    }
}

/// The P-chain height at which the inner block is judged.
#[must_use]
pub fn context_height(
    upgrades: &Upgrades,
    parent: &Parent,
    timestamp: i64,
    p_chain_height: u64,
    epoch: Epoch,
) -> u64 {
    if upgrades.is_active(Fork::Granite, timestamp) {
        epoch.p_chain_height
    } else if upgrades.is_active(Fork::Etna, timestamp) {
        p_chain_height
    } else {
        parent.p_chain_height
    }
}

/// Time from one to another, in Unix seconds; nothing when it goes back.
#[must_use]
pub fn seconds_between(from: i64, to: i64) -> Duration {
    Duration::from_secs(u64::try_from(to.saturating_sub(from)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId([1; 20]);

    fn windower() -> Windower {
        Windower::new(Id([7; 32]), [(ME, 5)]).unwrap()
    }

    fn upgrades() -> Upgrades {
        Upgrades::of_network(54_321)
    }

    fn parent() -> Parent {
        let epoch = Epoch { p_chain_height: 3, number: 1, start_time: 2_000_000_000 };
        Parent { timestamp: 2_000_000_010, p_chain_height: 4, epoch, inner: Id([5; 32]), is_oracle: false }
    }

    fn child() -> Child {
        Child {
            timestamp: 2_000_000_011,
            p_chain_height: 4,
            epoch: parent().epoch,
            inner_parent: Id([5; 32]),
            height: 9,
            proposer: Some(ME),
        }
    }

    fn verify(parent: &Parent, child: &Child) -> Result<(), RuleError> {
        verify_child(parent, child, 2_000_000_011)?;
        verify_proposer(&upgrades(), parent, child, 4, &windower())
    }

    #[test]
    fn every_rule_of_a_child_is_checked() {
        let (parent, child) = (parent(), child());
        assert_eq!(verify(&parent, &child), Ok(()));
        let cases = [
            (Child { p_chain_height: 3, ..child }, RuleError::PChainHeightNotMonotonic),
            (Child { inner_parent: Id([6; 32]), ..child }, RuleError::InnerParentMismatch),
            (Child { timestamp: 2_000_000_009, ..child }, RuleError::TimeNotMonotonic),
            (Child { timestamp: 2_000_000_022, ..child }, RuleError::TimeTooAdvanced),
            (Child { epoch: Epoch::default(), ..child }, RuleError::EpochMismatch),
            (Child { p_chain_height: 5, ..child }, RuleError::PChainHeightNotReached),
            (Child { proposer: Some(NodeId([2; 20])), ..child }, RuleError::UnexpectedProposer),
            (Child { proposer: None, ..child }, RuleError::UnexpectedProposer),
        ];
        for (child, error) in cases {
            assert_eq!(verify(&parent, &child), Err(error), "{child:?}");
        }
        let oracle = Parent { is_oracle: true, ..parent };
        assert_eq!(verify(&oracle, &child), Err(RuleError::UnexpectedBlockType));
        let nobody = Windower::new(Id([7; 32]), []).unwrap();
        let result = verify_proposer(&upgrades(), &parent, &child, 4, &nobody);
        assert_eq!(result, Err(RuleError::ProposerMismatch), "anyone may propose: nobody signs");
    }

    #[test]
    fn the_first_wrapped_block_is_unsigned_and_without_epoch() {
        let raw = Parent { p_chain_height: 0, epoch: Epoch::default(), ..parent() };
        let first = Child { proposer: None, epoch: Epoch::default(), ..child() };
        let verify =
            |parent: &Parent, child: &Child| verify_first_child(&upgrades(), parent, child, 4, 2_000_000_011);
        assert_eq!(verify(&raw, &first), Ok(()));
        assert_eq!(verify(&raw, &Child { epoch: child().epoch, ..first }), Err(RuleError::EpochNotZero));
        let signed = Child { proposer: Some(ME), ..first };
        assert_eq!(verify(&raw, &signed), Err(RuleError::ChildOfPreForkBlockHasProposer));
        let early = Parent { timestamp: 1, ..raw };
        assert_eq!(verify(&early, &first), Err(RuleError::ProposersNotActivated));
        let high = Child { p_chain_height: 5, ..first };
        assert_eq!(verify(&raw, &high), Err(RuleError::PChainHeightNotReached));
        let low = Child { p_chain_height: 1, ..first };
        let mainnet = Upgrades::of_network(1);
        let result = verify_first_child(&mainnet, &raw, &low, 4, 2_000_000_011);
        assert_eq!(result, Err(RuleError::PChainHeightTooLow));
    }

    #[test]
    fn before_durango_proposers_take_turns_and_then_anyone_may_propose() {
        let upgrades = Upgrades::of_network(1);
        let old = Parent { timestamp: 1_650_000_000, epoch: Epoch::default(), ..parent() };
        let at = |seconds: i64, proposer| Child {
            timestamp: old.timestamp + seconds,
            epoch: Epoch::default(),
            proposer,
            ..child()
        };
        let verify = |child: &Child| verify_proposer(&upgrades, &old, child, 4, &windower());
        assert_eq!(verify(&at(0, Some(ME))), Ok(()));
        let stranger = Some(NodeId([2; 20]));
        assert_eq!(verify(&at(0, stranger)), Err(RuleError::ProposerWindowNotStarted));
        assert_eq!(verify(&at(30, None)), Ok(()));
        assert_eq!(verify(&at(30, Some(ME))), Err(RuleError::ProposerMismatch));
    }
}
