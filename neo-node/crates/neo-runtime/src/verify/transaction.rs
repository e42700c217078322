//! Transactions: rules that need nothing but the bytes, and rules over a state. Mirrors `Payloads/Transaction.cs`, the
//! attributes, and `TransactionVerificationContext.cs`.

use std::sync::Arc;

use neo_base::{
    Int, UInt160,
    account::interop_id,
    ledger::{Attribute, MAX_TRANSACTION_SIZE, Scopes, Transaction},
};
use neo_contract::{
    Hardfork, ProtocolSettings,
    engine::{EngineError, Store},
    native::{
        ContractId, hash_of,
        ledger::{self, Record},
        neo, oracle, policy,
        role::{self, Role},
        rows, token,
    },
    settings::bft_address,
};
use neo_vm::Script;

use super::{
    VerifyError,
    witness::{MAX_VERIFICATION_GAS, Signed, Standard, message, verify_witness},
};
use crate::mempool::Others;

type Result<T> = std::result::Result<T, VerifyError>;

/// Checks what needs no state: size, script, signatures of standard accounts.
///
/// # Errors
/// See [`VerifyError`].
pub fn check_stateless(settings: &ProtocolSettings, transaction: &Arc<Transaction>) -> Result<()> {
    if transaction.size() > MAX_TRANSACTION_SIZE {
        return Err(VerifyError::OverSize(transaction.size()));
    }
    let script = Script::new(transaction.body().script.clone());
    script.check_strict().map_err(|_| VerifyError::Script)?;
    let message = message(settings, &Signed::Transaction(transaction.clone()));
    for (signer, witness) in transaction.body().signers.iter().zip(transaction.witnesses()) {
        let Some(standard) = Standard::parse(witness) else { continue };
        if witness.script_hash() != signer.account {
            return Err(VerifyError::WitnessAccount(signer.account));
        }
        match standard.verify(&message) {
            Some(true) => {}
            Some(false) => return Err(VerifyError::Signature(signer.account)),
            None => return Err(VerifyError::WitnessAccount(signer.account)),
        }
    }
    Ok(())
}

/// Largest transaction that [`is_quick`] means.
const QUICK_SIZE: usize = 2048;

/// True when to verify the transaction takes no longer than a few checks of signatures: it is small, and every witness has
/// one key.
#[must_use]
pub fn is_quick(transaction: &Transaction) -> bool {
    let has_one_key = |witness| Standard::parse(witness).is_some_and(|standard| standard.keys().is_none());
    transaction.size() <= QUICK_SIZE && transaction.witnesses().iter().all(has_one_key)
}

/// Checks everything: that the transaction is new, and all other rules.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    transaction: &Arc<Transaction>,
    others: Others,
) -> Result<()> {
    check_new(settings, store, transaction)?;
    check_stateless(settings, transaction)?;
    verify_stateful(settings, store, transaction, others).map(drop)
}

/// A valid transaction: what of the verdict depends on the others of the pool, so that a change of these alone needs no second look at
/// the rest.
#[derive(Debug)]
pub struct Passed {
    height: u32,
    balance: Int,
    fees: i128,
}

impl Passed {
    /// Height of the state that has judged.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The verdict beside other transactions than before.
    ///
    /// # Errors
    /// The sender cannot pay for all, or the oracle request is answered.
    pub fn beside(&self, others: Others) -> Result<()> {
        if self.balance < Int::from(self.fees.saturating_add(others.sender_fees.into())) {
            return Err(VerifyError::InsufficientFunds);
        }
        if others.oracle_answered { Err(VerifyError::OracleAnswered) } else { Ok(()) }
    }
}

/// Checks a transaction whose bytes have been checked by [`check_stateless`]: alone, in the pool, or in a block.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_in_block<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    transaction: &Arc<Transaction>,
    others: Others,
) -> Result<Passed> {
    check_new(settings, store, transaction)?;
    verify_stateful(settings, store, transaction, others)
}

/// Checks that neither the transaction is on the chain, nor one of its signers' that excludes it.
///
/// # Errors
/// See [`VerifyError`].
pub fn check_new<S: Store>(settings: &ProtocolSettings, store: &S, transaction: &Transaction) -> Result<()> {
    match ledger::record(store, &transaction.hash())? {
        None => return Ok(()),
        Some(Record::Transaction) => return Err(VerifyError::AlreadyExists),
        Some(Record::Excluded) => {}
    }
    let signers: Vec<_> = transaction.body().signers.iter().map(|signer| signer.account).collect();
    let traceable = policy::max_traceable_blocks(store, settings)?;
    if ledger::is_excluded(store, &transaction.hash(), &signers, traceable)? {
        return Err(VerifyError::Excluded);
    }
    Ok(())
}

