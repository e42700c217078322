//! What fluxnode transactions sign and who must have signed. Mirrors `CheckFluxnodeTxSignatures` and
//! `CheckBenchmarkSignature`.
//!
//! None of these signatures is part of a transaction id: a bad one says nothing about the id.

use fluxd_primitives::{
    PublicKey, TxId,
    transaction::fluxnode::{Claim, Confirm, DELEGATE_SIGNING, NORMAL_BIT, Owner, P2SH_BIT, Start},
};
use fluxd_script::{
    Standard,
    ecdsa::{SignedMessage, verify_message},
};

/// Hexadecimal digits of a transaction id that the short form of an outpoint shows.
const SHORT_ID: usize = 10;

/// What a START signs: its own id.
#[must_use]
pub fn start_message(txid: &TxId) -> String {
    txid.to_string()
}

/// What a CONFIRM signs: outpoint in short form, output index, update type and time.
#[must_use]
pub fn confirm_message(confirm: &Confirm) -> String {
    let id: String = confirm.collateral.txid.to_string().chars().take(SHORT_ID).collect();
    let index = confirm.collateral.index;
    format!("COutPoint({id}, {index}){index}{}{}", confirm.update_type, confirm.sig_time)
}

/// What a benchmark signs: the node's signature as bytes, tier, time and address.
#[must_use]
pub fn benchmark_message(confirm: &Confirm) -> Vec<u8> {
    let numbers = format!("{}{}", confirm.benchmark_tier, confirm.benchmark_sig_time);
    [&confirm.signature[..], numbers.as_bytes(), &confirm.ip].concat()
}

/// True when a START is signed by someone who may: a stored delegate where it says so, else a key of the redeem script
/// or the owner's key. `delegates` are the keys stored for the collateral.
#[must_use]
pub fn is_start_signed(start: &Start, txid: &TxId, delegates: &[PublicKey]) -> bool {
    let Some(claim) = &start.claim else {
        return false;
    };
    let message = start_message(txid);
    let is_by = |key: &PublicKey| verify_message(key, &claim.signature, message.as_bytes());
    if is_signed_as_delegate(start) {
        return delegates.iter().any(is_by);
    }
    match &claim.owner {
        Owner::Key(key) => is_by(key),
        Owner::RedeemScript(_) if has_conflicting_bits(start) => false,
        Owner::RedeemScript(script) => {
            Standard::of(&script.0).is_some_and(|script| script.multisig_keys().iter().any(is_by))
        }
    }
}

/// The signature of a CONFIRM, to be verified with others: by the node's key.
#[must_use]
pub fn signed_confirm<'a>(confirm: &'a Confirm, node_key: &'a PublicKey) -> SignedMessage<'a> {
    let message = confirm_message(confirm).into_bytes();
    SignedMessage { key: node_key, signature: &confirm.signature, message }
}

/// The signature of its benchmark, to be verified with others: by the benchmark key of its time.
#[must_use]
pub fn signed_benchmark<'a>(confirm: &'a Confirm, benchmark_key: &'a PublicKey) -> SignedMessage<'a> {
    let message = benchmark_message(confirm);
    SignedMessage { key: benchmark_key, signature: &confirm.benchmark_signature, message }
}

/// True when a CONFIRM is signed by the node's key.
#[must_use]
pub fn is_confirm_signed(confirm: &Confirm, node_key: &PublicKey) -> bool {
    signed_confirm(confirm, node_key).is_good()
}

/// True when the benchmark of a CONFIRM is signed by the benchmark key of its time.
#[must_use]
pub fn is_benchmark_signed(confirm: &Confirm, benchmark_key: &PublicKey) -> bool {
    signed_benchmark(confirm, benchmark_key).is_good()
}

/// The keys that a START stores for its collateral: `None` when it stores nothing, an empty list when it erases.
#[must_use]
pub fn delegate_update(start: &Start) -> Option<&[PublicKey]> {
    let record = start.delegates.as_ref()?.0.as_ref()?;
    (record.is_valid() && record.kind != DELEGATE_SIGNING).then_some(record.keys.as_slice())
}

/// The claim of a START whose inner version is not contradictory.
#[must_use]
pub fn sound_claim(start: &Start) -> Option<&Claim> {
    start.claim.as_ref().filter(|_| !has_conflicting_bits(start))
}

fn is_signed_as_delegate(start: &Start) -> bool {
    let record = start.delegates.as_ref().and_then(|tail| tail.0.as_ref());
    record.is_some_and(|record| record.is_valid() && record.kind == DELEGATE_SIGNING)
}

fn has_conflicting_bits(start: &Start) -> bool {
    let both = NORMAL_BIT | P2SH_BIT;
    start.inner_version.is_some_and(|version| version & both == both)
}
