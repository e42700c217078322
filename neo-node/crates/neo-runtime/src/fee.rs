//! The network fee that a transaction needs before it is signed. Mirrors `CalculateNetworkFee` of `Wallets/Helper.cs`.

use std::sync::Arc;

use neo_base::{
    account::{parse_multisig_script, parse_signature_script},
    codec::Wire,
    ledger::{Attribute, Transaction, Witness},
};
use neo_contract::{
    ProtocolSettings,
    engine::{EngineError, Store},
    native::{ledger, policy},
};

use crate::verify::{MAX_VERIFICATION_GAS, Signed, VerifyError, verify_witness};

/// Bytes of a script that pushes one signature.
const SIGNATURE: usize = 66;

/// Price of the check of one signature, without the fee factor.
const CHECK_PRICE: u64 = 1 << 15;

/// Price of pushing bytes, without the fee factor.
const PUSH_PRICE: u64 = 8;

/// The fee in datoshi: for the bytes with all signatures, for attributes, and for checking the witnesses, whose
/// verification scripts must be there. Contracts are asked.
///
/// # Errors
/// The state cannot be read, or a contract does not agree.
pub fn network_fee<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    tx: &Arc<Transaction>,
) -> Result<i64, VerifyError> {
    let height = ledger::current_index(store)?;
    let factor = policy::exec_fee_factor(store, &settings.forks, height)?;
    let (mut checks, mut witnesses) = (0_u64, 0_usize);
    for (signer, witness) in tx.body().signers.iter().zip(tx.witnesses()) {
        let (price, signatures) = if parse_signature_script(&witness.verification).is_some() {
            (PUSH_PRICE.saturating_mul(2).saturating_add(CHECK_PRICE).saturating_mul(factor), 1)
        } else if let Some((m, keys)) = parse_multisig_script(&witness.verification) {
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let pushes =
                PUSH_PRICE.saturating_mul(count(m).saturating_add(count(keys.len()))).saturating_add(2);
            let price = pushes.saturating_add(CHECK_PRICE.saturating_mul(count(keys.len())));
            (price.saturating_mul(factor), m)
        } else {
            let signed = Signed::Transaction(Arc::clone(tx));
            let gas =
                verify_witness(settings, store, &signed, &signer.account, witness, MAX_VERIFICATION_GAS)?;
            checks = checks.saturating_add(gas);
            witnesses = witnesses.saturating_add(witness.to_bytes().len());
            continue;
        };
        checks = checks.saturating_add(price);
        let invocation = vec![0; signatures.saturating_mul(SIGNATURE)];
        let full = Witness { invocation, verification: witness.verification.clone() };
        witnesses = witnesses.saturating_add(full.to_bytes().len());
    }
    let unsigned = Transaction::new(tx.body().clone(), Vec::new()).size();
    let size = i64::try_from(unsigned.saturating_add(witnesses)).unwrap_or(i64::MAX);
    let bytes = size.saturating_mul(policy::fee_per_byte(store)?);
    let attributes = attribute_fees(store, tx)?;
    Ok(bytes.saturating_add(attributes).saturating_add(i64::try_from(checks).unwrap_or(i64::MAX)))
}

fn attribute_fees<S: Store>(store: &S, tx: &Transaction) -> Result<i64, EngineError> {
    tx.body().attributes.iter().try_fold(0_i64, |sum, attribute| {
        let fee = i64::from(policy::attribute_fee(store, attribute.type_byte())?);
        let times = match attribute {
            Attribute::Conflicts(_) => i64::try_from(tx.body().signers.len()).unwrap_or(i64::MAX),
            Attribute::NotaryAssisted(keys) => i64::from(*keys).saturating_add(1),
            _ => 1,
        };
        Ok(sum.saturating_add(fee.saturating_mul(times)))
    })
}
