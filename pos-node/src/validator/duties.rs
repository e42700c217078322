//! When the validators of this node are due, once each; and the wait at the start in which a second instance of a key
//! would show itself. Mirrors the assignments of `specs/phase0/validator.md` and Lighthouse's doppelganger service.
//!
//! Not here: what is signed ([`super::vault`]) and what is proposed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    state::State,
    types::{
        params::Params,
        primitives::{Epoch, PublicKey, Slot, ValidatorIndex},
    },
};

/// Epochs a key is watched before it signs: votes of the epoch before the start may still arrive in the first.
pub const DOPPELGANGER_EPOCHS: Epoch = 2;

/// The validators of a node and what they have done.
#[derive(Debug, Clone)]
pub struct Duties {
    keys: BTreeSet<PublicKey>,
    /// Keys with an index in the registry.
    indices: BTreeMap<ValidatorIndex, PublicKey>,
    /// First epoch in which anything may be signed.
    signs_from: Epoch,
    /// Validators whose keys are used elsewhere; they never sign here again.
    doubles: BTreeSet<ValidatorIndex>,
    voted: BTreeSet<(Epoch, ValidatorIndex)>,
    proposed: BTreeSet<Slot>,
    finality_voted: BTreeSet<Epoch>,
}

impl Duties {
    /// Duties of these keys. With `watch`, nothing is signed before the second epoch after `now` has begun.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, watch: Option<Epoch>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            indices: BTreeMap::new(),
            signs_from: watch.map_or(0, |now| now.saturating_add(DOPPELGANGER_EPOCHS)),
            doubles: BTreeSet::new(),
            voted: BTreeSet::new(),
            proposed: BTreeSet::new(),
            finality_voted: BTreeSet::new(),
        }
    }

    /// Whether there is nothing to do ever.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Validators with their keys, as far as the registry knows them.
    #[must_use]
    pub const fn validators(&self) -> &BTreeMap<ValidatorIndex, PublicKey> {
        &self.indices
    }

    /// First epoch in which anything may be signed.
    #[must_use]
    pub const fn signs_from(&self) -> Epoch {
        self.signs_from
    }

    /// Looks up which validators are ours, and forgets what is long past. Once an epoch is often enough.
    pub fn learn(&mut self, params: &Params, state: &State) {
        let found = |key: &PublicKey| state.validators.index_of(key).map(|index| (index, *key));
        self.indices = self.keys.iter().filter_map(found).collect();
        let epoch = state.current_epoch(params);
        let oldest = epoch.saturating_sub(2);
        self.voted = self.voted.split_off(&(oldest, 0));
        self.proposed = self.proposed.split_off(&params.start_slot(oldest));
        self.finality_voted = self.finality_voted.split_off(&epoch.saturating_sub(64));
    }

    /// The key of a validator that may sign in `epoch`.
    #[must_use]
    pub fn signer(&self, index: ValidatorIndex, epoch: Epoch) -> Option<PublicKey> {
        let may = epoch >= self.signs_from && !self.doubles.contains(&index);
        if may { self.indices.get(&index).copied() } else { None }
    }

    /// The key that must propose in a slot, once: `None` when the proposer is not ours or has proposed.
    #[must_use]
    pub fn proposal(&mut self, params: &Params, slot: Slot, proposer: ValidatorIndex) -> Option<PublicKey> {
        let key = self.signer(proposer, params.epoch_of(slot))?;
        self.proposed.insert(slot).then_some(key)
    }

    /// Those of a slot's committee that are ours and have not voted in its epoch, with their keys; each comes once.
    #[must_use]
    pub fn votes(
        &mut self,
        params: &Params,
        slot: Slot,
        committee: &[ValidatorIndex],
    ) -> Vec<(ValidatorIndex, PublicKey)> {
        let epoch = params.epoch_of(slot);
        let mut signers: Vec<_> =
            committee.iter().filter_map(|index| Some((*index, self.signer(*index, epoch)?))).collect();
        signers.retain(|(index, _)| self.voted.insert((epoch, *index)));
        signers
    }

    /// Whether finality votes of a checkpoint's epoch are due; true once.
    pub fn finality_votes(&mut self, epoch: Epoch) -> bool {
        self.finality_voted.insert(epoch)
    }

    /// A message signed by a validator for a slot has come from outside. While ours wait, it can only be from another
    /// instance with the same key; that key is not used here any more and `true` says so.
    pub fn heard(&mut self, params: &Params, index: ValidatorIndex, slot: Slot) -> bool {
        let epoch = params.epoch_of(slot);
        let started = self.signs_from.saturating_sub(DOPPELGANGER_EPOCHS);
        let waiting = epoch < self.signs_from && epoch > started;
        waiting && self.indices.contains_key(&index) && self.doubles.insert(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::{Pool, registry::Validator},
        types::primitives::{Address, FAR_FUTURE},
    };

    fn key(at: u8) -> PublicKey {
        PublicKey([at; 48])
    }

    fn state(params: &Params, epoch: Epoch) -> State {
        let mut state = State::empty(params);
        for at in 0..16 {
            let validator = Validator {
                pubkey: key(at),
                owner: Address::ZERO,
                effective_balance: params.min_activation_balance,
                slashed: false,
                activation_eligibility_epoch: 0,
                activation_epoch: 0,
                exit_epoch: FAR_FUTURE,
                withdrawable_epoch: FAR_FUTURE,
                effective_cap: params.max_effective_balance,
            };
            state.push_validator(&validator, params.min_activation_balance, Pool::default());
        }
        state.slot = params.start_slot(epoch);
        state
    }

    #[test]
    fn every_validator_votes_once_an_epoch() {
        let params = Params::minimal();
        let mut duties = Duties::new([key(3), key(4)], None);
        duties.learn(&params, &state(&params, 3));
        let first = params.start_slot(3);
        assert_eq!(duties.votes(&params, first, &[2, 3]), [(3, key(3))]);
        assert_eq!(duties.votes(&params, first + 1, &[4, 3]), [(4, key(4))], "not twice in an epoch");
        assert_eq!(duties.votes(&params, first + 8, &[3]), [(3, key(3))]);
    }

    #[test]
    fn a_slot_is_proposed_once_and_by_our_keys_only() {
        let params = Params::minimal();
        let mut duties = Duties::new([key(3), key(200)], None);
        duties.learn(&params, &state(&params, 0));
        assert_eq!(duties.proposal(&params, 5, 4), None);
        assert_eq!(duties.proposal(&params, 5, 3), Some(key(3)));
        assert_eq!(duties.proposal(&params, 5, 3), None);
    }

    #[test]
    fn a_watched_key_signs_after_two_epochs_and_never_when_it_was_heard() {
        let params = Params::minimal();
        let mut duties = Duties::new([key(3), key(4)], Some(10));
        duties.learn(&params, &state(&params, 10));
        assert!(!duties.heard(&params, 3, params.start_slot(10)), "its own votes before the restart");
        assert!(!duties.heard(&params, 9, params.start_slot(11)), "not ours");
        assert!(duties.heard(&params, 4, params.start_slot(11)));
        assert!(!duties.heard(&params, 4, params.start_slot(11)), "told once");
        assert_eq!(duties.signer(3, 11), None);
        assert_eq!(duties.signer(3, 12), Some(key(3)));
        assert_eq!(duties.signer(4, 12), None);
        assert!(!duties.heard(&params, 3, params.start_slot(12)), "that is this instance itself");
    }
}
