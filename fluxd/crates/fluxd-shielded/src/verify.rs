//! Whether the shielded parts of a transaction are valid for a signature hash, proof by proof; `batch.rs` verifies proofs
//! of many transactions together. Mirrors the shielded half of `ContextualCheckTransaction` and `JSDescription::Verify`.
//!
//! Anchors and nullifiers are not judged here: they need the chain.

use bellman::gadgets::multipack;
use blake2b_simd::Params;
use bls12_381::{Bls12, Scalar};
use fluxd_primitives::{
    Amount, Hash256, Transaction,
    transaction::shielded::{JoinSplit, SaplingOutput, SaplingSpend, SproutProof},
};
use groth16::{Proof, verify_proof};
use group::Curve;
use jubjub::{ExtendedPoint, Fr};
use sapling_crypto::constants::VALUE_COMMITMENT_VALUE_GENERATOR;

use crate::{
    ed25519,
    keys::{CircuitKey, ProofKeys},
    redjubjub::{self, Use, point},
};

/// A rule that the shielded parts of a transaction break; `Display` is the reject reason of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShieldedError {
    /// The JoinSplit signature is not by the JoinSplit key.
    #[error("bad-txns-invalid-joinsplit-signature")]
    JoinSplitSignature,
    /// A Groth16 proof of a JoinSplit is wrong.
    #[error("bad-txns-joinsplit-verification-failed")]
    JoinSplitProof,
    /// A spend has a malformed point, a wrong signature or a wrong proof.
    #[error("bad-txns-sapling-spend-description-invalid")]
    Spend,
    /// An output has a malformed point or a wrong proof.
    #[error("bad-txns-sapling-output-description-invalid")]
    Output,
    /// The values of spends and outputs do not sum to the value balance.
    #[error("bad-txns-sapling-binding-signature-invalid")]
    BindingSignature,
}

/// Verifies everything that is shielded in a transaction. `sighash` is the hash for no input
/// (`fluxd_script::signature_hash` with `None` and `ALL`).
///
/// # Errors
/// The first rule that is broken.
pub fn verify_transaction(
    keys: &ProofKeys,
    tx: &Transaction,
    sighash: &Hash256,
) -> Result<(), ShieldedError> {
    for statement in statements(tx, sighash)? {
        let key = statement.circuit.key(keys);
        verify_proof(&key.prepared, &statement.proof, &statement.inputs)
            .map_err(|_| statement.circuit.error())?;
    }
    Ok(())
}

/// All circuits.
pub(crate) const CIRCUITS: [Circuit; 3] = [Circuit::Spend, Circuit::Output, Circuit::JoinSplit];

/// What a proof is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Circuit {
    Spend,
    Output,
    JoinSplit,
}

impl Circuit {
    pub(crate) fn key(self, keys: &ProofKeys) -> &CircuitKey {
        match self {
            Self::Spend => &keys.spend,
            Self::Output => &keys.output,
            Self::JoinSplit => &keys.joinsplit,
        }
    }

    pub(crate) fn error(self) -> ShieldedError {
        match self {
            Self::Spend => ShieldedError::Spend,
            Self::Output => ShieldedError::Output,
            Self::JoinSplit => ShieldedError::JoinSplitProof,
        }
    }
}

/// A proof with what it claims.
pub(crate) struct Statement {
    pub(crate) circuit: Circuit,
    pub(crate) proof: Proof<Bls12>,
    pub(crate) inputs: Vec<Scalar>,
}

/// Verifies the signatures of a transaction and returns what its proofs claim.
pub(crate) fn statements(tx: &Transaction, sighash: &Hash256) -> Result<Vec<Statement>, ShieldedError> {
    let mut statements = Vec::new();
    if !tx.joinsplits.is_empty() {
        if !ed25519::verify(&tx.joinsplit_pubkey.0, &tx.joinsplit_sig.0, &sighash.0) {
            return Err(ShieldedError::JoinSplitSignature);
        }
        for joinsplit in &tx.joinsplits {
            // PHGR13 proofs are taken as they are.
            if let SproutProof::Groth(proof) = &joinsplit.proof {
                let proof = Proof::read(&proof[..]).map_err(|_| ShieldedError::JoinSplitProof)?;
                let inputs = joinsplit_inputs(joinsplit, &tx.joinsplit_pubkey);
                statements.push(Statement { circuit: Circuit::JoinSplit, proof, inputs });
            }
        }
    }
    if tx.spends.is_empty() && tx.shielded_outputs.is_empty() {
        return Ok(statements);
    }
    let mut balance = ExtendedPoint::identity();
    for spend in &tx.spends {
        let (statement, commitment) = spend_statement(spend, sighash).ok_or(ShieldedError::Spend)?;
        balance += commitment;
        statements.push(statement);
    }
    for output in &tx.shielded_outputs {
        let (statement, commitment) = output_statement(output).ok_or(ShieldedError::Output)?;
        balance -= commitment;
        statements.push(statement);
    }
    let key = balance - value_point(tx.value_balance);
    if redjubjub::verify(Use::Binding, &key, &tx.binding_sig.0, &sighash.0) {
        Ok(statements)
    } else {
        Err(ShieldedError::BindingSignature)
    }
}

