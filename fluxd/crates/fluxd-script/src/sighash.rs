//! What a signature signs: the legacy form of plain transactions, ZIP-143 for Overwinter, ZIP-243 for Sapling.
//! Mirrors `SignatureHash` in `src/script/interpreter.cpp`.

use blake2b_simd::Params;
use fluxd_primitives::{
    Amount, Hash256, Transaction, TxOut,
    codec::{Codec, Writer, put_compact_size, put_list, put_var_bytes},
    hash::sha256d,
    transaction::shielded::put_joinsplits,
};

/// Signs all outputs.
pub const ALL: i32 = 1;
/// Signs no output.
pub const NONE: i32 = 2;
/// Signs the output with the index of the input.
pub const SINGLE: i32 = 3;
/// Bit: signs only this input.
pub const ANYONE_CAN_PAY: i32 = 0x80;
/// The bits of a hash type that select among [`ALL`], [`NONE`] and [`SINGLE`].
const KIND_MASK: i32 = 0x1f;

/// Why there is no hash to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SighashError {
    /// The transaction has no input with that index.
    #[error("input index is out of range")]
    NoSuchInput,
    /// A plain transaction has no output with the index of an input that is signed with [`SINGLE`].
    #[error("no matching output for SIGHASH_SINGLE")]
    NoMatchingOutput,
}

/// The transparent input that is signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedInput<'a> {
    /// Index among the inputs.
    pub index: usize,
    /// The script that runs: the locking script, or the redeem script.
    pub script_code: &'a [u8],
    /// Value of the output that is spent.
    pub amount: Amount,
}

/// The hashes over parts of an overwintered transaction that all its inputs share. For a plain transaction they are
/// never asked for and stay zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SighashParts {
    prevouts: Hash256,
    sequence: Hash256,
    outputs: Hash256,
    joinsplits: Hash256,
    spends: Hash256,
    shielded_outputs: Hash256,
}

impl SighashParts {
    /// Hashes the parts once.
    #[must_use]
    pub fn new(tx: &Transaction) -> Self {
        if !tx.overwintered {
            return Self::default();
        }
        Self {
            prevouts: personal_hash(b"ZcashPrevoutHash", |writer| {
                tx.inputs.iter().for_each(|input| input.prevout.encode(writer));
            }),
            sequence: personal_hash(b"ZcashSequencHash", |writer| {
                for input in &tx.inputs {
                    writer.u32_le(input.sequence);
                }
            }),
            outputs: outputs_hash(&tx.outputs),
            joinsplits: if tx.joinsplits.is_empty() {
                Hash256::ZERO
            } else {
                personal_hash(b"ZcashJSplitsHash", |writer| {
                    tx.joinsplits.iter().for_each(|joinsplit| joinsplit.encode(writer));
                    tx.joinsplit_pubkey.encode(writer);
                })
            },
            spends: if tx.spends.is_empty() {
                Hash256::ZERO
            } else {
                personal_hash(b"ZcashSSpendsHash", |writer| {
                    tx.spends.iter().for_each(|spend| spend.put_unsigned(writer));
                })
            },
            shielded_outputs: if tx.shielded_outputs.is_empty() {
                Hash256::ZERO
            } else {
                personal_hash(b"ZcashSOutputHash", |writer| {
                    tx.shielded_outputs.iter().for_each(|output| output.encode(writer));
                })
            },
        }
    }
}

/// The hash that a signature of type `hash_type` signs: for a transparent input, or (`None`) for the JoinSplit and
/// Sapling signatures of the transaction. `parts` must come from the same transaction.
///
/// # Errors
/// No such input; in plain transactions also no output for [`SINGLE`].
pub fn signature_hash(
    tx: &Transaction,
    parts: &SighashParts,
    input: Option<SignedInput<'_>>,
    hash_type: i32,
    branch_id: u32,
) -> Result<Hash256, SighashError> {
    if input.is_some_and(|input| input.index >= tx.inputs.len()) {
        return Err(SighashError::NoSuchInput);
    }
    if tx.overwintered {
        Ok(overwintered(tx, parts, input, hash_type, branch_id))
    } else {
        legacy(tx, input, hash_type)
    }
}

