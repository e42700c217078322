//! What is gossiped singly: votes, evidence of offences, exits.

use super::{Chain, Event};
use crate::{
    consensus::{finality::FinalityVoteError, fork_choice::VoteRefusal},
    state::transition::operation::{OperationError, Signed, exit, slashing},
    storage::{CertificateRow, Database},
    types::{
        codec::encode,
        domain::{DomainType, signing_root},
        operation::{
            AttesterSlashing, FinalitySlashing, ProposerSlashing, SignedFinalityVote, SignedVoluntaryExit,
            SingleAttestation,
        },
        primitives::ValidatorIndex,
    },
};
use std::collections::BTreeSet;

/// Votes kept for a slot that is not past.
const MAX_EARLY: usize = 1 << 16;

/// Why a vote is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It does not fit into the tree now.
    #[error("vote does not fit")]
    Place(#[from] VoteRefusal),
    /// Its slot has not begun.
    #[error("vote of a future slot")]
    Future,
    /// It names a committee other than 0.
    #[error("committee index {0}")]
    CommitteeIndex(u64),
    /// The voter is not in the committee of the slot.
    #[error("voter is not in the committee")]
    NotInCommittee,
    /// The signature is bad.
    #[error("bad signature")]
    Signature,
    /// The same vote was seen before.
    #[error("known vote")]
    Known,
    /// The voter's state is not at hand.
    #[error("state of the target is not at hand")]
    NoState,
}

impl VoteError {
    /// Whether an honest node could not have sent it.
    #[must_use]
    pub const fn is_offence(&self) -> bool {
        matches!(
            self,
            Self::CommitteeIndex(_)
                | Self::NotInCommittee
                | Self::Signature
                | Self::Place(
                    VoteRefusal::TargetSlot | VoteRefusal::BlockAfterSlot | VoteRefusal::TargetMismatch
                )
        )
    }

    /// Whether it may become good when a block arrives.
    #[must_use]
    pub const fn waits_for_block(&self) -> bool {
        matches!(self, Self::Place(VoteRefusal::UnknownBlock | VoteRefusal::UnknownTarget))
    }
}

/// Why an operation is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It breaks a rule in the head's state.
    #[error("invalid operation")]
    Invalid(#[from] OperationError),
    /// It was seen before, or there are too many.
    #[error("known operation")]
    Known,
}

impl<D: Database> Chain<D> {
    /// Takes in one vote.
    ///
    /// # Errors
    /// Why not.
    pub fn on_attestation(&mut self, vote: &SingleAttestation) -> Result<(), VoteError> {
        self.on_attestations(std::slice::from_ref(vote)).pop().unwrap_or(Err(VoteError::NoState))
    }

    /// Takes in votes whose signatures are verified together; gives a verdict for each.
    pub fn on_attestations(&mut self, votes: &[SingleAttestation]) -> Vec<Result<(), VoteError>> {
        let mut verdicts: Vec<Result<Signed, VoteError>> =
            votes.iter().map(|vote| self.check_vote(vote)).collect();
        let signed: Vec<Signed> =
            verdicts.iter().filter_map(|verdict| verdict.as_ref().ok().cloned()).collect();
        let verifier = self.verifier.clone();
        if let Some(state) = self.state(&self.head)
            && !signed.is_empty()
            && verifier.validators(&state, &signed).is_err()
        {
            for verdict in &mut verdicts {
                if let Ok(signed) = verdict
                    && verifier.validators(&state, std::slice::from_ref(signed)).is_err()
                {
                    *verdict = Err(VoteError::Signature);
                }
            }
        }
        let verdicts = verdicts.into_iter().zip(votes);
        verdicts.map(|(verdict, vote)| verdict.map(|_| self.take_vote(vote))).collect()
    }