/// The claim of a spend and its value commitment.
fn spend_statement(spend: &SaplingSpend, sighash: &Hash256) -> Option<(Statement, ExtendedPoint)> {
    let commitment = large_order_point(&spend.cv)?;
    let key = large_order_point(&spend.rk)?;
    let anchor = scalar(&spend.anchor.0)?;
    if !redjubjub::verify(Use::SpendAuth, &key, &spend.spend_auth_sig, &sighash.0) {
        return None;
    }
    let proof = Proof::read(&spend.proof[..]).ok()?;
    let mut inputs = [coordinates(&key), coordinates(&commitment)].concat();
    inputs.push(anchor);
    inputs
        .extend(multipack::compute_multipacking::<Scalar>(&multipack::bytes_to_bits_le(&spend.nullifier.0)));
    Some((Statement { circuit: Circuit::Spend, proof, inputs }, commitment))
}

/// The claim of an output and its value commitment.
fn output_statement(output: &SaplingOutput) -> Option<(Statement, ExtendedPoint)> {
    let commitment = large_order_point(&output.cv)?;
    let ephemeral_key = large_order_point(&output.ephemeral_key)?;
    let proof = Proof::read(&output.proof[..]).ok()?;
    let mut inputs = [coordinates(&commitment), coordinates(&ephemeral_key)].concat();
    inputs.push(scalar(&output.cmu.0)?);
    Some((Statement { circuit: Circuit::Output, proof, inputs }, commitment))
}

fn joinsplit_inputs(joinsplit: &JoinSplit, pubkey: &Hash256) -> Vec<Scalar> {
    let [nullifier_1, nullifier_2] = &joinsplit.nullifiers;
    let [mac_1, mac_2] = &joinsplit.macs;
    let [commitment_1, commitment_2] = &joinsplit.commitments;
    let bytes = [
        &joinsplit.anchor.0[..],
        &h_sig(joinsplit, pubkey),
        &nullifier_1.0,
        mac_1,
        &nullifier_2.0,
        mac_2,
        &commitment_1.0,
        &commitment_2.0,
        &joinsplit.vpub_old.zat().to_le_bytes(),
        &joinsplit.vpub_new.zat().to_le_bytes(),
    ]
    .concat();
    multipack::compute_multipacking(&multipack::bytes_to_bits(&bytes))
}

/// What binds a JoinSplit to its signature key.
fn h_sig(joinsplit: &JoinSplit, pubkey: &Hash256) -> Vec<u8> {
    let [nullifier_1, nullifier_2] = &joinsplit.nullifiers;
    let mut state = Params::new().hash_length(32).personal(b"ZcashComputehSig").to_state();
    state.update(&joinsplit.random_seed).update(&nullifier_1.0).update(&nullifier_2.0).update(&pubkey.0);
    state.finalize().as_bytes().to_vec()
}

fn large_order_point(bytes: &[u8; 32]) -> Option<ExtendedPoint> {
    point(bytes).filter(|point| !bool::from(point.is_small_order()))
}

fn coordinates(point: &ExtendedPoint) -> [Scalar; 2] {
    let affine = point.to_affine();
    [affine.get_u(), affine.get_v()]
}

fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Option::from(Scalar::from_bytes(bytes))
}

fn value_point(value: Amount) -> ExtendedPoint {
    let magnitude = Fr::from(value.zat().unsigned_abs());
    let point = ExtendedPoint::from(VALUE_COMMITMENT_VALUE_GENERATOR * magnitude);
    if value < Amount::ZERO { -point } else { point }
}
