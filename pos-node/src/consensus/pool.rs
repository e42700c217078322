//! Operations that wait for a block: votes seen singly, evidence of offences, exits. What goes into a block is checked
//! against that block's state; nothing here is taken on trust.

use crate::{
    state::{
        State, TIMELY_HEAD, TIMELY_SOURCE, TIMELY_TARGET,
        access::Committees,
        transition::operation::{attestation, exit, slashing},
        verifier::Verifier,
    },
    types::{
        block::{
            Body, MAX_ATTESTATIONS, MAX_ATTESTER_SLASHINGS, MAX_FINALITY_SLASHINGS, MAX_PROPOSER_SLASHINGS,
            MAX_VOLUNTARY_EXITS,
        },
        operation::{
            Attestation, AttestationData, AttesterSlashing, FinalitySlashing, ProposerSlashing,
            SignedVoluntaryExit, SingleAttestation,
        },
        params::Config,
        primitives::{Bitlist, Epoch, List, Signature, ValidatorIndex},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Most entries of each kind of evidence kept.
const MAX_EVIDENCE: usize = 1024;

/// The operations.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    votes: BTreeMap<AttestationData, BTreeMap<ValidatorIndex, Signature>>,
    proposer_slashings: BTreeMap<ValidatorIndex, ProposerSlashing>,
    attester_slashings: Vec<AttesterSlashing>,
    finality_slashings: BTreeMap<ValidatorIndex, FinalitySlashing>,
    exits: BTreeMap<ValidatorIndex, SignedVoluntaryExit>,
}

impl Pool {
    /// Keeps a verified vote.
    pub fn add_vote(&mut self, vote: &SingleAttestation) {
        self.votes.entry(vote.data).or_default().insert(vote.attester_index, vote.signature);
    }

    /// Keeps evidence of two blocks; true when it is new.
    pub fn add_proposer_slashing(&mut self, slashing: ProposerSlashing) -> bool {
        let offender = slashing.signed_header_1.header.proposer_index;
        self.proposer_slashings.len() < MAX_EVIDENCE
            && self.proposer_slashings.insert(offender, slashing).is_none()
    }

    /// Keeps evidence of contradicting votes; true when it is new.
    pub fn add_attester_slashing(&mut self, slashing: AttesterSlashing) -> bool {
        let fresh =
            self.attester_slashings.len() < MAX_EVIDENCE && !self.attester_slashings.contains(&slashing);
        if fresh {
            self.attester_slashings.push(slashing);
        }
        fresh
    }

    /// Keeps evidence of two finality votes; true when it is new.
    pub fn add_finality_slashing(&mut self, slashing: FinalitySlashing) -> bool {
        let offender = slashing.vote_1.validator_index;
        self.finality_slashings.len() < MAX_EVIDENCE
            && self.finality_slashings.insert(offender, slashing).is_none()
    }

    /// Keeps an exit; true when it is new.
    pub fn add_exit(&mut self, exit: SignedVoluntaryExit) -> bool {
        self.exits.len() < MAX_EVIDENCE && self.exits.insert(exit.exit.validator_index, exit).is_none()
    }

    /// Forgets votes too old for any block, and evidence against those who can be punished no more in `state`, which
    /// is the final one.
    pub fn prune(&mut self, state: &State, current_epoch: Epoch) {
        self.votes.retain(|data, _| data.target.epoch.saturating_add(1) >= current_epoch);
        let open = |index: &ValidatorIndex| state.validators.is_slashable(*index, current_epoch);
        self.proposer_slashings.retain(|index, _| open(index));
        self.finality_slashings.retain(|index, _| open(index));
        self.attester_slashings.retain(|slashing| {
            let second = &slashing.attestation_2.attesting_indices;
            let both = |index: &&ValidatorIndex| second.binary_search(index).is_ok();
            slashing.attestation_1.attesting_indices.iter().filter(both).any(open)
        });
        self.exits.retain(|index, _| !state.validators.is_exiting(*index));
    }

    /// Fills a body with what is valid in `state`, which was advanced to the block's slot. `committees` are those of
    /// the previous and the current epoch.
    pub fn fill(
        &self,
        body: &mut Body,
        state: &State,
        config: &Config,
        committees: &[&Committees],
        verifier: &dyn Verifier,
    ) {
        let params = &config.params;
        let mut slashed = BTreeSet::new();
        let mut evidence = Vec::new();
        for slashing in self.proposer_slashings.values() {
            let Ok(checked) = slashing::check_proposer(state, params, slashing) else { continue };
            if evidence.len() < MAX_PROPOSER_SLASHINGS && slashed.is_disjoint(&set(&checked.offenders)) {
                slashed.extend(checked.offenders);
                evidence.push(*slashing);
            }
        }
        body.proposer_slashings = List::new(evidence).unwrap_or_else(List::empty);
        let mut evidence = Vec::new();
        for slashing in &self.attester_slashings {
            let Ok(checked) = slashing::check_attester(state, params, slashing) else { continue };
            if evidence.len() < MAX_ATTESTER_SLASHINGS && slashed.is_disjoint(&set(&checked.offenders)) {
                slashed.extend(checked.offenders);
                evidence.push(slashing.clone());
            }
        }
        body.attester_slashings = List::new(evidence).unwrap_or_else(List::empty);
        let mut evidence = Vec::new();
        for slashing in self.finality_slashings.values() {
            let Ok(checked) = slashing::check_finality(state, params, slashing) else { continue };
            if evidence.len() < MAX_FINALITY_SLASHINGS && slashed.is_disjoint(&set(&checked.offenders)) {
                slashed.extend(checked.offenders);
                evidence.push(*slashing);
            }
        }
        body.finality_slashings = List::new(evidence).unwrap_or_else(List::empty);
        let exits = self.exits.values().filter(|exit| {
            !slashed.contains(&exit.exit.validator_index)
                && exit::check(state, params, config.genesis_fork_version, exit).is_ok()
        });
        body.voluntary_exits =
            List::new(exits.take(MAX_VOLUNTARY_EXITS).copied().collect()).unwrap_or_else(List::empty);
        body.attestations =
            List::new(self.best_votes(state, config, committees, verifier)).unwrap_or_else(List::empty);
    }

    /// Votes that add flags, those that add most first.
    fn best_votes(
        &self,
        state: &State,
        config: &Config,
        committees: &[&Committees],
        verifier: &dyn Verifier,
    ) -> Vec<Attestation> {
        let params = &config.params;
        let mut ranked = Vec::new();
        for (data, votes) in &self.votes {
            let delay = state.slot.saturating_sub(data.slot);
            let Some(flags) = state.participation_flags(params, data, delay).filter(|_| delay > 0) else {
                continue;
            };
            let current = data.target.epoch == state.current_epoch(params);
            let column = if current {
                &state.current_epoch_participation
            } else {
                &state.previous_epoch_participation
            };
            let gain: u64 = votes
                .keys()
                .map(|index| weight(flags & !column.at(*index).copied().unwrap_or(u8::MAX)))
                .sum();
            if gain > 0 {
                ranked.push((gain, data, votes));
            }
        }
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let aggregates = ranked.into_iter().filter_map(|(_, data, votes)| {
            let of_epoch = |committees: &&&Committees| committees.epoch() == data.target.epoch;
            let committee = committees.iter().find(of_epoch)?.at(params, data.slot);
            let attestation = aggregate(data, committee, votes, verifier)?;
            attestation::check(state, params, &attestation, committee).is_ok().then_some(attestation)
        });
        aggregates.take(MAX_ATTESTATIONS).collect()
    }
}

/// One vote of all members of a committee that signed it.
fn aggregate(
    data: &AttestationData,
    committee: &[ValidatorIndex],
    votes: &BTreeMap<ValidatorIndex, Signature>,
    verifier: &dyn Verifier,
) -> Option<Attestation> {
    let given: Vec<Option<&Signature>> = committee.iter().map(|member| votes.get(member)).collect();
    let bits: Vec<bool> = given.iter().map(Option::is_some).collect();
    let signatures: Vec<Signature> = given.into_iter().flatten().copied().collect();
    Some(Attestation {
        aggregation_bits: Bitlist::from_bools(&bits)?,
        data: *data,
        signature: verifier.aggregate(&signatures)?,
    })
}

/// Rough worth of participation flags.
fn weight(flags: u8) -> u64 {
    let bit = |flag: u8| u64::from(flags >> flag & 1);
    14 * bit(TIMELY_SOURCE) + 26 * bit(TIMELY_TARGET) + 14 * bit(TIMELY_HEAD)
}

fn set(indices: &[ValidatorIndex]) -> BTreeSet<ValidatorIndex> {
    indices.iter().copied().collect()
}
