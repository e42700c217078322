//! Fast confirmation: the youngest block of the head's chain that cannot be re-organised away while votes arrive within
//! their slot and at most a quarter of the stake is Byzantine. Run once at the start of each slot. Mirrors
//! `specs/phase0/fast-confirmation.md`.

use super::fork_choice::{Balances, BlockRefusal, CheckpointStates, ForkChoice};
use crate::types::{
    operation::Checkpoint,
    params::Params,
    primitives::{Epoch, Root, Slot, ValidatorIndex},
};
use std::{cell::OnceCell, collections::BTreeSet, ops::RangeInclusive, sync::Arc};

/// Per mille added to estimates of committees' weight over part of an epoch.
const ESTIMATE_MARGIN_PER_MILLE: u64 = 5;

/// What the rule asks of the head's state.
pub trait HeadState {
    /// Balances of the head's state, advanced to the current epoch if it is older.
    fn pulled_up_balances(&self) -> Arc<Balances>;

    /// Members of the committee of a slot, as the head's state determines it.
    fn committee(&self, slot: Slot) -> Vec<ValidatorIndex>;
}

/// What the rule remembers from slot to slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastConfirmation {
    /// The youngest confirmed block.
    pub confirmed: Root,
    /// Justified checkpoint seen by everybody at the start of the previous epoch.
    pub previous_observed: Checkpoint,
    /// Justified checkpoint seen by everybody at the start of the current epoch.
    pub current_observed: Checkpoint,
    /// Highest unrealized justified checkpoint at the start of the previous epoch's last slot.
    pub previous_greatest_unrealized: Checkpoint,
    /// Head at the start of the previous slot.
    pub previous_slot_head: Root,
    /// Head at the start of the current slot.
    pub current_slot_head: Root,
}

impl FastConfirmation {
    /// Starts from the final checkpoint.
    #[must_use]
    pub const fn new(fork_choice: &ForkChoice) -> Self {
        let finalized = fork_choice.finalized();
        Self {
            confirmed: finalized.root,
            previous_observed: finalized,
            current_observed: finalized,
            previous_greatest_unrealized: finalized,
            previous_slot_head: finalized.root,
            current_slot_head: finalized.root,
        }
    }

    /// Checkpoints whose balances the next run may ask for.
    #[must_use]
    pub fn checkpoints(&self, fork_choice: &ForkChoice) -> [Checkpoint; 5] {
        [
            self.previous_observed,
            self.current_observed,
            self.previous_greatest_unrealized,
            fork_choice.unrealized_justified(),
            fork_choice.justified(),
        ]
    }

    /// Runs the rule for the current slot.
    ///
    /// # Errors
    /// Balances of a checkpoint it relies on are missing.
    pub fn on_slot(
        &mut self,
        fork_choice: &mut ForkChoice,
        states: &impl CheckpointStates,
        head_state: &impl HeadState,
    ) -> Result<(), BlockRefusal> {
        let head = fork_choice.head(states)?;
        self.previous_slot_head = self.current_slot_head;
        self.current_slot_head = head;
        let slot = fork_choice.current_slot();
        let per_epoch = fork_choice.params().slots_per_epoch;
        if slot.saturating_add(1).is_multiple_of(per_epoch) {
            self.previous_greatest_unrealized = fork_choice.unrealized_justified();
        }
        if slot.is_multiple_of(per_epoch) {
            self.previous_observed = self.current_observed;
            self.current_observed = self.previous_greatest_unrealized;
        }
        let source = |checkpoint| states.balances(checkpoint).ok_or(BlockRefusal::MissingBalances);
        let view = View {
            fork_choice,
            head,
            slot,
            epoch: fork_choice.current_epoch(),
            epoch_start: slot.is_multiple_of(per_epoch),
            previous_source: Support::new(source(&self.previous_observed)?),
            current_source: Support::new(source(&self.current_observed)?),
            head_source: Support::new(head_state.pulled_up_balances()),
            committee: |slot| head_state.committee(slot),
        };
        self.confirmed = view.latest_confirmed(self);
        Ok(())
    }
}

/// Balances of one state and the votes they give every block.
struct Support {
    balances: Arc<Balances>,
    /// Weight of votes for the block at each position or its descendants; added up when it is first asked for.
    by_position: OnceCell<Vec<u64>>,
}

