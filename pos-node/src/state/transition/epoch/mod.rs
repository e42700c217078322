//! The end of an epoch, step by step in the order that consensus fixes. No step can fail: an overflow here would stop
//! the chain, so sums saturate where the supply bound already makes them fit. Mirrors `process_epoch` of
//! `specs/electra/beacon-chain.md` and `specs/fulu/beacon-chain.md`; commission and unbondings are this chain's own.

pub mod justification;
#[cfg(test)]
mod naive;
pub mod pools;
pub mod registry;
pub mod resets;
pub mod rewards;

use super::super::{AppWrites, Registration, State};
use crate::types::{params::Params, primitives::PublicKey};

/// Where registrations are looked up: a part of the application state.
pub trait Registrations {
    /// What was registered for a key.
    fn registration(&self, pubkey: &PublicKey) -> Option<Registration>;
}

impl<F: Fn(&PublicKey) -> Option<Registration>> Registrations for F {
    fn registration(&self, pubkey: &PublicKey) -> Option<Registration> {
        self(pubkey)
    }
}

/// Runs every step at the end of the state's epoch; the slot is not advanced.
pub fn process(
    state: &mut State,
    params: &Params,
    registrations: &impl Registrations,
    writes: &mut AppWrites,
) {
    justification::process(state, params);
    rewards::process_inactivity(state, params);
    let penalties = rewards::process(state, params, writes);
    registry::process(state, params);
    registry::process_slashings(state, params, writes);
    pools::process_commission(state, &penalties);
    pools::process_pending_deposits(state, params, registrations, writes);
    pools::process_unbondings(state, params, writes);
    resets::process_effective_balances(state, params);
    resets::process_slashings_reset(state, params);
    resets::process_randao_reset(state, params);
    resets::process_participation(state);
    resets::process_proposer_lookahead(state, params);
}
