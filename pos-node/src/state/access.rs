//! Questions about a state and the small changes that several rules share. Mirrors the accessors and mutators of
//! `specs/phase0/beacon-chain.md` as changed by `specs/electra/beacon-chain.md`.

use super::{AppWrites, State, shuffle};
use crate::types::{
    domain::{DomainType, domain},
    operation::{AttestationData, Checkpoint},
    params::{Governed, Params},
    primitives::{Epoch, FAR_FUTURE, Nano, Root, Slot, ValidatorIndex},
    ssz::sha256,
};

impl State {
    /// The epoch of the state's slot.
    #[must_use]
    pub const fn current_epoch(&self, params: &Params) -> Epoch {
        params.epoch_of(self.slot)
    }

    /// The epoch before, or 0.
    #[must_use]
    pub const fn previous_epoch(&self, params: &Params) -> Epoch {
        self.current_epoch(params).saturating_sub(1)
    }

    /// Root of the chain's block at a slot before the state's that the ring still holds.
    #[must_use]
    pub fn block_root_at_slot(&self, params: &Params, slot: Slot) -> Option<Root> {
        let held = slot < self.slot && self.slot <= slot.saturating_add(params.slots_per_historical_root);
        held.then(|| self.block_roots.at(slot.checked_rem(params.slots_per_historical_root)?).copied())?
    }

    /// Root of the chain's block at an epoch's first slot.
    #[must_use]
    pub fn block_root(&self, params: &Params, epoch: Epoch) -> Option<Root> {
        self.block_root_at_slot(params, params.start_slot(epoch))
    }

    /// Sum of the effective balances of `indices`, at least one increment.
    #[must_use]
    pub fn total_balance(&self, params: &Params, indices: impl Iterator<Item = ValidatorIndex>) -> Nano {
        let sum: Nano = indices.filter_map(|index| self.validators.effective_balance.at(index)).sum();
        sum.max(params.effective_balance_increment)
    }

    /// Effective balance of everybody active in `epoch`, at least one increment.
    #[must_use]
    pub fn total_active_balance(&self, params: &Params, epoch: Epoch) -> Nano {
        self.total_balance(params, self.validators.active_indices(epoch).into_iter())
    }

    /// Stake that may move per epoch.
    #[must_use]
    pub fn balance_churn_limit(&self, params: &Params) -> Nano {
        let total = self.total_active_balance(params, self.current_epoch(params));
        let churn = (total / params.churn_limit_quotient).max(params.min_per_epoch_churn_limit);
        churn - churn % params.effective_balance_increment
    }

    /// Stake that may be activated, and stake that may exit, per epoch.
    #[must_use]
    pub fn activation_exit_churn_limit(&self, params: &Params) -> Nano {
        self.balance_churn_limit(params).min(self.params.get(Governed::MaxChurn))
    }

    /// Randomness of an epoch's duties of one kind.
    #[must_use]
    pub fn seed(&self, params: &Params, epoch: Epoch, kind: DomainType) -> [u8; 32] {
        let ring = params.epochs_per_historical_vector;
        let at = epoch.wrapping_add(ring).wrapping_sub(params.min_seed_lookahead).wrapping_sub(1) % ring;
        let mix = self.randao_mixes.at(at).copied().unwrap_or_default();
        sha256(&[kind.bytes().as_slice(), &epoch.to_le_bytes(), &mix.0].concat())
    }

    /// Domain of a message of this chain signed for `epoch`.
    #[must_use]
    pub fn domain(&self, kind: DomainType, epoch: Epoch) -> [u8; 32] {
        domain(kind.bytes(), self.fork.version_at(epoch), self.genesis_validators_root)
    }

    /// Whether finality is so late that absence is punished.
    #[must_use]
    pub fn is_in_inactivity_leak(&self, params: &Params) -> bool {
        self.previous_epoch(params).saturating_sub(self.finality.finalized.epoch)
            > params.min_epochs_to_inactivity_penalty
    }

