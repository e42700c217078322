//! Forms of transactions that the pool takes on public networks. Mirrors `IsStandardTx` and `AreInputsStandard` of
//! `src/main.cpp`.

use fluxd_chainstate::policy::FeeRate;
use fluxd_consensus::{params::Params, upgrades::Upgrade};
use fluxd_primitives::{Codec, Transaction, TxOut, transaction::SAPLING_VERSION};
use fluxd_script::{
    Standard,
    instruction::{count_sigops, instructions, is_push_only, small_integer},
    opcode,
};

/// Longest unlocking script.
const MAX_SCRIPT_SIG: usize = 1650;
/// Most keys of a bare multisig.
const MAX_BARE_KEYS: usize = 3;
/// Bytes of the input that will spend an output.
const SPENDING_BYTES: usize = 148;
/// An output is dust when three times the relay fee of spending it is more than its value.
const DUST_FACTOR: i64 = 3;
/// Most signature operations of a redeem script of no known form.
const MAX_P2SH_SIGOPS: u32 = 15;

/// Why a transaction is not standard; `Display` is the reject reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonStandard {
    /// A version that is not in use.
    #[error("version")]
    Version,
    /// As [`Self::Version`], from Acadia on.
    #[error("sapling-version")]
    SaplingVersion,
    /// An unlocking script of more than 1,650 bytes.
    #[error("scriptsig-size")]
    ScriptSigSize,
    /// An unlocking script that does more than push.
    #[error("scriptsig-not-pushonly")]
    ScriptSigNotPushOnly,
    /// A locking script of no standard form.
    #[error("scriptpubkey")]
    ScriptPubKey,
    /// A bare multisig where they are not wanted.
    #[error("bare-multisig")]
    BareMultisig,
    /// An output that costs more to spend than it is worth.
    #[error("dust")]
    Dust,
    /// More than one data output.
    #[error("multi-op-return")]
    MultipleData,
}

/// Checks the form of a transaction for the block of a height.
pub(crate) fn check_standard(
    tx: &Transaction,
    params: &Params,
    height: u32,
    relay_rate: FeeRate,
    bare_multisig: bool,
) -> Result<(), NonStandard> {
    if !tx.is_fluxnode() {
        if params.upgrades.is_active(Upgrade::Acadia, height) {
            if tx.version != SAPLING_VERSION {
                return Err(NonStandard::SaplingVersion);
            }
        } else if !(1..=2).contains(&tx.version) {
            return Err(NonStandard::Version);
        }
    }
    for input in &tx.inputs {
        if input.script_sig.0.len() > MAX_SCRIPT_SIG {
            return Err(NonStandard::ScriptSigSize);
        }
        if !is_push_only(&input.script_sig.0) {
            return Err(NonStandard::ScriptSigNotPushOnly);
        }
    }
    let mut data = 0_u32;
    for output in &tx.outputs {
        match Standard::of(&output.script_pubkey.0) {
            None => return Err(NonStandard::ScriptPubKey),
            Some(Standard::MultiSig { keys, .. }) if keys.len() > MAX_BARE_KEYS => {
                return Err(NonStandard::ScriptPubKey);
            }
            Some(Standard::NullData) => data += 1,
            Some(Standard::MultiSig { .. }) if !bare_multisig => return Err(NonStandard::BareMultisig),
            Some(_) if is_dust(output, relay_rate) => return Err(NonStandard::Dust),
            Some(_) => {}
        }
    }
    if data > 1 { Err(NonStandard::MultipleData) } else { Ok(()) }
}

/// True when an output costs more to spend than it is worth.
#[must_use]
pub fn is_dust(output: &TxOut, relay_rate: FeeRate) -> bool {
    if output.script_pubkey.0.first() == Some(&opcode::RETURN) {
        return false;
    }
    let size = output.to_bytes().len() + SPENDING_BYTES;
    output.value.zat() < relay_rate.fee(size).zat().saturating_mul(DUST_FACTOR)
}

/// True when every input pushes exactly what its output wants; `spent` are the outputs, in order.
pub(crate) fn are_inputs_standard(tx: &Transaction, spent: &[TxOut]) -> bool {
    for (input, output) in tx.inputs.iter().zip(spent) {
        let Some(form) = Standard::of(&output.script_pubkey.0) else { return false };
        let Some(mut expected) = arguments(&form) else { return false };
        let Some(stack) = pushed(&input.script_sig.0) else { return false };
        if matches!(form, Standard::ScriptHash(_)) {
            let Some(redeem) = stack.last() else { return false };
            match Standard::of(redeem) {
                Some(inner) => match arguments(&inner) {
                    Some(more) => expected += more,
                    None => return false,
                },
                // As in the reference, the inputs behind such a one are not looked at.
                None => return count_sigops(redeem, true) <= MAX_P2SH_SIGOPS,
            }
        }
        if stack.len() != expected {
            return false;
        }
    }
    true
}

/// Elements that an unlocking script must push (`ScriptSigArgsExpected`).
fn arguments(form: &Standard) -> Option<usize> {
    match form {
        Standard::PubKey(_) | Standard::ScriptHash(_) => Some(1),
        Standard::PubKeyHash(_) => Some(2),
        Standard::MultiSig { required, .. } => Some(usize::from(*required) + 1),
        Standard::NullData => None,
    }
}

/// What a script of pushes leaves on the stack.
fn pushed(script: &[u8]) -> Option<Vec<Vec<u8>>> {
    instructions(script)
        .map(|instruction| {
            let instruction = instruction.ok()?;
            match small_integer(instruction.opcode) {
                Some(0) => Some(Vec::new()),
                Some(number) => Some(vec![number]),
                None if instruction.opcode == opcode::NEGATE_ONE => Some(vec![0x81]),
                None if instruction.opcode < opcode::NEGATE_ONE => Some(instruction.data.to_vec()),
                None => None,
            }
        })
        .collect()
}