    fn check_vote(&mut self, vote: &SingleAttestation) -> Result<Signed, VoteError> {
        let data = &vote.data;
        if data.index != 0 {
            return Err(VoteError::CommitteeIndex(data.index));
        }
        if data.slot > self.fork_choice.current_slot() {
            return Err(VoteError::Future);
        }
        match self.fork_choice.check_vote(data, false) {
            Ok(()) | Err(VoteRefusal::TooEarly) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        if self.slasher.knows(vote) {
            return Err(VoteError::Known);
        }
        let committees =
            self.committees(&data.beacon_block_root, data.target.epoch).ok_or(VoteError::NoState)?;
        if !committees.at(&self.config.params, data.slot).contains(&vote.attester_index) {
            return Err(VoteError::NotInCommittee);
        }
        let state = self.state(&data.beacon_block_root).ok_or(VoteError::NoState)?;
        Ok(Signed {
            signers: vec![vote.attester_index],
            message: signing_root(data, state.domain(DomainType::Attester, data.target.epoch)),
            signature: vote.signature,
        })
    }

    /// A verified vote counts from the slot after its own, and may be put into a block.
    fn take_vote(&mut self, vote: &SingleAttestation) {
        self.pool.add_vote(vote);
        let taken = self.fork_choice.on_attestation(&vote.data, &[vote.attester_index], false);
        if taken == Err(VoteRefusal::TooEarly) && self.early.len() < MAX_EARLY {
            self.early.push((vote.data, vote.attester_index));
        }
        if let Some(offence) = self.slasher.on_vote(vote) {
            self.fork_choice.on_equivocation([vote.attester_index]);
            if self.pool.add_attester_slashing(offence.clone()) {
                self.events.push(Event::AttesterOffence(Box::new(offence)));
            }
        }
    }

    /// Takes in evidence of two blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn on_proposer_slashing(&mut self, slashing: &ProposerSlashing) -> Result<(), EvidenceError> {
        let state = self.blocks.get(&self.head).map(|known| known.state.clone());
        let state = state.ok_or(EvidenceError::Known)?;
        let checked = slashing::check_proposer(&state, &self.config.params, slashing)?;
        self.verify(&state, &checked.signed)?;
        if self.pool.add_proposer_slashing(*slashing) { Ok(()) } else { Err(EvidenceError::Known) }
    }

    /// Takes in evidence of contradicting votes; the voters' votes count no more.
    ///
    /// # Errors
    /// Why not.
    pub fn on_attester_slashing(&mut self, slashing: &AttesterSlashing) -> Result<(), EvidenceError> {
        let state = self.state(&self.head).ok_or(EvidenceError::Known)?;
        let checked = slashing::check_attester(&state, &self.config.params, slashing)?;
        self.verify(&state, &checked.signed)?;
        let second = &slashing.attestation_2.attesting_indices;
        let both: BTreeSet<ValidatorIndex> = slashing
            .attestation_1
            .attesting_indices
            .iter()
            .filter(|index| second.binary_search(index).is_ok())
            .copied()
            .collect();
        self.fork_choice.on_equivocation(both);
        if self.pool.add_attester_slashing(slashing.clone()) { Ok(()) } else { Err(EvidenceError::Known) }
    }

    /// Takes in evidence of two finality votes.
    ///
    /// # Errors
    /// Why not.
    pub fn on_finality_slashing(&mut self, slashing: &FinalitySlashing) -> Result<(), EvidenceError> {
        let state = self.state(&self.head).ok_or(EvidenceError::Known)?;
        let checked = slashing::check_finality(&state, &self.config.params, slashing)?;
        self.verify(&state, &checked.signed)?;
        if self.pool.add_finality_slashing(*slashing) { Ok(()) } else { Err(EvidenceError::Known) }
    }

    /// Takes in a finality vote.
    ///
    /// # Errors
    /// Why not.
    pub fn on_finality_vote(&mut self, vote: &SignedFinalityVote) -> Result<(), FinalityVoteError> {
        let state = self.folded.1.clone();
        let taken = self.finality.on_vote(vote, &state, self.verifier.as_ref())?;
        if let Some(offence) = taken.offence
            && self.pool.add_finality_slashing(offence)
        {
            self.events.push(Event::FinalityOffence(Box::new(offence)));
        }
        if let (Some(cert), Some(due)) = (taken.cert, self.finality.due(vote.vote.epoch)) {
            self.certificates.push(CertificateRow {
                epoch: vote.vote.epoch,
                slot: self.config.params.start_slot(vote.vote.epoch),
                certificate: encode(&cert),
                signers_root: due.set.root,
                signers: encode(&due.set.list),
            });
            self.events.push(Event::Certificate(Box::new(cert)));
        }
        Ok(())
    }

    /// Takes in an exit.
    ///
    /// # Errors
    /// Why not.
    pub fn on_exit(&mut self, exit: &SignedVoluntaryExit) -> Result<(), EvidenceError> {
        let state = self.state(&self.head).ok_or(EvidenceError::Known)?;
        let signed = exit::check(&state, &self.config.params, self.config.genesis_fork_version, exit)?;
        self.verify(&state, std::slice::from_ref(&signed))?;
        if self.pool.add_exit(*exit) { Ok(()) } else { Err(EvidenceError::Known) }
    }

    fn verify(&self, state: &crate::state::State, signed: &[Signed]) -> Result<(), EvidenceError> {
        self.verifier.validators(state, signed).map_err(|_| OperationError::Signature.into())
    }
}