    /// The proposer of a slot of the current or next epoch.
    #[must_use]
    pub fn proposer(&self, params: &Params, slot: Slot) -> Option<ValidatorIndex> {
        let first = params.start_slot(self.current_epoch(params));
        self.proposer_lookahead.at(slot.checked_sub(first)?).copied()
    }

    /// Adds to a balance, up to the largest number.
    pub fn increase_balance(&mut self, index: ValidatorIndex, delta: Nano) {
        if let Some(balance) = self.balances.at_mut(index) {
            *balance = balance.saturating_add(delta);
        }
    }

    /// Takes from a balance, down to zero; gives what was really taken.
    pub fn decrease_balance(&mut self, index: ValidatorIndex, delta: Nano) -> Nano {
        let Some(balance) = self.balances.at_mut(index) else { return 0 };
        let taken = delta.min(*balance);
        *balance -= taken;
        taken
    }

    /// Pays a reward: balance, the epoch's sum for the commission, and the supply.
    pub fn reward(&mut self, index: ValidatorIndex, amount: Nano, writes: &mut AppWrites) {
        if amount == 0 {
            return;
        }
        self.increase_balance(index, amount);
        if let Some(sum) = self.reward_accum.at_mut(index) {
            *sum = sum.saturating_add(amount);
        }
        writes.issued = writes.issued.saturating_add(u128::from(amount));
    }

    /// Takes a penalty that is burned.
    pub fn penalize(&mut self, index: ValidatorIndex, amount: Nano, writes: &mut AppWrites) -> Nano {
        let taken = if amount == 0 { 0 } else { self.decrease_balance(index, amount) };
        writes.burned = writes.burned.saturating_add(u128::from(taken));
        taken
    }

    /// Reserves exit churn for a balance and gives the epoch of its exit; `per_epoch` is
    /// [`State::activation_exit_churn_limit`]. Mirrors `compute_exit_epoch_and_update_churn`.
    pub fn reserve_exit_epoch(&mut self, params: &Params, exit_balance: Nano, per_epoch: Nano) -> Epoch {
        let floor = params.activation_exit_epoch(self.current_epoch(params));
        let mut epoch = self.earliest_exit_epoch.max(floor);
        let mut left =
            if self.earliest_exit_epoch < epoch { per_epoch } else { self.exit_balance_to_consume };
        if exit_balance > left {
            let more = (exit_balance - left).div_ceil(per_epoch);
            epoch = epoch.saturating_add(more);
            left = left.saturating_add(more.saturating_mul(per_epoch));
        }
        self.exit_balance_to_consume = left.saturating_sub(exit_balance);
        self.earliest_exit_epoch = epoch;
        epoch
    }

    /// Starts a validator's exit, unless it has one. Mirrors `initiate_validator_exit`.
    pub fn initiate_exit(&mut self, params: &Params, index: ValidatorIndex) {
        let per_epoch = self.activation_exit_churn_limit(params);
        self.initiate_exit_within(params, index, per_epoch);
    }

    /// As [`State::initiate_exit`] for many exits of one epoch, with the churn limit computed once.
    pub fn initiate_exit_within(&mut self, params: &Params, index: ValidatorIndex, per_epoch: Nano) {
        let Some(validator) = self.validators.get(index) else { return };
        if validator.exit_epoch != FAR_FUTURE {
            return;
        }
        let exit = self.reserve_exit_epoch(params, validator.effective_balance, per_epoch);
        self.set_exit(index, exit, exit.saturating_add(params.min_validator_withdrawability_delay));
    }

