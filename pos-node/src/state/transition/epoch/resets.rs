//! What an epoch leaves to the next: effective balances (step 9), rings (10, 11), participation (12), proposers (13).
//! Mirrors `process_effective_balance_updates`, `process_slashings_reset`, `process_randao_mixes_reset`,
//! `process_participation_flag_updates` and `process_proposer_lookahead`.

use super::super::super::{State, shuffle};
use crate::types::{
    domain::DomainType,
    params::Params,
    primitives::{Epoch, Nano, Slot, ValidatorIndex},
    ssz::sha256,
};
use rayon::prelude::*;

/// Fewest validators whose draws are worth more than one thread.
const WORTHWHILE: usize = 1024;

/// Moves effective balances that are too far from balances.
pub fn process_effective_balances(state: &mut State, params: &Params) {
    let increment = params.effective_balance_increment;
    let part = increment / params.hysteresis_quotient;
    let (down, up) = (part * params.hysteresis_downward, part * params.hysteresis_upward);
    let mut effective = state.validators.effective_balance.clone();
    effective.update(|index, value| {
        let balance = state.balances.at(index).copied().unwrap_or(0);
        let cap = state.validators.effective_cap.at(index).copied().unwrap_or(0);
        let far = balance.saturating_add(down) < *value || value.saturating_add(up) < balance;
        if far { (balance - balance % increment).min(cap) } else { *value }
    });
    state.validators.effective_balance = effective;
}

/// Clears the next epoch's place in the ring of slashings.
pub fn process_slashings_reset(state: &mut State, params: &Params) {
    let next = state.current_epoch(params).saturating_add(1);
    if let Some(sum) = state.slashings.at_mut(next % params.epochs_per_slashings_vector) {
        *sum = 0;
    }
}

/// Carries the randomness over to the next epoch's place.
pub fn process_randao_reset(state: &mut State, params: &Params) {
    let ring = params.epochs_per_historical_vector;
    let epoch = state.current_epoch(params);
    let mix = state.randao_mixes.at(epoch % ring).copied().unwrap_or_default();
    if let Some(next) = state.randao_mixes.at_mut(epoch.saturating_add(1) % ring) {
        *next = mix;
    }
}

/// Makes the current epoch's votes the previous ones.
pub fn process_participation(state: &mut State) {
    let fresh = vec![0; state.current_epoch_participation.len()].into();
    state.previous_epoch_participation = std::mem::replace(&mut state.current_epoch_participation, fresh);
}

/// Drops the past epoch's proposers and draws those of the epoch after the next.
pub fn process_proposer_lookahead(state: &mut State, params: &Params) {
    let epoch = state.current_epoch(params).saturating_add(params.min_seed_lookahead).saturating_add(1);
    let drawn = epoch_proposers(state, params, epoch);
    let per_epoch = drawn.len();
    let kept = state.proposer_lookahead.iter().skip(per_epoch).copied();
    state.proposer_lookahead = kept.chain(drawn).collect::<Vec<_>>().into();
}

/// The proposers that the state determines for an epoch.
#[must_use]
pub fn epoch_proposers(state: &State, params: &Params, epoch: Epoch) -> Vec<ValidatorIndex> {
    let active = state.validators.active_indices(epoch);
    let effective = |index| state.validators.effective_balance.at(index).copied().unwrap_or(0);
    let seed = state.seed(params, epoch, DomainType::Proposer);
    draw_proposers(params, epoch, &seed, &active, effective)
}

/// Draws one proposer per slot. Without any stake there is nobody to draw and the first validator stands in, who
/// cannot sign for a validator that is not active.
#[must_use]
pub fn draw_proposers(
    params: &Params,
    epoch: Epoch,
    seed: &[u8; 32],
    active: &[ValidatorIndex],
    effective_balance: impl Fn(ValidatorIndex) -> Nano + Copy + Sync,
) -> Vec<ValidatorIndex> {
    let start = params.start_slot(epoch);
    let slots: Vec<Slot> = (start..start.saturating_add(params.slots_per_epoch)).collect();
    let alone = if active.len() < WORTHWHILE { slots.len() } else { 1 };
    slots
        .par_iter()
        .with_min_len(alone)
        .map(|slot| {
            let seed = sha256(&[seed.as_slice(), &slot.to_le_bytes()].concat());
            let (rounds, max) = (params.shuffle_round_count, params.max_effective_balance);
            shuffle::proposer_index(active, effective_balance, &seed, rounds, max).unwrap_or(0)
        })
        .collect()
}
