//! Activations and ejections (step 4) and the correlation penalty (step 5). Mirrors `process_registry_updates` and
//! `process_slashings` of `specs/electra/beacon-chain.md`.

use super::super::super::{AppWrites, State};
use crate::types::{params::Params, primitives::FAR_FUTURE};

/// Moves validators into the activation queue, out of it, and out of the active set.
pub fn process(state: &mut State, params: &Params) {
    let epoch = state.current_epoch(params);
    let activation = params.activation_exit_epoch(epoch);
    let churn = state.activation_exit_churn_limit(params);
    for index in (0..).take(state.validators.len()) {
        let Some(validator) = state.validators.get(index) else { continue };
        if validator.activation_eligibility_epoch == FAR_FUTURE
            && validator.effective_balance >= params.min_activation_balance
        {
            if let Some(eligibility) = state.validators.activation_eligibility_epoch.at_mut(index) {
                *eligibility = epoch.saturating_add(1);
            }
        } else if state.validators.is_active(index, epoch)
            && validator.effective_balance <= params.ejection_balance
        {
            state.initiate_exit_within(params, index, churn);
        } else if validator.activation_epoch == FAR_FUTURE
            && validator.activation_eligibility_epoch <= state.finality.finalized.epoch
            && let Some(slot) = state.validators.activation_epoch.at_mut(index)
        {
            *slot = activation;
        }
    }
}

/// Takes from each validator slashed half a ring ago a part of its stake that grows with everybody else's slashing.
pub fn process_slashings(state: &mut State, params: &Params, writes: &mut AppWrites) {
    let epoch = state.current_epoch(params);
    let total = state.total_active_balance(params, epoch);
    let slashed_sum = state.slashings.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
    let adjusted = slashed_sum.saturating_mul(params.proportional_slashing_multiplier).min(total);
    let increment = params.effective_balance_increment;
    let per_increment = adjusted.checked_div(total / increment).unwrap_or(0);
    let due = epoch.saturating_add(params.epochs_per_slashings_vector / 2);
    for index in (0..).take(state.validators.len()) {
        let Some(validator) = state.validators.get(index) else { continue };
        if validator.slashed && validator.withdrawable_epoch == due {
            let penalty = per_increment.saturating_mul(validator.effective_balance / increment);
            state.penalize(index, penalty, writes);
        }
    }
}