impl Support {
    const fn new(balances: Arc<Balances>) -> Self {
        Self { balances, by_position: OnceCell::new() }
    }

    /// Weight behind the block at a position.
    fn of(&self, fork_choice: &ForkChoice, position: usize) -> u64 {
        let all = self.by_position.get_or_init(|| self.add_up(fork_choice));
        all.get(position).copied().unwrap_or(0)
    }

    fn add_up(&self, fork_choice: &ForkChoice) -> Vec<u64> {
        let tree = fork_choice.tree();
        let mut by_position = vec![0u64; tree.len()];
        for (index, vote) in fork_choice.votes() {
            if let Some(sum) = tree.position(&vote.root).and_then(|at| by_position.get_mut(at)) {
                *sum = sum.saturating_add(self.balances.vote_weight(index));
            }
        }
        for (at, node) in tree.iter().enumerate().rev() {
            let own = by_position.get(at).copied().unwrap_or(0);
            if let Some(sum) = node.parent.and_then(|parent| by_position.get_mut(parent)) {
                *sum = sum.saturating_add(own);
            }
        }
        by_position
    }
}

/// Everything one run of the rule looks at.
struct View<'a, C> {
    fork_choice: &'a ForkChoice,
    head: Root,
    slot: Slot,
    epoch: Epoch,
    epoch_start: bool,
    previous_source: Support,
    current_source: Support,
    head_source: Support,
    committee: C,
}

