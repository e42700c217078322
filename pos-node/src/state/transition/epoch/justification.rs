//! Justification and finality (step 1). Mirrors `process_justification_and_finalization` and
//! `weigh_justification_and_finalization`.

use super::super::super::{Finality, State, TIMELY_TARGET};
use crate::types::{
    operation::Checkpoint,
    params::Params,
    primitives::{Epoch, Nano},
};

/// What an epoch's votes weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// All active stake.
    pub total: Nano,
    /// Stake that voted for the previous epoch's checkpoint.
    pub previous_target: Nano,
    /// Stake that voted for the current epoch's checkpoint.
    pub current_target: Nano,
}

/// Updates the state's finality.
pub fn process(state: &mut State, params: &Params) {
    state.finality = unrealized(state, params);
}

/// The finality that the state's votes so far would give at the end of its epoch.
#[must_use]
pub fn unrealized(state: &State, params: &Params) -> Finality {
    let epoch = state.current_epoch(params);
    if epoch <= 1 {
        return state.finality;
    }
    let weights = Weights {
        total: state.total_active_balance(params, epoch),
        previous_target: target_balance(state, params, epoch - 1),
        current_target: target_balance(state, params, epoch),
    };
    let [previous, current] = [epoch - 1, epoch].map(|epoch| state.checkpoint(params, epoch));
    match (previous, current) {
        (Some(previous), Some(current)) => weigh(&state.finality, epoch, previous, current, &weights),
        // not at the end of an epoch that began before the state's slot: its own checkpoint is not in the ring yet
        (Some(previous), None) => {
            let current = Checkpoint { epoch, root: state.latest_block_root() };
            weigh(&state.finality, epoch, previous, current, &weights)
        }
        _ => state.finality,
    }
}

/// The four rules of finality on one epoch's weights.
#[must_use]
pub fn weigh(
    old: &Finality,
    epoch: Epoch,
    previous: Checkpoint,
    current: Checkpoint,
    weights: &Weights,
) -> Finality {
    let enough = |part: Nano| u128::from(weights.total) * 2 <= u128::from(part) * 3;
    let [a, b, c, _] = old.bits;
    let mut new = Finality { bits: [false, a, b, c], previous_justified: old.current_justified, ..*old };
    if enough(weights.previous_target) {
        new.current_justified = previous;
        new.bits[1] = true;
    }
    if enough(weights.current_target) {
        new.current_justified = current;
        new.bits[0] = true;
    }
    let [a, b, c, d] = new.bits;
    let follows = |checkpoint: &Checkpoint, distance| checkpoint.epoch.checked_add(distance) == Some(epoch);
    if b && c && d && follows(&old.previous_justified, 3) {
        new.finalized = old.previous_justified;
    }
    if b && c && follows(&old.previous_justified, 2) {
        new.finalized = old.previous_justified;
    }
    if a && b && c && follows(&old.current_justified, 2) {
        new.finalized = old.current_justified;
    }
    if a && b && follows(&old.current_justified, 1) {
        new.finalized = old.current_justified;
    }
    new
}

fn target_balance(state: &State, params: &Params, epoch: Epoch) -> Nano {
    state.total_balance(params, state.unslashed_participants(params, TIMELY_TARGET, epoch))
}
