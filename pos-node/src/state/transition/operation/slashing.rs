//! Offences: two blocks, two contradicting votes, two finality votes. Mirrors `process_proposer_slashing` and
//! `process_attester_slashing`; finality slashings are this chain's own.

use super::{
    super::super::{AppWrites, State},
    OperationError, Signed,
};
use crate::types::{
    domain::{DomainType, signing_root},
    operation::{
        AttesterSlashing, FinalitySlashing, IndexedAttestation, ProposerSlashing, SignedFinalityVote,
        SignedHeader,
    },
    params::Params,
    primitives::ValidatorIndex,
};

/// An offence that passed every check but its signatures'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The two contradicting messages.
    pub signed: [Signed; 2],
    /// Whom to slash, in order; never empty.
    pub offenders: Vec<ValidatorIndex>,
}

impl Checked {
    /// Slashes the offenders; the proposer of the block is rewarded.
    pub fn apply(
        &self,
        state: &mut State,
        params: &Params,
        proposer: ValidatorIndex,
        writes: &mut AppWrites,
    ) {
        for offender in &self.offenders {
            state.slash(params, *offender, proposer, writes);
        }
    }
}

/// Checks the evidence of two blocks for one slot.
///
/// # Errors
/// The rule that is broken.
pub fn check_proposer(
    state: &State,
    params: &Params,
    slashing: &ProposerSlashing,
) -> Result<Checked, OperationError> {
    let (first, second) = (&slashing.signed_header_1, &slashing.signed_header_2);
    let same_duty = first.header.slot == second.header.slot
        && first.header.proposer_index == second.header.proposer_index;
    if !same_duty || first.header == second.header {
        return Err(OperationError::NoOffence);
    }
    let offender = slashable(state, params, first.header.proposer_index)?;
    let signed = |signed: &SignedHeader| Signed {
        signers: vec![offender],
        message: signing_root(
            &signed.header,
            state.domain(DomainType::Proposer, params.epoch_of(signed.header.slot)),
        ),
        signature: signed.signature,
    };
    Ok(Checked { signed: [signed(first), signed(second)], offenders: vec![offender] })
}

/// Checks the evidence of contradicting votes.
///
/// # Errors
/// The rule that is broken.
pub fn check_attester(
    state: &State,
    params: &Params,
    slashing: &AttesterSlashing,
) -> Result<Checked, OperationError> {
    let (first, second) = (&slashing.attestation_1, &slashing.attestation_2);
    if !first.data.is_slashable_with(&second.data) {
        return Err(OperationError::NoOffence);
    }
    let signed = [check_indexed(state, first)?, check_indexed(state, second)?];
    let epoch = state.current_epoch(params);
    let offenders: Vec<_> = first
        .attesting_indices
        .iter()
        .filter(|index| second.attesting_indices.binary_search(index).is_ok())
        .filter(|index| state.validators.is_slashable(**index, epoch))
        .copied()
        .collect();
    if offenders.is_empty() {
        return Err(OperationError::NobodyToSlash);
    }
    Ok(Checked { signed, offenders })
}

/// Checks the evidence of two finality votes for one epoch.
///
/// # Errors
/// The rule that is broken.
pub fn check_finality(
    state: &State,
    params: &Params,
    slashing: &FinalitySlashing,
) -> Result<Checked, OperationError> {
    let (first, second) = (&slashing.vote_1, &slashing.vote_2);
    let same_duty = first.validator_index == second.validator_index && first.vote.epoch == second.vote.epoch;
    if !same_duty || first.vote == second.vote {
        return Err(OperationError::NoOffence);
    }
    let offender = slashable(state, params, first.validator_index)?;
    let signed = |signed: &SignedFinalityVote| Signed {
        signers: vec![offender],
        message: signing_root(&signed.vote, state.domain(DomainType::FinalityVote, signed.vote.epoch)),
        signature: signed.signature,
    };
    Ok(Checked { signed: [signed(first), signed(second)], offenders: vec![offender] })
}

/// Checks that the voters of a vote are in order and known; its signature is left to verify. Mirrors
/// `is_valid_indexed_attestation`.
///
/// # Errors
/// The rule that is broken.
pub fn check_indexed(state: &State, attestation: &IndexedAttestation) -> Result<Signed, OperationError> {
    let indices = &attestation.attesting_indices;
    if indices.is_empty() {
        return Err(OperationError::NoVoter);
    }
    if !indices.is_sorted_by(|a, b| a < b) {
        return Err(OperationError::VoterOrder);
    }
    if let Some(unknown) = indices.iter().find(|index| state.validators.pubkey.at(**index).is_none()) {
        return Err(OperationError::UnknownValidator(*unknown));
    }
    let data = &attestation.data;
    Ok(Signed {
        signers: indices.to_vec(),
        message: signing_root(data, state.domain(DomainType::Attester, data.target.epoch)),
        signature: attestation.signature,
    })
}

fn slashable(
    state: &State,
    params: &Params,
    index: ValidatorIndex,
) -> Result<ValidatorIndex, OperationError> {
    if state.validators.pubkey.at(index).is_none() {
        return Err(OperationError::UnknownValidator(index));
    }
    if state.validators.is_slashable(index, state.current_epoch(params)) {
        Ok(index)
    } else {
        Err(OperationError::NobodyToSlash)
    }
}
