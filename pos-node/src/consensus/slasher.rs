//! Finds offences among the votes and headers that were seen: two blocks for one slot, double votes, surrounding votes.
//! It remembers a bounded number of epochs.

use crate::types::{
    operation::{
        AttestationData, AttesterSlashing, IndexedAttestation, ProposerSlashing, SignedHeader,
        SingleAttestation,
    },
    params::Params,
    primitives::{Epoch, List, Signature, Slot, ValidatorIndex},
};
use std::collections::BTreeMap;

/// Epochs of votes and headers kept.
const WINDOW: Epoch = 64;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Slasher {
    votes: BTreeMap<ValidatorIndex, BTreeMap<Epoch, (AttestationData, Signature)>>,
    headers: BTreeMap<(Slot, ValidatorIndex), SignedHeader>,
}

impl Slasher {
    /// Notes a verified vote; gives the proof when it contradicts an older one.
    pub fn on_vote(&mut self, vote: &SingleAttestation) -> Option<AttesterSlashing> {
        let seen = self.votes.entry(vote.attester_index).or_default();
        let new = (vote.data, vote.signature);
        let contradicts = |(_, (old, _)): &(&Epoch, &(AttestationData, Signature))| {
            old.is_slashable_with(&vote.data) || vote.data.is_slashable_with(old)
        };
        let offence = seen.iter().find(contradicts).map(|(_, old)| *old);
        seen.entry(vote.data.target.epoch).or_insert(new);
        let old = offence?;
        let (first, second) = if new.0.is_slashable_with(&old.0) { (new, old) } else { (old, new) };
        let indexed = |(data, signature): (AttestationData, Signature)| {
            let attesting_indices = List::new(vec![vote.attester_index])?;
            Some(IndexedAttestation { attesting_indices, data, signature })
        };
        Some(AttesterSlashing { attestation_1: indexed(first)?, attestation_2: indexed(second)? })
    }

    /// Whether this very vote was seen.
    #[must_use]
    pub fn knows(&self, vote: &SingleAttestation) -> bool {
        let seen = self.votes.get(&vote.attester_index).and_then(|seen| seen.get(&vote.data.target.epoch));
        seen.is_some_and(|(data, _)| *data == vote.data)
    }

    /// Notes a header whose signature was verified; gives the proof when its proposer signed another for the slot.
    pub fn on_header(&mut self, header: &SignedHeader) -> Option<ProposerSlashing> {
        let duty = (header.header.slot, header.header.proposer_index);
        let first = *self.headers.entry(duty).or_insert(*header);
        (first.header != header.header)
            .then_some(ProposerSlashing { signed_header_1: first, signed_header_2: *header })
    }

    /// Forgets what is too old.
    pub fn prune(&mut self, params: &Params, current_epoch: Epoch) {
        let oldest = current_epoch.saturating_sub(WINDOW);
        for seen in self.votes.values_mut() {
            *seen = seen.split_off(&oldest);
        }
        self.votes.retain(|_, seen| !seen.is_empty());
        self.headers = self.headers.split_off(&(params.start_slot(oldest), 0));
    }
}
