//! LMD-GHOST with proposer boost on top of justified checkpoints. Mirrors `specs/phase0/fork-choice.md`: `on_tick`,
//! `on_block`, `on_attestation`, `on_attester_slashing`, `get_head`, `get_proposer_head`.
//!
//! Not here: executing blocks, verifying votes' signatures, keeping votes that come too early.

use super::tree::{Block, Node, Tree};
use crate::types::{
    operation::{AttestationData, Checkpoint},
    params::Params,
    primitives::{Epoch, Root, Slot, ValidatorIndex},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const BASIS_POINTS: u64 = 10_000;

/// Stake by validator in some checkpoint's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balances {
    /// Effective balances of the active; 0 for everybody else.
    pub active: Vec<u64>,
    /// Who of them is slashed.
    pub slashed: BTreeSet<ValidatorIndex>,
    /// Sum over the active, slashed ones included, at least one increment.
    pub total_active: u64,
}

impl Balances {
    /// What a validator's vote weighs.
    #[must_use]
    pub fn vote_weight(&self, index: ValidatorIndex) -> u64 {
        if self.slashed.contains(&index) { 0 } else { self.stake(index) }
    }

    /// Effective balance of an active validator, slashed or not.
    #[must_use]
    pub fn stake(&self, index: ValidatorIndex) -> u64 {
        usize::try_from(index).ok().and_then(|at| self.active.get(at)).copied().unwrap_or(0)
    }

    /// `percent` of the average weight of one slot's committee.
    #[must_use]
    pub fn committee_fraction(&self, params: &Params, percent: u64) -> u64 {
        (self.total_active / params.slots_per_epoch).saturating_mul(percent) / 100
    }
}

/// Where balances of checkpoints' states are found.
pub trait CheckpointStates {
    /// Balances of the state of a checkpoint whose block was imported.
    fn balances(&self, checkpoint: &Checkpoint) -> Option<Arc<Balances>>;
}

/// Why a block cannot be considered: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockRefusal {
    /// The parent is not in the tree.
    #[error("unknown parent")]
    UnknownParent,
    /// The block is not after its parent; the tree relies on that.
    #[error("not after its parent")]
    NotAfterParent,
    /// The block's slot has not begun.
    #[error("block of a future slot")]
    FutureSlot,
    /// The block is at or before the final slot.
    #[error("not after the final slot")]
    NotAfterFinalized,
    /// The block does not descend from the final block.
    #[error("not a descendant of the final block")]
    NotFinalDescendant,
    /// The justified state's balances are missing.
    #[error("balances of the justified state are missing")]
    MissingBalances,
}

/// Why a vote cannot be considered now: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefusal {
    /// The target is neither of the current nor of the previous epoch.
    #[error("target epoch neither current nor previous")]
    TargetEpoch,
    /// The target epoch is not the slot's.
    #[error("target epoch does not hold the vote's slot")]
    TargetSlot,
    /// The target block is unknown.
    #[error("unknown target block")]
    UnknownTarget,
    /// The voted block is unknown.
    #[error("unknown block")]
    UnknownBlock,
    /// The voted block is after the vote's slot.
    #[error("block is after the vote's slot")]
    BlockAfterSlot,
    /// The target is not the checkpoint of the voted block's chain.
    #[error("target is not on the voted block's chain")]
    TargetMismatch,
    /// The vote's slot is not past.
    #[error("slot is not past")]
    TooEarly,
}

/// A validator's latest vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Block voted for.
    pub root: Root,
    /// Epoch of the vote's target.
    pub epoch: Epoch,
}

/// A weight that was added to a node.
type Applied = Option<(usize, u64)>;

