//! Votes in blocks. Mirrors `process_attestation` of `specs/electra/beacon-chain.md` with one committee per slot.

use super::{
    super::super::{AppWrites, State},
    OperationError, Signed,
};
use crate::types::{
    domain::{DomainType, signing_root},
    operation::{Attestation, AttestationData},
    params::Params,
    primitives::{Nano, ValidatorIndex},
};

/// A vote that passed every check but its signature's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Who voted and what they signed; signers are in committee order.
    pub signed: Signed,
    /// The common vote.
    pub data: AttestationData,
    flags: u8,
}

/// Checks a vote against the state of the block it is in and the committee of its slot.
///
/// # Errors
/// The rule that is broken.
pub fn check(
    state: &State,
    params: &Params,
    attestation: &Attestation,
    committee: &[ValidatorIndex],
) -> Result<Checked, OperationError> {
    let data = attestation.data;
    let bits = &attestation.aggregation_bits;
    if data.target.epoch != state.current_epoch(params) && data.target.epoch != state.previous_epoch(params) {
        return Err(OperationError::TargetEpoch(data.target.epoch));
    }
    if data.target.epoch != params.epoch_of(data.slot) {
        return Err(OperationError::TargetSlot);
    }
    let delay = match state.slot.checked_sub(data.slot) {
        None | Some(0) => return Err(OperationError::TooEarly),
        Some(delay) => delay,
    };
    if data.index != 0 {
        return Err(OperationError::CommitteeIndex(data.index));
    }
    if bits.len() != committee.len() {
        return Err(OperationError::CommitteeSize { bits: bits.len(), members: committee.len() });
    }
    let signers: Vec<_> =
        committee.iter().zip(bits.iter()).filter(|(_, set)| *set).map(|(member, _)| *member).collect();
    if signers.is_empty() {
        return Err(OperationError::NoVoter);
    }
    let flags = state.participation_flags(params, &data, delay).ok_or(OperationError::Source)?;
    let message = signing_root(&data, state.domain(DomainType::Attester, data.target.epoch));
    Ok(Checked { signed: Signed { signers, message, signature: attestation.signature }, data, flags })
}

/// Sets the voters' new flags and pays the proposer for them. `base_reward_per_increment` is that of the block's epoch.
pub fn apply(
    state: &mut State,
    params: &Params,
    checked: &Checked,
    proposer: ValidatorIndex,
    base_reward_per_increment: Nano,
    writes: &mut AppWrites,
) {
    let current = checked.data.target.epoch == state.current_epoch(params);
    let weights = [params.source_weight, params.target_weight, params.head_weight];
    let mut numerator = 0u128;
    for signer in &checked.signed.signers {
        let column = if current {
            &mut state.current_epoch_participation
        } else {
            &mut state.previous_epoch_participation
        };
        let Some(had) = column.at(*signer).copied() else { continue };
        let fresh = checked.flags & !had;
        if fresh == 0 {
            continue;
        }
        if let Some(flags) = column.at_mut(*signer) {
            *flags |= fresh;
        }
        let effective = state.validators.effective_balance.at(*signer).copied().unwrap_or(0);
        let base = u128::from(effective / params.effective_balance_increment)
            * u128::from(base_reward_per_increment);
        let weight: u64 =
            (0u8..).zip(weights).filter(|(flag, _)| fresh >> flag & 1 == 1).map(|(_, weight)| weight).sum();
        numerator = numerator.saturating_add(base.saturating_mul(u128::from(weight)));
    }
    let others = params.weight_denominator - params.proposer_weight;
    let denominator = u128::from(others * params.weight_denominator / params.proposer_weight);
    let reward = numerator.checked_div(denominator).and_then(|reward| u64::try_from(reward).ok());
    state.reward(proposer, reward.unwrap_or(0), writes);
}