/// Checks what the state decides; [`check_stateless`] must have passed. `others` is what the memory pool knows.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_stateful<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    transaction: &Arc<Transaction>,
    others: Others,
) -> Result<Passed> {
    let body = transaction.body();
    let height = ledger::current_index(store)?;
    let until = body.valid_until_block;
    if until <= height {
        return Err(VerifyError::Expired { until, height });
    }
    if until > height.saturating_add(policy::max_valid_until_increment(store, settings)?) {
        return Err(VerifyError::NotYetValid { until, height });
    }
    for signer in &body.signers {
        if policy::is_blocked(store, &signer.account)? {
            return Err(VerifyError::Blocked(signer.account));
        }
    }
    let passed = Passed {
        height,
        balance: token::gas_balance(store, &body.sender())?,
        fees: i128::from(body.system_fee).saturating_add(body.network_fee.into()),
    };
    passed.beside(others)?;
    let mut attributes = 0_i64;
    for attribute in &body.attributes {
        check_attribute(settings, store, transaction, attribute, height)?;
        attributes = attributes.saturating_add(attribute_fee(store, transaction, attribute)?);
    }
    let size = i64::try_from(transaction.size()).unwrap_or(i64::MAX);
    let bytes = size.saturating_mul(policy::fee_per_byte(store)?);
    let left = body.network_fee.saturating_sub(bytes).saturating_sub(attributes);
    let left = u64::try_from(left).map_err(|_| VerifyError::NetworkFee)?;
    check_witnesses(settings, store, transaction, left.min(MAX_VERIFICATION_GAS), height)?;
    Ok(passed)
}

fn attribute_fee<S: Store>(store: &S, transaction: &Transaction, attribute: &Attribute) -> Result<i64> {
    let fee = i64::from(policy::attribute_fee(store, attribute.type_byte())?);
    let times = match attribute {
        Attribute::Conflicts(_) => i64::try_from(transaction.body().signers.len()).unwrap_or(i64::MAX),
        Attribute::NotaryAssisted(keys) => i64::from(*keys).saturating_add(1),
        _ => 1,
    };
    Ok(fee.saturating_mul(times))
}

fn check_attribute<S: Store>(
    settings: &ProtocolSettings,
    store: &S,
    transaction: &Transaction,
    attribute: &Attribute,
    height: u32,
) -> Result<()> {
    let signers = &transaction.body().signers;
    let signed = |account: UInt160| signers.iter().any(|signer| signer.account == account);
    let require = |holds: bool, reason| if holds { Ok(()) } else { Err(VerifyError::Attribute(reason)) };
    match attribute {
        Attribute::HighPriority => {
            require(signed(neo::committee_address(store)?), "only the committee sets the priority")
        }
        Attribute::NotValidBefore(from) => require(height >= *from, "the transaction is not valid yet"),
        Attribute::Conflicts(hash) => {
            require(!ledger::has_transaction(store, hash)?, "what it excludes is on the chain")?;
            let conflicts = transaction.body().attributes.iter();
            let same = conflicts.filter(|other| *other == attribute).count();
            require(same == 1, "it excludes a transaction twice")
        }
        Attribute::NotaryAssisted(_) => {
            require(settings.forks.is_active(Hardfork::Echidna, height), "notaries do not exist yet")?;
            let notary = hash_of(ContractId::NOTARY);
            require(signed(notary), "the notary contract does not sign")?;
            let sends = transaction.body().sender() == notary;
            require(!sends || signers.len() == 2, "the notary contract sends for one payer")
        }
        Attribute::OracleResponse { id, .. } => {
            require(signers.iter().all(|signer| signer.scopes == Scopes::NONE), "an answer needs no scope")?;
            require(transaction.body().script == answer_script(), "an answer has a script of its own")?;
            let request = oracle::request(store, *id)?;
            let request = request.ok_or(VerifyError::Attribute("nobody has asked"))?;
            let fees = transaction.body().network_fee.saturating_add(transaction.body().system_fee);
            require(fees == request.gas, "the fees are not what was paid")?;
            let nodes = role::designated(store, Role::Oracle, height.saturating_add(1))?;
            let nodes =
                nodes.iter().map(rows::point).collect::<std::result::Result<Vec<_>, EngineError>>()?;
            require(signed(bft_address(&nodes)), "the oracle nodes have not signed")
        }
    }
}

/// The one script that answers may have: a call of `finish` of the oracle contract.
fn answer_script() -> Vec<u8> {
    // no arguments, all flags, name, hash
    let mut script = vec![0xc2, 0x1f, 0x0c, 6];
    script.extend_from_slice(b"finish");
    script.extend_from_slice(&[0x0c, 20]);
    script.extend_from_slice(&hash_of(ContractId::ORACLE).0);
    script.push(0x41);
    script.extend_from_slice(&interop_id("System.Contract.Call").to_le_bytes());
    script
}

fn check_witnesses<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    transaction: &Arc<Transaction>,
    mut left: u64,
    height: u32,
) -> Result<()> {
    let factor = policy::exec_fee_factor(store, &settings.forks, height)?;
    for (signer, witness) in transaction.body().signers.iter().zip(transaction.witnesses()) {
        let cost = match Standard::parse(witness) {
            Some(standard) => factor.saturating_mul(standard.cost()),
            None => {
                let signed = Signed::Transaction(transaction.clone());
                verify_witness(settings, store, &signed, &signer.account, witness, left)?
            }
        };
        left = left.checked_sub(cost).ok_or(VerifyError::NetworkFee)?;
    }
    Ok(())
}
