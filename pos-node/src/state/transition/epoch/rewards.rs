//! Inactivity scores (step 2), rewards and penalties (step 3). Mirrors `process_inactivity_updates`,
//! `get_flag_index_deltas` and `get_inactivity_penalty_deltas` of `specs/altair/beacon-chain.md` as of Bellatrix.
//!
//! A validator's four pairs of deltas depend on nobody else's balance, so they are applied validator by validator in
//! the order source, target, head, inactivity; each subtraction stops at zero before the next addition.

use super::super::super::{AppWrites, State, TIMELY_HEAD, TIMELY_SOURCE, TIMELY_TARGET, math::mul_div_u64};
use crate::types::{
    params::Params,
    primitives::{Epoch, Nano, ValidatorIndex},
};

/// A reward and a penalty, of which at most one is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Nano to add.
    pub reward: Nano,
    /// Nano to take afterwards.
    pub penalty: Nano,
}

impl State {
    /// Validators active in an epoch, not slashed, whose votes of that epoch have a flag. The epoch is the current or
    /// the previous one.
    pub fn unslashed_participants(
        &self,
        params: &Params,
        flag: u8,
        epoch: Epoch,
    ) -> impl Iterator<Item = ValidatorIndex> {
        let column = if epoch == self.current_epoch(params) {
            &self.current_epoch_participation
        } else {
            &self.previous_epoch_participation
        };
        let slashed = &self.validators.slashed;
        (0..)
            .zip(column.iter().zip(slashed.iter()))
            .filter(move |(index, (flags, slashed))| {
                !**slashed && *flags >> flag & 1 == 1 && self.validators.is_active(*index, epoch)
            })
            .map(|(index, _)| index)
    }

    /// Whether rewards and penalties of the previous epoch concern a validator.
    fn is_eligible(&self, index: ValidatorIndex, previous: Epoch) -> bool {
        let waiting = || {
            self.validators.slashed.at(index).is_some_and(|slashed| *slashed)
                && self.validators.withdrawable_epoch.at(index).is_some_and(|epoch| previous + 1 < *epoch)
        };
        self.validators.is_active(index, previous) || waiting()
    }

    fn has_flag(&self, index: ValidatorIndex, flag: u8, previous: Epoch) -> bool {
        self.previous_epoch_participation.at(index).is_some_and(|flags| flags >> flag & 1 == 1)
            && self.validators.slashed.at(index) == Some(&false)
            && self.validators.is_active(index, previous)
    }
}

/// Updates every eligible validator's inactivity score.
pub fn process_inactivity(state: &mut State, params: &Params) {
    if state.current_epoch(params) == 0 {
        return;
    }
    let previous = state.previous_epoch(params);
    let leak = state.is_in_inactivity_leak(params);
    let mut scores = state.inactivity_scores.clone();
    scores.update(|index, score| {
        if !state.is_eligible(index, previous) {
            return *score;
        }
        let score = if state.has_flag(index, TIMELY_TARGET, previous) {
            score.saturating_sub(1)
        } else {
            score.saturating_add(params.inactivity_score_bias)
        };
        if leak { score } else { score.saturating_sub(params.inactivity_score_recovery_rate) }
    });
    state.inactivity_scores = scores;
}

/// What rewards of one epoch are computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardContext {
    previous: Epoch,
    leak: bool,
    base_reward_per_increment: Nano,
    active_increments: u64,
    flags: [FlagContext; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FlagContext {
    flag: u8,
    weight: u64,
    increments: u64,
}

impl RewardContext {
    /// Gathers the sums of the state's previous epoch.
    #[must_use]
    pub fn new(state: &State, params: &Params) -> Self {
        let previous = state.previous_epoch(params);
        let increment = params.effective_balance_increment;
        let total = state.total_active_balance(params, state.current_epoch(params));
        let context = |flag, weight| {
            let sum = state.total_balance(params, state.unslashed_participants(params, flag, previous));
            FlagContext { flag, weight, increments: sum / increment }
        };
        Self {
            previous,
            leak: state.is_in_inactivity_leak(params),
            base_reward_per_increment: base_reward_per_increment(params, total),
            active_increments: total / increment,
            flags: [
                context(TIMELY_SOURCE, params.source_weight),
                context(TIMELY_TARGET, params.target_weight),
                context(TIMELY_HEAD, params.head_weight),
            ],
        }
    }

    /// Reward per increment of effective balance that weights are parts of.
    #[must_use]
    pub const fn base_reward_per_increment(&self) -> Nano {
        self.base_reward_per_increment
    }

    /// Deltas of one validator for source, target, head and inactivity.
    #[must_use]
    pub fn deltas(&self, state: &State, params: &Params, index: ValidatorIndex) -> [Delta; 4] {
        if !state.is_eligible(index, self.previous) {
            return [Delta::default(); 4];
        }
        let effective = state.validators.effective_balance.at(index).copied().unwrap_or(0);
        let base =
            (effective / params.effective_balance_increment).saturating_mul(self.base_reward_per_increment);
        let [source, target, head] = self.flags.map(|context| {
            let weighted = base.saturating_mul(context.weight);
            if state.has_flag(index, context.flag, self.previous) {
                let parts = self.active_increments.saturating_mul(params.weight_denominator);
                let reward = mul_div_u64(weighted, context.increments, parts).unwrap_or(0);
                Delta { reward: if self.leak { 0 } else { reward }, penalty: 0 }
            } else if context.flag == TIMELY_HEAD {
                Delta::default()
            } else {
                Delta { reward: 0, penalty: weighted / params.weight_denominator }
            }
        });
        let inactivity = if state.has_flag(index, TIMELY_TARGET, self.previous) {
            Delta::default()
        } else {
            let score = state.inactivity_scores.at(index).copied().unwrap_or(0);
            let scale = params.inactivity_score_bias.saturating_mul(params.inactivity_penalty_quotient);
            Delta { reward: 0, penalty: mul_div_u64(effective, score, scale).unwrap_or(u64::MAX) }
        };
        [source, target, head, inactivity]
    }
}

/// Reward per increment of effective balance when `total` is active.
#[must_use]
pub fn base_reward_per_increment(params: &Params, total: Nano) -> Nano {
    let numerator = params.effective_balance_increment.saturating_mul(params.base_reward_factor);
    numerator.checked_div(total.isqrt()).unwrap_or(0)
}

/// Applies rewards and penalties; gives what each validator lost.
pub fn process(state: &mut State, params: &Params, writes: &mut AppWrites) -> Vec<Nano> {
    let count = state.validators.len();
    if state.current_epoch(params) == 0 {
        return vec![0; count];
    }
    let context = RewardContext::new(state, params);
    let (mut issued, mut burned) = (0u128, 0u128);
    let (mut balances, mut sums) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut lost = Vec::with_capacity(count);
    for (index, (balance, sum)) in (0..).zip(state.balances.iter().zip(state.reward_accum.iter())) {
        let (mut balance, mut sum, mut taken) = (*balance, *sum, 0u64);
        for delta in context.deltas(state, params, index) {
            balance = balance.saturating_add(delta.reward);
            sum = sum.saturating_add(delta.reward);
            issued += u128::from(delta.reward);
            let penalty = delta.penalty.min(balance);
            balance -= penalty;
            taken = taken.saturating_add(penalty);
        }
        burned += u128::from(taken);
        balances.push(balance);
        sums.push(sum);
        lost.push(taken);
    }
    state.balances = balances.into();
    state.reward_accum = sums.into();
    writes.issued += issued;
    writes.burned += burned;
    lost
}
