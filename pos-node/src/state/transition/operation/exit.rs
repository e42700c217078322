//! Voluntary exits. Mirrors `process_voluntary_exit` as of Deneb (the signature is bound to the genesis version), without
//! the reference's condition on partial withdrawals, which this chain does not have.

use super::{super::super::State, OperationError, Signed};
use crate::types::{
    domain::{DomainType, domain, signing_root},
    operation::SignedVoluntaryExit,
    params::Params,
    primitives::{FAR_FUTURE, ForkVersion, ValidatorIndex},
};

/// Checks an exit signed by the validator itself.
///
/// # Errors
/// The rule that is broken.
pub fn check(
    state: &State,
    params: &Params,
    genesis_version: ForkVersion,
    signed: &SignedVoluntaryExit,
) -> Result<Signed, OperationError> {
    let exit = &signed.exit;
    let epoch = state.current_epoch(params);
    check_conditions(state, params, exit.validator_index)?;
    if epoch < exit.epoch {
        return Err(OperationError::ExitEpoch(exit.epoch));
    }
    let domain = domain(DomainType::Exit.bytes(), genesis_version, state.genesis_validators_root);
    Ok(Signed {
        signers: vec![exit.validator_index],
        message: signing_root(exit, domain),
        signature: signed.signature,
    })
}

/// Checks what an exit needs however it was asked for.
///
/// # Errors
/// The rule that is broken.
pub fn check_conditions(state: &State, params: &Params, index: ValidatorIndex) -> Result<(), OperationError> {
    let validator = state.validators.get(index).ok_or(OperationError::UnknownValidator(index))?;
    let epoch = state.current_epoch(params);
    if !state.validators.is_active(index, epoch) {
        return Err(OperationError::NotActive);
    }
    if validator.exit_epoch != FAR_FUTURE {
        return Err(OperationError::AlreadyExiting);
    }
    if epoch < validator.activation_epoch.saturating_add(params.min_active_epochs_before_exit) {
        return Err(OperationError::NotActiveLongEnough);
    }
    Ok(())
}