fn overwintered(
    tx: &Transaction,
    parts: &SighashParts,
    input: Option<SignedInput<'_>>,
    hash_type: i32,
    branch_id: u32,
) -> Hash256 {
    let kind = hash_type & KIND_MASK;
    let all_inputs = hash_type & ANYONE_CAN_PAY == 0;
    let all_outputs = kind != SINGLE && kind != NONE;
    let only_if = |condition: bool, hash: Hash256| if condition { hash } else { Hash256::ZERO };
    let outputs = if kind == SINGLE {
        input
            .and_then(|input| tx.outputs.get(input.index))
            .map_or(Hash256::ZERO, |output| outputs_hash(std::slice::from_ref(output)))
    } else {
        only_if(all_outputs, parts.outputs)
    };
    let mut personal = *b"ZcashSigHash\0\0\0\0";
    if let Some(tail) = personal.last_chunk_mut::<4>() {
        *tail = branch_id.to_le_bytes();
    }
    personal_hash(&personal, |writer| {
        writer.u32_le(tx.header()).u32_le(tx.version_group);
        only_if(all_inputs, parts.prevouts).encode(writer);
        only_if(all_inputs && all_outputs, parts.sequence).encode(writer);
        outputs.encode(writer);
        parts.joinsplits.encode(writer);
        if tx.is_sapling() {
            parts.spends.encode(writer);
            parts.shielded_outputs.encode(writer);
        }
        writer.u32_le(tx.lock_time).u32_le(tx.expiry_height);
        if tx.is_sapling() {
            tx.value_balance.encode(writer);
        }
        writer.i32_le(hash_type);
        if let Some(signed) = input
            && let Some(txin) = tx.inputs.get(signed.index)
        {
            txin.prevout.encode(writer);
            put_var_bytes(writer, signed.script_code);
            signed.amount.encode(writer);
            writer.u32_le(txin.sequence);
        }
    })
}

fn legacy(tx: &Transaction, input: Option<SignedInput<'_>>, hash_type: i32) -> Result<Hash256, SighashError> {
    let kind = hash_type & KIND_MASK;
    let own = input.map(|input| input.index);
    let mut writer = Writer::with_capacity(1024);
    writer.u32_le(tx.version);

    if hash_type & ANYONE_CAN_PAY == 0 {
        put_compact_size(&mut writer, tx.inputs.len());
    } else {
        put_compact_size(&mut writer, 1);
    }
    for (index, txin) in tx.inputs.iter().enumerate() {
        let is_own = own == Some(index);
        if hash_type & ANYONE_CAN_PAY != 0 && !is_own {
            continue;
        }
        txin.prevout.encode(&mut writer);
        put_var_bytes(&mut writer, input.filter(|_| is_own).map_or(&[], |input| input.script_code));
        let others_are_free = !is_own && (kind == SINGLE || kind == NONE);
        writer.u32_le(if others_are_free { 0 } else { txin.sequence });
    }

    match kind {
        NONE => put_compact_size(&mut writer, 0),
        SINGLE => {
            let (index, output) = own
                .and_then(|index| Some((index, tx.outputs.get(index)?)))
                .ok_or(SighashError::NoMatchingOutput)?;
            put_compact_size(&mut writer, index.saturating_add(1));
            for _ in 0..index {
                writer.i64_le(-1);
                put_compact_size(&mut writer, 0);
            }
            output.encode(&mut writer);
        }
        _ => put_list(&mut writer, &tx.outputs),
    }
    writer.u32_le(tx.lock_time);

    if tx.version >= 2 {
        put_joinsplits(&mut writer, &tx.joinsplits);
        if !tx.joinsplits.is_empty() {
            tx.joinsplit_pubkey.encode(&mut writer);
            writer.put(&[0; 64]);
        }
    }
    writer.i32_le(hash_type);
    Ok(Hash256(sha256d(writer.as_slice())))
}

fn outputs_hash(outputs: &[TxOut]) -> Hash256 {
    personal_hash(b"ZcashOutputsHash", |writer| outputs.iter().for_each(|output| output.encode(writer)))
}

fn personal_hash(personal: &[u8; 16], write: impl FnOnce(&mut Writer)) -> Hash256 {
    let mut writer = Writer::with_capacity(1024);
    write(&mut writer);
    let digest = Params::new().hash_length(32).personal(personal).hash(writer.as_slice());
    Hash256(digest.as_bytes().first_chunk::<32>().copied().unwrap_or_default())
}