/// The view of one node on the tree of blocks.
#[derive(Debug, Clone)]
pub struct ForkChoice {
    params: Arc<Params>,
    genesis_ms: u64,
    now_ms: u64,
    justified: Checkpoint,
    finalized: Checkpoint,
    unrealized_justified: Checkpoint,
    unrealized_finalized: Checkpoint,
    boost: Root,
    equivocating: BTreeSet<ValidatorIndex>,
    tree: Tree,
    votes: BTreeMap<ValidatorIndex, Vote>,
    applied_votes: Vec<Applied>,
    applied_boost: Applied,
    /// The head and the balances it was found with, until anything changes.
    found: Option<(Arc<Balances>, Root)>,
}

impl ForkChoice {
    /// Starts from a trusted block, which counts as justified and final.
    #[must_use]
    pub fn new(params: Arc<Params>, genesis_time: u64, root: Root, parent_root: Root, slot: Slot) -> Self {
        let checkpoint = Checkpoint { epoch: params.epoch_of(slot), root };
        Self::from_checkpoint(params, genesis_time, checkpoint, parent_root, slot)
    }

    /// As [`ForkChoice::new`] from a checkpoint whose block is of `slot`, which may be before the checkpoint's epoch.
    #[must_use]
    pub fn from_checkpoint(
        params: Arc<Params>,
        genesis_time: u64,
        checkpoint: Checkpoint,
        parent_root: Root,
        slot: Slot,
    ) -> Self {
        let genesis_ms = genesis_time.saturating_mul(1000);
        let anchor = Block {
            root: checkpoint.root,
            parent_root,
            slot,
            proposer_index: 0,
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
        };
        Self {
            genesis_ms,
            now_ms: genesis_ms.saturating_add(slot.saturating_mul(params.slot_ms)),
            params,
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
            boost: Root::ZERO,
            equivocating: BTreeSet::new(),
            tree: Tree::new(anchor),
            votes: BTreeMap::new(),
            applied_votes: Vec::new(),
            applied_boost: None,
            found: None,
        }
    }

    /// The latest justified checkpoint.
    #[must_use]
    pub const fn justified(&self) -> Checkpoint {
        self.justified
    }

    /// The latest final checkpoint.
    #[must_use]
    pub const fn finalized(&self) -> Checkpoint {
        self.finalized
    }

    /// The highest checkpoint that any block would justify at the end of its epoch.
    #[must_use]
    pub const fn unrealized_justified(&self) -> Checkpoint {
        self.unrealized_justified
    }

    /// The block that has the proposer boost, or zero.
    #[must_use]
    pub const fn boost(&self) -> Root {
        self.boost
    }

    /// The blocks.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The constants in force.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Latest votes of everybody who did not contradict himself.
    pub fn votes(&self) -> impl Iterator<Item = (ValidatorIndex, &Vote)> {
        self.votes
            .iter()
            .filter(|(index, _)| !self.equivocating.contains(index))
            .map(|(index, vote)| (*index, vote))
    }

    /// Whether the validator was seen contradicting himself.
    #[must_use]
    pub fn is_equivocating(&self, index: ValidatorIndex) -> bool {
        self.equivocating.contains(&index)
    }

    /// The slot that time has reached.
    #[must_use]
    pub fn current_slot(&self) -> Slot {
        self.now_ms.saturating_sub(self.genesis_ms) / self.params.slot_ms
    }

    /// The epoch that time has reached.
    #[must_use]
    pub fn current_epoch(&self) -> Epoch {
        self.params.epoch_of(self.current_slot())
    }

    /// Whether more than half of the current slot is over.
    #[must_use]
    pub fn is_second_half_of_slot(&self) -> bool {
        self.ms_since_slot_start().saturating_mul(2) >= self.params.slot_ms
    }

    fn ms_since_slot_start(&self) -> u64 {
        self.now_ms.saturating_sub(self.genesis_ms) % self.params.slot_ms
    }

