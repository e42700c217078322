//! How much work a transaction is (ACP-103). Mirrors `vms/platformvm/txs/fee/complexity.go`.
//!
//! The bandwidth is that of the signed transaction when every signature asked for is there: it is computed from the
//! length of the unsigned bytes, which equals the reference's sum over fields for every transaction it prices.

use avalanche_codec::body;
use avalanche_vm::gas::{Dimensions, GasOverflow};

use super::UnsignedTx;
use crate::{
    fx::Signer,
    warp::{self, WarpError},
};

const VERSION_LEN: u64 = 2;
const CREDENTIAL_COUNT_LEN: u64 = 4;
/// Type id and count of signatures.
const CREDENTIAL_LEN: u64 = 8;
const SIGNATURE_LEN: u64 = 65;

const SIGNATURE_COMPUTE: u64 = 200;
const PROOF_COMPUTE: u64 = 1_050;
const WARP_READS: u64 = 23;
const WARP_COMPUTE: u64 = 1_000;
const WARP_COMPUTE_PER_SIGNER: u64 = 5;
const L1_VALIDATOR_WRITES: u64 = 4;

/// Why a transaction has no complexity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComplexityError {
    /// A kind that is not paid for by gas.
    #[error("unsupported transaction type")]
    UnsupportedTx,
    /// The warp message cannot be read.
    #[error("malformed warp message")]
    Warp(#[from] WarpError),
    /// A sum overflows.
    #[error("complexity overflows")]
    Overflow(#[from] GasOverflow),
}

/// The work of a transaction.
///
/// # Errors
/// As [`ComplexityError`] says.
pub fn complexity(tx: &UnsignedTx) -> Result<Dimensions, ComplexityError> {
    let (reads, writes, compute) = intrinsic(tx)?;
    let mut sum =
        Dimensions::new(length(body(tx).len()) + VERSION_LEN + CREDENTIAL_COUNT_LEN, reads, writes, compute);
    for input in tx.inputs() {
        sum = sum.checked_add(credential(input.input.transfer().input.sig_indices.len()))?;
        sum = sum.checked_add(Dimensions::new(0, 1, 1, 0))?;
    }
    sum = sum.checked_add(Dimensions::new(0, 0, length(tx.outputs().count()), 0))?;
    if let Some(auth) = tx.auth() {
        sum = sum.checked_add(credential(auth.input().sig_indices.len()))?;
    }
    if let UnsignedTx::RegisterL1Validator(_) | UnsignedTx::SetL1ValidatorWeight(_) = tx {
        sum = sum.checked_add(warp_message(tx)?)?;
    }
    Ok(sum)
}

/// Reads, writes and computation of a kind, with its signers and validators.
fn intrinsic(tx: &UnsignedTx) -> Result<(u64, u64, u64), ComplexityError> {
    let signer = |signer: &Signer| match signer {
        Signer::Empty(_) => 0,
        Signer::Proof(_) => PROOF_COMPUTE,
    };
    Ok(match tx {
        UnsignedTx::AddSubnetValidator(_) => (3, 3, 0),
        UnsignedTx::CreateChain(_) => (3, 1, 0),
        UnsignedTx::CreateSubnet(_) => (0, 1, 0),
        UnsignedTx::Import(_) | UnsignedTx::Export(_) | UnsignedTx::Base(_) => (0, 0, 0),
        UnsignedTx::RemoveSubnetValidator(_) => (1, 3, 0),
        UnsignedTx::AddPermissionlessValidator(tx) => (1, 3, signer(&tx.signer)),
        UnsignedTx::AddPermissionlessDelegator(_) => (1, 2, 0),
        UnsignedTx::TransferSubnetOwnership(_) => (1, 1, 0),
        UnsignedTx::ConvertSubnetToL1(tx) => {
            let validators = length(tx.validators.len());
            (3, 2 + validators * L1_VALIDATOR_WRITES, validators * PROOF_COMPUTE)
        }
        UnsignedTx::RegisterL1Validator(_) => (5, 6, PROOF_COMPUTE),
        UnsignedTx::SetL1ValidatorWeight(_) => (3, 5, 0),
        UnsignedTx::IncreaseL1ValidatorBalance(_) => (1, 5, 0),
        UnsignedTx::DisableL1Validator(_) => (1, 6, 0),
        UnsignedTx::AddAutoRenewedValidator(tx) => (0, 3, signer(&tx.signer)),
        UnsignedTx::SetAutoRenewedValidatorConfig(_) => (1, 1, 0),
        UnsignedTx::AddValidator(_)
        | UnsignedTx::AddDelegator(_)
        | UnsignedTx::AdvanceTime(_)
        | UnsignedTx::RewardValidator(_)
        | UnsignedTx::TransformSubnet(_)
        | UnsignedTx::RewardAutoRenewedValidator(_) => return Err(ComplexityError::UnsupportedTx),
    })
}

/// A credential with this many signatures, which is not part of the unsigned bytes.
fn credential(signatures: usize) -> Dimensions {
    let signatures = length(signatures);
    Dimensions::new(CREDENTIAL_LEN + signatures * SIGNATURE_LEN, 0, 0, signatures * SIGNATURE_COMPUTE)
}

fn warp_message(tx: &UnsignedTx) -> Result<Dimensions, ComplexityError> {
    let bytes = match tx {
        UnsignedTx::RegisterL1Validator(tx) => &tx.message,
        UnsignedTx::SetL1ValidatorWeight(tx) => &tx.message,
        _ => return Ok(Dimensions::default()),
    };
    let warp::Signature::BitSet(signature) = warp::Message::parse(bytes).map_err(WarpError::from)?.signature;
    let signers = length(signature.num_signers()?);
    Ok(Dimensions::new(0, WARP_READS, 0, WARP_COMPUTE + signers * WARP_COMPUTE_PER_SIGNER))
}

/// Lengths of things in memory fit 64 bits.
fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