    /// Punishes an offence: exit, penalty, reward for the block's proposer. Mirrors `slash_validator`, with the exit
    /// brought forward where the ring of slashings is longer than the withdrawal delay, so that the correlation
    /// penalty comes while the sum it needs is still there.
    pub fn slash(
        &mut self,
        params: &Params,
        index: ValidatorIndex,
        proposer: ValidatorIndex,
        writes: &mut AppWrites,
    ) {
        let epoch = self.current_epoch(params);
        self.initiate_exit(params, index);
        let Some(validator) = self.validators.get(index) else { return };
        let ring = params.epochs_per_slashings_vector;
        let release = epoch.saturating_add(ring);
        if ring > params.min_validator_withdrawability_delay {
            let latest_exit = epoch.saturating_add(ring - params.min_validator_withdrawability_delay);
            self.set_exit(index, validator.exit_epoch.min(latest_exit), release);
        } else {
            self.set_exit(index, validator.exit_epoch, validator.withdrawable_epoch.max(release));
        }
        if let Some(slashed) = self.validators.slashed.at_mut(index) {
            *slashed = true;
        }
        if let Some(sum) = self.slashings.at_mut(epoch % ring) {
            *sum = sum.saturating_add(validator.effective_balance);
        }
        self.penalize(index, validator.effective_balance / params.min_slashing_penalty_quotient, writes);
        self.reward(proposer, validator.effective_balance / params.whistleblower_reward_quotient, writes);
    }

    fn set_exit(&mut self, index: ValidatorIndex, exit: Epoch, withdrawable: Epoch) {
        if let Some(slot) = self.validators.exit_epoch.at_mut(index) {
            *slot = exit;
        }
        if let Some(slot) = self.validators.withdrawable_epoch.at_mut(index) {
            *slot = withdrawable;
        }
    }

    /// Which participation flags a vote included after `delay` slots earns, or `None` when its source is not the
    /// justified checkpoint. Mirrors `get_attestation_participation_flag_indices`.
    #[must_use]
    pub fn participation_flags(&self, params: &Params, data: &AttestationData, delay: Slot) -> Option<u8> {
        let justified = if data.target.epoch == self.current_epoch(params) {
            self.finality.current_justified
        } else {
            self.finality.previous_justified
        };
        if data.source != justified {
            return None;
        }
        let target = self.block_root(params, data.target.epoch) == Some(data.target.root);
        let head = target && self.block_root_at_slot(params, data.slot) == Some(data.beacon_block_root);
        let source_in_time = delay <= params.slots_per_epoch.isqrt();
        Some(
            u8::from(source_in_time) << super::TIMELY_SOURCE
                | u8::from(target) << super::TIMELY_TARGET
                | u8::from(head && delay == 1) << super::TIMELY_HEAD,
        )
    }

    /// Checkpoint of an epoch on the state's chain, if the ring still holds it.
    #[must_use]
    pub fn checkpoint(&self, params: &Params, epoch: Epoch) -> Option<Checkpoint> {
        self.block_root(params, epoch).map(|root| Checkpoint { epoch, root })
    }
}

/// The committees of one epoch: its active validators shuffled, one slice per slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committees {
    epoch: Epoch,
    slots: usize,
    shuffled: Vec<ValidatorIndex>,
}

impl Committees {
    /// Draws the committees of an epoch that is at most one after the state's.
    #[must_use]
    pub fn new(state: &State, params: &Params, epoch: Epoch) -> Self {
        let mut shuffled = state.validators.active_indices(epoch);
        let seed = state.seed(params, epoch, DomainType::Attester);
        shuffle::shuffle(&mut shuffled, &seed, params.shuffle_round_count);
        let slots = usize::try_from(params.slots_per_epoch).expect("preset lengths fit memory");
        Self { epoch, slots, shuffled }
    }

    /// The epoch they serve in.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The committee of a slot; empty for slots of other epochs.
    #[must_use]
    pub fn at(&self, params: &Params, slot: Slot) -> &[ValidatorIndex] {
        let within = slot.checked_sub(params.start_slot(self.epoch)).and_then(|at| usize::try_from(at).ok());
        match within {
            Some(at) if at < self.slots => {
                let (from, to) = shuffle::committee_bounds(self.shuffled.len(), at, self.slots);
                self.shuffled.get(from..to).unwrap_or_default()
            }
            _ => &[],
        }
    }
}