    /// Time passes (Unix milliseconds); slots in between are gone through one by one. Time before the present is
    /// ignored.
    pub fn on_tick(&mut self, now_ms: u64) {
        let target = now_ms.saturating_sub(self.genesis_ms) / self.params.slot_ms;
        while self.current_slot() < target {
            let next = self.current_slot().saturating_add(1);
            self.now_ms = self.genesis_ms.saturating_add(next.saturating_mul(self.params.slot_ms));
            self.boost = Root::ZERO;
            self.found = None;
            if next.is_multiple_of(self.params.slots_per_epoch) {
                self.raise(self.unrealized_justified, self.unrealized_finalized);
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Checks what can be checked of a block before it is executed.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_block(&self, slot: Slot, parent_root: &Root) -> Result<(), BlockRefusal> {
        let parent = self.tree.get(parent_root).ok_or(BlockRefusal::UnknownParent)?;
        if slot <= parent.block.slot {
            return Err(BlockRefusal::NotAfterParent);
        }
        if slot > self.current_slot() {
            return Err(BlockRefusal::FutureSlot);
        }
        let final_slot = self.params.start_slot(self.finalized.epoch);
        if slot <= final_slot {
            return Err(BlockRefusal::NotAfterFinalized);
        }
        if self.tree.ancestor_root(parent_root, final_slot) != Some(self.finalized.root) {
            return Err(BlockRefusal::NotFinalDescendant);
        }
        Ok(())
    }

    /// Takes in a block that was executed. Its votes and slashings come separately. A known block changes nothing.
    ///
    /// # Errors
    /// The rule that is broken; nothing is changed then.
    pub fn on_block(&mut self, block: Block, states: &impl CheckpointStates) -> Result<(), BlockRefusal> {
        if self.tree.position(&block.root).is_some() {
            return Ok(());
        }
        self.check_block(block.slot, &block.parent_root)?;
        let due = self.params.attestation_due_bps.saturating_mul(self.params.slot_ms) / BASIS_POINTS;
        let timely = self.current_slot() == block.slot && self.ms_since_slot_start() < due;
        let head = if timely && self.boost == Root::ZERO { Some(self.head(states)?) } else { None };
        self.tree.push(block, timely);
        self.found = None;
        if head.is_some_and(|head| self.dependent_root(&head) == self.dependent_root(&block.root)) {
            self.boost = block.root;
        }
        self.raise(block.justified, block.finalized);
        if block.unrealized_justified.epoch > self.unrealized_justified.epoch {
            self.unrealized_justified = block.unrealized_justified;
        }
        if block.unrealized_finalized.epoch > self.unrealized_finalized.epoch {
            self.unrealized_finalized = block.unrealized_finalized;
        }
        if self.params.epoch_of(block.slot) < self.current_epoch() {
            self.raise(block.unrealized_justified, block.unrealized_finalized);
        }
        Ok(())
    }

    /// Takes in votes whose signature was verified. Votes from blocks may be of any past epoch.
    ///
    /// # Errors
    /// The rule that is broken; nothing is changed then.
    pub fn on_attestation(
        &mut self,
        data: &AttestationData,
        voters: &[ValidatorIndex],
        from_block: bool,
    ) -> Result<(), VoteRefusal> {
        self.check_vote(data, from_block)?;
        let vote = Vote { root: data.beacon_block_root, epoch: data.target.epoch };
        for voter in voters.iter().filter(|voter| !self.equivocating.contains(voter)) {
            let latest = self.votes.get(voter);
            if latest.is_none_or(|latest| vote.epoch > latest.epoch) {
                self.votes.insert(*voter, vote);
                self.found = None;
            }
        }
        Ok(())
    }

    /// Checks a vote against time and tree; being too early is the last thing looked at.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_vote(&self, data: &AttestationData, from_block: bool) -> Result<(), VoteRefusal> {
        let current = self.current_epoch();
        let target = &data.target;
        if !from_block && target.epoch != current && target.epoch != current.saturating_sub(1) {
            return Err(VoteRefusal::TargetEpoch);
        }
        if target.epoch != self.params.epoch_of(data.slot) {
            return Err(VoteRefusal::TargetSlot);
        }
        if self.tree.position(&target.root).is_none() {
            return Err(VoteRefusal::UnknownTarget);
        }
        let block = self.tree.get(&data.beacon_block_root).ok_or(VoteRefusal::UnknownBlock)?;
        if block.block.slot > data.slot {
            return Err(VoteRefusal::BlockAfterSlot);
        }
        let start = self.params.start_slot(target.epoch);
        if self.tree.ancestor_root(&data.beacon_block_root, start) != Some(target.root) {
            return Err(VoteRefusal::TargetMismatch);
        }
        if self.current_slot() <= data.slot {
            return Err(VoteRefusal::TooEarly);
        }
        Ok(())
    }

    /// Discounts for ever the votes of validators that contradicted themselves.
    pub fn on_equivocation(&mut self, indices: impl IntoIterator<Item = ValidatorIndex>) {
        self.equivocating.extend(indices);
        self.found = None;
    }

    /// The head of the chain.
    ///
    /// # Errors
    /// The balances of the justified checkpoint are missing.
    pub fn head(&mut self, states: &impl CheckpointStates) -> Result<Root, BlockRefusal> {
        let balances = states.balances(&self.justified).ok_or(BlockRefusal::MissingBalances)?;
        if let Some((of, head)) = &self.found
            && Arc::ptr_eq(of, &balances)
        {
            return Ok(*head);
        }
        let deltas = self.deltas(&balances);
        let current = self.current_epoch();
        let (params, justified) = (&self.params, self.justified);
        let finalized = (self.finalized.epoch > 0)
            .then(|| (self.finalized.root, params.start_slot(self.finalized.epoch)));
        self.tree.settle(deltas, finalized, |block| {
            let source = voting_source(params, block, current).epoch;
            justified.epoch == 0 || source == justified.epoch || source.saturating_add(2) >= current
        });
        let head = self.tree.head_from(&justified.root).ok_or(BlockRefusal::UnknownParent)?;
        self.found = Some((balances, head));
        Ok(head)
    }

    /// Justified checkpoint that a vote on top of a block would build on.
    #[must_use]
    pub fn voting_source(&self, root: &Root) -> Option<Checkpoint> {
        self.tree.get(root).map(|node| voting_source(&self.params, &node.block, self.current_epoch()))
    }

    /// What changed since the last time, by position in the tree.
    fn deltas(&mut self, balances: &Balances) -> Vec<i128> {
        let mut deltas = vec![0i128; self.tree.len()];
        let score = balances.committee_fraction(&self.params, self.params.proposer_score_boost);
        let boosted = self.tree.position(&self.boost).map(|position| (position, score));
        exchange(&mut self.applied_boost, boosted, &mut deltas);
        let highest = self.votes.last_key_value().and_then(|(index, _)| usize::try_from(*index).ok());
        if highest.is_some_and(|highest| highest >= self.applied_votes.len()) {
            self.applied_votes.resize(highest.unwrap_or(0).saturating_add(1), None);
        }
        for (index, vote) in &self.votes {
            let Some(applied) = usize::try_from(*index).ok().and_then(|at| self.applied_votes.get_mut(at))
            else {
                continue;
            };
            let wanted = if self.equivocating.contains(index) {
                None
            } else {
                self.tree.position(&vote.root).map(|position| (position, balances.vote_weight(*index)))
            };
            exchange(applied, wanted, &mut deltas);
        }
        deltas
    }

    /// The block to propose on in `slot`: the head, or its parent when the head came late and has few votes, or its
    /// proposer made two. `head_committee` is the committee of the head's slot.
    ///
    /// # Errors
    /// The balances of the justified checkpoint are missing.
    pub fn proposer_head(
        &mut self,
        slot: Slot,
        head_committee: &[ValidatorIndex],
        states: &impl CheckpointStates,
    ) -> Result<Root, BlockRefusal> {
        let root = self.head(states)?;
        let balances = states.balances(&self.justified).ok_or(BlockRefusal::MissingBalances)?;
        let params = &self.params;
        let Some(head) = self.tree.get(&root) else { return Ok(root) };
        let Some(parent) = head.parent.and_then(|parent| self.tree.at(parent)) else { return Ok(root) };
        if self.boost == root {
            return Ok(root); // its weight is not yet its votes' alone
        }
        let boost_in = |node: &Root| {
            if self.tree.is_ancestor(&self.boost, node) {
                balances.committee_fraction(params, params.proposer_score_boost)
            } else {
                0
            }
        };
        let hoarded: u64 = head_committee
            .iter()
            .filter(|index| self.equivocating.contains(index))
            .map(|index| balances.stake(*index))
            .sum();
        let head_votes = head.weight.saturating_sub(boost_in(&root)).saturating_add(hoarded);
        let head_weak = head_votes < balances.committee_fraction(params, params.reorg_head_threshold);
        let parent_votes = parent.weight.saturating_sub(boost_in(&parent.block.root));
        let parent_strong = parent_votes > balances.committee_fraction(params, params.reorg_parent_threshold);
        let next_slot = head.block.slot.saturating_add(1) == slot;
        let cutoff = params.proposer_reorg_cutoff_bps.saturating_mul(params.slot_ms) / BASIS_POINTS;
        let since_final = params.epoch_of(slot).saturating_sub(self.finalized.epoch);
        let late_and_weak = !head.timely
            && !slot.is_multiple_of(params.slots_per_epoch)
            && head.block.unrealized_justified == parent.block.unrealized_justified
            && since_final <= params.reorg_max_epochs_since_finalization
            && self.ms_since_slot_start() <= cutoff
            && parent.block.slot.saturating_add(1) == head.block.slot
            && next_slot
            && head_weak
            && parent_strong;
        let is_twin = |node: &&Node| {
            node.block.slot == head.block.slot && node.block.proposer_index == head.block.proposer_index
        };
        let equivocated = head_weak && next_slot && self.tree.iter().rev().filter(is_twin).nth(1).is_some();
        Ok(if late_and_weak || equivocated { parent.block.root } else { root })
    }

    /// Forgets blocks that do not descend from the final one. Votes for them weigh nothing any more.
    pub fn prune(&mut self) {
        let Some(moved) = self.tree.prune(&self.finalized.root) else { return };
        self.found = None;
        let follow = |applied: &Applied| {
            applied.and_then(|(position, weight)| Some((moved.get(position).copied().flatten()?, weight)))
        };
        self.applied_boost = follow(&self.applied_boost);
        for applied in &mut self.applied_votes {
            *applied = follow(applied);
        }
    }

    /// The block that fixed the shuffling of the current epoch on the chain of `root`. Blocks older than the tree have
    /// all the same one.
    fn dependent_root(&self, root: &Root) -> Option<Root> {
        let lookahead = self.params.min_seed_lookahead;
        let slot = match self.current_epoch().checked_sub(lookahead) {
            Some(epoch) if epoch > 0 => self.params.start_slot(epoch).saturating_sub(1),
            _ => 0,
        };
        self.tree.ancestor_root(root, slot)
    }

    fn raise(&mut self, justified: Checkpoint, finalized: Checkpoint) {
        if justified.epoch > self.justified.epoch {
            self.justified = justified;
            self.found = None;
        }
        if finalized.epoch > self.finalized.epoch {
            self.finalized = finalized;
            self.found = None;
        }
    }
}

/// A block of a past epoch counts as if that epoch's end had been processed.
fn voting_source(params: &Params, block: &Block, current_epoch: Epoch) -> Checkpoint {
    if current_epoch > params.epoch_of(block.slot) { block.unrealized_justified } else { block.justified }
}

/// Replaces a weight applied to the tree by another and notes the differences.
fn exchange(applied: &mut Applied, wanted: Applied, deltas: &mut [i128]) {
    if *applied == wanted {
        return;
    }
    if let Some((position, weight)) = applied
        && let Some(delta) = deltas.get_mut(*position)
    {
        *delta -= i128::from(*weight);
    }
    if let Some((position, weight)) = wanted
        && let Some(delta) = deltas.get_mut(position)
    {
        *delta += i128::from(weight);
    }
    *applied = wanted;
}