impl<C: Fn(Slot) -> Vec<ValidatorIndex>> View<'_, C> {
    fn params(&self) -> &Params {
        self.fork_choice.params()
    }

    fn block_slot(&self, root: &Root) -> Slot {
        self.fork_choice.tree().get(root).map_or(0, |node| node.block.slot)
    }

    fn block_epoch(&self, root: &Root) -> Epoch {
        self.params().epoch_of(self.block_slot(root))
    }

    fn parent(&self, root: &Root) -> Root {
        self.fork_choice.tree().get(root).map(|node| node.block.parent_root).unwrap_or_default()
    }

    fn unrealized(&self, root: &Root) -> Checkpoint {
        self.fork_choice.tree().get(root).map(|node| node.block.unrealized_justified).unwrap_or_default()
    }

    fn source_is_recent(&self, root: &Root) -> bool {
        self.fork_choice
            .voting_source(root)
            .is_some_and(|source| source.epoch.saturating_add(2) >= self.epoch)
    }

    fn checkpoint_of(&self, root: &Root, epoch: Epoch) -> Option<Checkpoint> {
        let start = self.params().start_slot(epoch);
        self.fork_choice.tree().ancestor_root(root, start).map(|root| Checkpoint { epoch, root })
    }

    fn latest_confirmed(&self, memory: &FastConfirmation) -> Root {
        let mut confirmed = memory.confirmed;
        let tree = self.fork_choice.tree();
        let lost = self.block_epoch(&confirmed).saturating_add(1) < self.epoch
            || !tree.is_ancestor(&self.head, &confirmed)
            || (self.epoch_start && !self.is_chain_safe(memory, &confirmed));
        if lost {
            confirmed = self.fork_choice.finalized().root;
        }
        let observed = &memory.current_observed;
        let observed_slot = self.block_slot(&observed.root);
        let restart = self.epoch_start
            && self.params().epoch_of(observed_slot).saturating_add(1) == self.epoch
            && *observed == self.unrealized(&self.head)
            && self.block_slot(&confirmed) < observed_slot;
        if restart {
            confirmed = observed.root;
        }
        if self.block_epoch(&confirmed).saturating_add(1) >= self.epoch {
            self.latest_confirmed_descendant(memory, confirmed)
        } else {
            confirmed
        }
    }

    /// Whether all blocks since the observed justified checkpoint are still safe.
    fn is_chain_safe(&self, memory: &FastConfirmation, confirmed: &Root) -> bool {
        let observed = memory.current_observed;
        if self.checkpoint_of(confirmed, observed.epoch) != Some(observed) {
            return false;
        }
        let start = if observed.epoch.saturating_add(1) >= self.epoch {
            observed.root
        } else {
            let Some(first) = self.checkpoint_of(confirmed, self.epoch.saturating_sub(1)) else {
                return false;
            };
            if self.block_epoch(&first.root).saturating_add(1) == self.epoch {
                self.parent(&first.root)
            } else {
                first.root
            }
        };
        let path = self.fork_choice.tree().path(&start, confirmed);
        path.iter().all(|root| self.is_one_confirmed(&self.previous_source, root))
    }

    fn latest_confirmed_descendant(&self, memory: &FastConfirmation, from: Root) -> Root {
        let tree = self.fork_choice.tree();
        let mut confirmed = from;
        let is_recent = |root: &Root| self.unrealized(root).epoch.saturating_add(1) >= self.epoch;
        let previous_head = &memory.previous_slot_head;
        if self.block_epoch(&confirmed).saturating_add(1) == self.epoch
            && self.source_is_recent(previous_head)
            && (self.epoch_start
                || (self.no_conflicting_checkpoint_will_be_justified()
                    && (is_recent(previous_head) || is_recent(&self.head))))
        {
            for root in tree.path(&confirmed, &self.head) {
                if self.block_epoch(&root) == self.epoch
                    || !tree.is_ancestor(previous_head, &root)
                    || !self.is_one_confirmed(&self.current_source, &root)
                {
                    break;
                }
                confirmed = root;
            }
        }
        if !self.epoch_start && !is_recent(&self.head) {
            return confirmed;
        }
        let mut tentative = confirmed;
        for root in tree.path(&confirmed, &self.head) {
            let enters_epoch = self.block_epoch(&root) > self.block_epoch(&tentative);
            if (enters_epoch && !self.current_target_will_be_justified())
                || !self.is_one_confirmed(&self.current_source, &root)
            {
                break;
            }
            tentative = root;
        }
        let stays = self.block_epoch(&tentative) == self.epoch
            || (self.source_is_recent(&tentative)
                && (self.epoch_start || self.no_conflicting_checkpoint_will_be_justified()));
        if stays { tentative } else { confirmed }
    }

    fn is_one_confirmed(&self, source: &Support, root: &Root) -> bool {
        let Some(position) = self.fork_choice.tree().position(root) else { return false };
        source.of(self.fork_choice, position) > self.safety_threshold(&source.balances, root)
    }

    fn safety_threshold(&self, balances: &Balances, root: &Root) -> u64 {
        let parent_slot = self.block_slot(&self.parent(root));
        let last = self.slot.saturating_sub(1);
        let boost = balances.committee_fraction(self.params(), self.params().proposer_score_boost);
        let maximum =
            estimate_weight(self.params(), balances.total_active, parent_slot.saturating_add(1)..=last);
        let discount = self.empty_slot_discount(balances, root);
        let adversarial = self.adversarial_weight_on(balances, root);
        maximum.saturating_add(boost).saturating_add(adversarial.saturating_mul(2)).saturating_sub(discount)
            / 2
    }

    fn adversarial_weight_on(&self, balances: &Balances, root: &Root) -> u64 {
        let epoch = self.block_epoch(root);
        let crosses = epoch > self.block_epoch(&self.parent(root));
        let from = if crosses { self.params().start_slot(epoch) } else { self.block_slot(root) };
        self.adversarial_weight(balances, from..=self.slot.saturating_sub(1))
    }

    fn adversarial_weight(&self, balances: &Balances, slots: RangeInclusive<Slot>) -> u64 {
        let threshold = self.params().confirmation_byzantine_threshold;
        let maximum = estimate_weight(self.params(), balances.total_active, slots.clone());
        let equivocating: u64 = self
            .members(slots)
            .iter()
            .filter(|index| self.fork_choice.is_equivocating(**index))
            .map(|index| balances.stake(*index))
            .sum();
        (maximum / 100).saturating_mul(threshold).saturating_sub(equivocating)
    }

    /// Votes for the parent by committees whose slots stayed empty: they do not speak against the block.
    fn empty_slot_discount(&self, balances: &Balances, root: &Root) -> u64 {
        let parent = self.parent(root);
        let first = self.block_slot(&parent).saturating_add(1);
        let slot = self.block_slot(root);
        if first == slot {
            return 0;
        }
        let empty = first..=slot.saturating_sub(1);
        let members = self.members(empty.clone());
        let support: u64 = self
            .fork_choice
            .votes()
            .filter(|(index, vote)| vote.root == parent && members.contains(index))
            .map(|(index, _)| balances.vote_weight(index))
            .sum();
        support.saturating_sub(self.adversarial_weight(balances, empty))
    }

    fn members(&self, slots: RangeInclusive<Slot>) -> BTreeSet<ValidatorIndex> {
        slots.flat_map(&self.committee).collect()
    }

    fn no_conflicting_checkpoint_will_be_justified(&self) -> bool {
        self.checkpoint_of(&self.head, self.epoch) == Some(self.fork_choice.unrealized_justified())
            || u128::from(self.honest_target_support()) * 3
                > u128::from(self.head_source.balances.total_active)
    }

    fn current_target_will_be_justified(&self) -> bool {
        u128::from(self.honest_target_support()) * 3 >= u128::from(self.head_source.balances.total_active) * 2
    }

    /// Least honest weight that the current epoch's target will have.
    fn honest_target_support(&self) -> u64 {
        let balances = &self.head_source.balances;
        let so_far = self.params().start_slot(self.epoch)..=self.slot.saturating_sub(1);
        let weight_so_far = estimate_weight(self.params(), balances.total_active, so_far.clone());
        let threshold = self.params().confirmation_byzantine_threshold;
        let to_come = balances.total_active.saturating_sub(weight_so_far) / 100;
        let honest_to_come = to_come.saturating_mul(100u64.saturating_sub(threshold));
        let support = self.target_score();
        support.saturating_sub(self.adversarial_weight(balances, so_far)).saturating_add(honest_to_come)
    }

    /// Weight of latest votes whose checkpoint is the current epoch's on the head's chain.
    fn target_score(&self) -> u64 {
        let target = self.checkpoint_of(&self.head, self.epoch);
        self.fork_choice
            .votes()
            .filter(|(_, vote)| {
                vote.epoch == self.epoch && self.checkpoint_of(&vote.root, vote.epoch) == target
            })
            .map(|(index, _)| self.head_source.balances.vote_weight(index))
            .sum()
    }
}

