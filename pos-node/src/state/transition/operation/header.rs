//! The header of a block and its contribution to randomness. Mirrors `process_block_header` (as of Fulu) and
//! `process_randao`.

use super::{super::super::State, OperationError, Signed};
use crate::types::{
    domain::{DomainType, signing_root},
    operation::{BlockHeader, SignedHeader},
    params::Params,
    primitives::{Root, Signature},
    ssz::sha256,
};

/// Checks a header against a state advanced to its slot; the signature is left to verify.
///
/// # Errors
/// The rule that is broken.
pub fn check(state: &State, params: &Params, signed: &SignedHeader) -> Result<Signed, OperationError> {
    let header = &signed.header;
    if header.slot != state.slot {
        return Err(OperationError::HeaderSlot { block: header.slot, state: state.slot });
    }
    if header.slot <= state.latest_block_header.slot {
        return Err(OperationError::HeaderNotAfterParent);
    }
    if Some(header.proposer_index) != state.proposer(params, header.slot) {
        return Err(OperationError::HeaderProposer);
    }
    if header.parent_root != state.latest_block_root() {
        return Err(OperationError::HeaderParent);
    }
    match state.validators.slashed.at(header.proposer_index) {
        None => return Err(OperationError::UnknownValidator(header.proposer_index)),
        Some(true) => return Err(OperationError::HeaderProposerSlashed),
        Some(false) => {}
    }
    let domain = state.domain(DomainType::Proposer, params.epoch_of(header.slot));
    Ok(Signed {
        signers: vec![header.proposer_index],
        message: signing_root(header, domain),
        signature: signed.signature,
    })
}

/// Makes the header the state's last one; its state root stays zero until the next slot.
pub fn apply(state: &mut State, header: &BlockHeader) {
    state.latest_block_header = BlockHeader { state_root: Root::ZERO, ..*header };
}

/// What the proposer must have signed as its contribution to randomness.
#[must_use]
pub fn randao_signed(state: &State, params: &Params, header: &BlockHeader, reveal: &Signature) -> Signed {
    let epoch = state.current_epoch(params);
    Signed {
        signers: vec![header.proposer_index],
        message: signing_root(&epoch, state.domain(DomainType::Randao, epoch)),
        signature: *reveal,
    }
}

/// Mixes a verified contribution in.
pub fn apply_randao(state: &mut State, params: &Params, reveal: &Signature) {
    let at = state.current_epoch(params) % params.epochs_per_historical_vector;
    if let Some(mix) = state.randao_mixes.at_mut(at) {
        for (byte, fresh) in mix.0.iter_mut().zip(sha256(&reveal.0)) {
            *byte ^= fresh;
        }
    }
}