/// Estimate of the weight of the committees of a range of slots, both ends included.
fn estimate_weight(params: &Params, total_active: u64, slots: RangeInclusive<Slot>) -> u64 {
    let per_epoch = params.slots_per_epoch;
    let (first, last) = (*slots.start(), *slots.end());
    if first > last {
        return 0;
    }
    let first_full_epoch = params.epoch_of(first.saturating_add(per_epoch - 1));
    if first_full_epoch < params.epoch_of(last.saturating_add(1)) {
        return total_active;
    }
    let committee = total_active / per_epoch;
    if params.epoch_of(first) == params.epoch_of(last) {
        return committee.saturating_mul(last - first + 1);
    }
    let in_last_epoch = last % per_epoch + 1;
    let in_first_epoch = per_epoch - first % per_epoch;
    let first_weight = committee.saturating_mul(in_first_epoch) / per_epoch * (per_epoch - in_last_epoch);
    let estimate = first_weight.saturating_add(committee.saturating_mul(in_last_epoch));
    estimate.div_ceil(1000).saturating_mul(1000 + ESTIMATE_MARGIN_PER_MILLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_whole_epochs_are_exact_and_of_parts_pro_rata() {
        let params = Params::minimal();
        let total = 2048 * 1_000_000_000;
        let committee = total / 8;
        assert_eq!(estimate_weight(&params, total, 8..=15), total);
        assert_eq!(estimate_weight(&params, total, 7..=16), total);
        assert_eq!(estimate_weight(&params, total, 9..=11), 3 * committee);
        // half of the last two committees of one epoch, and four of the next
        let expected = (committee * 2 / 8 * 4 + 4 * committee).div_ceil(1000) * 1005;
        assert_eq!(estimate_weight(&params, total, 6..=11), expected);
        #[allow(clippy::reversed_empty_ranges)]
        let nothing = 5..=4;
        assert_eq!(estimate_weight(&params, total, nothing), 0);
    }
}
