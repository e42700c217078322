//! Is a transaction well formed? The rules that need neither state nor time: one [`SyntacticError`] each.
//! Mirrors `vms/avm/txs/executor/syntactic_verifier.go` and the `Verify` methods of what transactions are made of.

use std::collections::{BTreeMap, BTreeSet};

use avalanche_codec::{body, marshal};
use avalanche_ids::Id;
use avalanche_vm::{
    avax, nftfx,
    secp256k1fx::{self, OutputOwners},
};

use super::{CreateAssetTx, Operation, OperationTx, Tx, UnsignedTx};
use crate::{
    config::Config,
    fx::{BaseTx, FxOperation, Input, Output, TransferableInput, TransferableOutput},
};

/// Longest memo, in bytes.
pub const MAX_MEMO_LEN: usize = 256;
/// Longest name of an asset, in bytes.
pub const MAX_NAME_LEN: usize = 128;
/// Longest symbol of an asset, in bytes.
pub const MAX_SYMBOL_LEN: usize = 4;
/// Most decimal places of an asset.
pub const MAX_DENOMINATION: u8 = 32;
/// Longest payload of a token, in bytes.
pub const MAX_PAYLOAD_LEN: usize = 1024;
/// secp256k1, NFT, property.
const FXS: u32 = 3;

/// Which rule a transaction breaks. The name of the reference's error is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntacticError {
    /// For another network (`ErrWrongNetworkID`).
    #[error("wrong network id")]
    WrongNetwork,
    /// For another chain (`ErrWrongChainID`).
    #[error("wrong chain id")]
    WrongChain,
    /// A memo above [`MAX_MEMO_LEN`] (`ErrMemoTooLarge`).
    #[error("memo of {0} bytes is too large")]
    MemoTooLarge(usize),
    /// An asset without id (`errEmptyAssetID`).
    #[error("empty asset id")]
    EmptyAssetId,
    /// An output that holds no amount where only amounts can stand.
    #[error("output cannot be transferred")]
    NotTransferable,
    /// An output of nothing (`ErrNoValueOutput`).
    #[error("output has no value")]
    NoValueOutput,
    /// An input of nothing (`ErrNoValueInput`).
    #[error("input has no value")]
    NoValueInput,
    /// More signatures needed than addresses (`ErrOutputUnspendable`).
    #[error("output is unspendable")]
    OutputUnspendable,
    /// Addresses but no signature needed (`ErrOutputUnoptimized`).
    #[error("output representation should be optimized")]
    OutputUnoptimized,
    /// Addresses out of order or twice (`ErrAddrsNotSortedUnique`).
    #[error("addresses not sorted and unique")]
    AddrsNotSortedUnique,
    /// Indices of signatures out of order or twice (`ErrInputIndicesNotSortedUnique`).
    #[error("signature indices not sorted and unique")]
    InputIndicesNotSortedUnique,
    /// Outputs out of order (`ErrOutputsNotSorted`).
    #[error("outputs not sorted")]
    OutputsNotSorted,
    /// Inputs out of order or twice (`ErrInputsNotSortedUnique`).
    #[error("inputs not sorted and unique")]
    InputsNotSortedUnique,
    /// More made or burned than spent (`ErrInsufficientFunds`).
    #[error("insufficient funds")]
    InsufficientFunds,
    /// A sum does not fit 64 bits.
    #[error("amount overflows")]
    Overflow,
    /// Another number of credentials than of inputs and operations (`errWrongNumberOfCredentials`).
    #[error("{found} credentials where {expected} are expected")]
    Credentials {
        /// Inputs and operations.
        expected: usize,
        /// Credentials.
        found: usize,
    },
    /// A name without bytes (`errNameTooShort`).
    #[error("name is too short")]
    NameTooShort,
    /// A name above [`MAX_NAME_LEN`] (`errNameTooLong`).
    #[error("name is too long")]
    NameTooLong,
    /// A symbol without bytes (`errSymbolTooShort`).
    #[error("symbol is too short")]
    SymbolTooShort,
    /// A symbol above [`MAX_SYMBOL_LEN`] (`errSymbolTooLong`).
    #[error("symbol is too long")]
    SymbolTooLong,
    /// An asset without states (`errNoFxs`).
    #[error("assets must support at least one fx")]
    NoFxs,
    /// More decimal places than [`MAX_DENOMINATION`] (`errDenominationTooLarge`).
    #[error("denomination is too large")]
    DenominationTooLarge,
    /// A name with space around it (`errUnexpectedWhitespace`).
    #[error("unexpected whitespace in the name")]
    UnexpectedWhitespace,
    /// A name with other characters than ASCII letters, digits and spaces (`errIllegalNameCharacter`).
    #[error("illegal character in the name")]
    IllegalNameCharacter,
    /// A symbol with other characters than upper-case ASCII letters (`errIllegalSymbolCharacter`).
    #[error("illegal character in the symbol")]
    IllegalSymbolCharacter,
    /// A state of an fx that does not exist (`ErrUnknownFx`).
    #[error("unknown fx")]
    UnknownFx,
    /// States out of order or twice (`errInitialStatesNotSortedUnique`).
    #[error("initial states not sorted and unique")]
    InitialStatesNotSortedUnique,
    /// A payload above [`MAX_PAYLOAD_LEN`] (`errPayloadTooLarge`).
    #[error("payload too large")]
    PayloadTooLarge,
    /// An operation transaction without one (`errNoOperations`).
    #[error("no operations")]
    NoOperations,
    /// Operations out of order or twice (`errOperationsNotSortedUnique`).
    #[error("operations not sorted and unique")]
    OperationsNotSortedUnique,
    /// UTXOs of an operation out of order or twice (`ErrNotSortedAndUniqueUTXOIDs`).
    #[error("UTXO ids not sorted and unique")]
    UtxoIdsNotSortedUnique,
    /// Something spent twice (`errDoubleSpend`).
    #[error("inputs attempt to double spend an input")]
    DoubleSpend,
    /// An import of nothing (`errNoImportInputs`).
    #[error("no import inputs")]
    NoImportInputs,
    /// An export of nothing (`errNoExportOutputs`).
    #[error("no export outputs")]
    NoExportOutputs,
}

type Verdict = Result<(), SyntacticError>;

/// Checks that a transaction is well formed.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(tx: &Tx, config: &Config) -> Verdict {
    let base = tx.unsigned.base();
    let (mut more_ins, mut more_outs): (&[TransferableInput], &[TransferableOutput]) = (&[], &[]);
    let mut fee = config.tx_fee;
    match &tx.unsigned {
        UnsignedTx::Base(_) => {}
        UnsignedTx::CreateAsset(create) => {
            verify_names(create)?;
            fee = config.create_asset_fee;
        }
        UnsignedTx::Operation(operation) => ensure(!operation.ops.is_empty(), SyntacticError::NoOperations)?,
        UnsignedTx::Import(import) => {
            more_ins = &import.imported_inputs;
            ensure(!more_ins.is_empty(), SyntacticError::NoImportInputs)?;
        }
        UnsignedTx::Export(export) => {
            more_outs = &export.exported_outputs;
            ensure(!more_outs.is_empty(), SyntacticError::NoExportOutputs)?;
        }
    }
    verify_base(base, config)?;
    verify_flow(config.fee_asset_id, fee, [&base.ins, more_ins], [&base.outs, more_outs])?;
    let mut expected = base.ins.len().saturating_add(more_ins.len());
    match &tx.unsigned {
        UnsignedTx::CreateAsset(create) => verify_states(create)?,
        UnsignedTx::Operation(operation) => {
            verify_operations(operation)?;
            expected = expected.saturating_add(operation.ops.len());
        }
        _ => {}
    }
    let found = tx.credentials.len();
    ensure(found == expected, SyntacticError::Credentials { expected, found })
}

fn ensure(holds: bool, error: SyntacticError) -> Verdict {
    if holds { Ok(()) } else { Err(error) }
}

fn verify_base(base: &BaseTx, config: &Config) -> Verdict {
    ensure(base.network_id == config.network_id, SyntacticError::WrongNetwork)?;
    ensure(base.blockchain_id == config.chain_id, SyntacticError::WrongChain)?;
    ensure(base.memo.len() <= MAX_MEMO_LEN, SyntacticError::MemoTooLarge(base.memo.len()))
}

/// Lists are in order, and what is spent of each asset covers what is made and the fee.
fn verify_flow(
    fee_asset: Id,
    fee: u64,
    inputs: [&[TransferableInput]; 2],
    outputs: [&[TransferableOutput]; 2],
) -> Verdict {
    let mut produced = BTreeMap::from([(fee_asset, fee)]);
    let mut consumed = BTreeMap::new();
    let add = |sums: &mut BTreeMap<Id, u64>, asset, amount| {
        let sum = sums.entry(asset).or_default();
        *sum = sum.checked_add(amount).ok_or(SyntacticError::Overflow)?;
        Ok(())
    };
    for list in outputs {
        for output in list {
            ensure(output.asset_id != Id::EMPTY, SyntacticError::EmptyAssetId)?;
            let Output::SecpTransfer(out) = &output.out else { return Err(SyntacticError::NotTransferable) };
            verify_output(&output.out)?;
            add(&mut produced, output.asset_id, out.amount)?;
        }
        ensure(avax::outputs_are_sorted(list), SyntacticError::OutputsNotSorted)?;
    }
    for list in inputs {
        for input in list {
            ensure(input.asset_id != Id::EMPTY, SyntacticError::EmptyAssetId)?;
            let Input::SecpTransfer(transfer) = &input.input;
            ensure(transfer.amount > 0, SyntacticError::NoValueInput)?;
            verify_indices(&transfer.input)?;
            add(&mut consumed, input.asset_id, transfer.amount)?;
        }
        ensure(avax::inputs_are_sorted_and_unique(list), SyntacticError::InputsNotSortedUnique)?;
    }
    let covered = produced.iter().all(|(asset, amount)| *amount <= consumed.get(asset).copied().unwrap_or(0));
    ensure(covered, SyntacticError::InsufficientFunds)
}

fn verify_names(tx: &CreateAssetTx) -> Verdict {
    let (name, symbol) = (tx.name.as_bytes(), tx.symbol.as_bytes());
    ensure(!name.is_empty(), SyntacticError::NameTooShort)?;
    ensure(name.len() <= MAX_NAME_LEN, SyntacticError::NameTooLong)?;
    ensure(!symbol.is_empty(), SyntacticError::SymbolTooShort)?;
    ensure(symbol.len() <= MAX_SYMBOL_LEN, SyntacticError::SymbolTooLong)?;
    ensure(!tx.states.is_empty(), SyntacticError::NoFxs)?;
    ensure(tx.denomination <= MAX_DENOMINATION, SyntacticError::DenominationTooLarge)?;
    let text = String::from_utf8_lossy(name);
    ensure(text.trim() == text, SyntacticError::UnexpectedWhitespace)?;
    let legal = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
    ensure(legal, SyntacticError::IllegalNameCharacter)?;
    ensure(symbol.iter().all(u8::is_ascii_uppercase), SyntacticError::IllegalSymbolCharacter)
}

fn verify_states(tx: &CreateAssetTx) -> Verdict {
    for state in &tx.states {
        ensure(state.fx_index < FXS, SyntacticError::UnknownFx)?;
        state.outs.iter().try_for_each(verify_output)?;
        let ordered = state.outs.is_sorted_by(|left, right| marshal(left) <= marshal(right));
        ensure(ordered, SyntacticError::OutputsNotSorted)?;
    }
    let ordered = tx.states.is_sorted_by(|left, right| left.fx_index < right.fx_index);
    ensure(ordered, SyntacticError::InitialStatesNotSortedUnique)
}

fn verify_operations(tx: &OperationTx) -> Verdict {
    let mut spent: BTreeSet<_> = tx.base.ins.iter().map(|input| input.utxo_id).collect();
    for operation in &tx.ops {
        verify_operation(operation)?;
        for id in &operation.utxo_ids {
            ensure(spent.insert(*id), SyntacticError::DoubleSpend)?;
        }
    }
    let ordered = tx.ops.is_sorted_by(|left, right| body(left) < body(right));
    ensure(ordered, SyntacticError::OperationsNotSortedUnique)
}

fn verify_operation(operation: &Operation) -> Verdict {
    let ordered = operation.utxo_ids.is_sorted_by(|left, right| left < right);
    ensure(ordered, SyntacticError::UtxoIdsNotSortedUnique)?;
    ensure(operation.asset_id != Id::EMPTY, SyntacticError::EmptyAssetId)?;
    match &operation.op {
        FxOperation::SecpMint(op) => {
            verify_indices(&op.mint_input)?;
            verify_owners(&op.mint_output.owners)?;
            verify_transfer(&op.transfer_output)
        }
        FxOperation::NftMint(op) => {
            ensure(op.payload.len() <= MAX_PAYLOAD_LEN, SyntacticError::PayloadTooLarge)?;
            op.outputs.iter().try_for_each(verify_owners)?;
            verify_indices(&op.mint_input)
        }
        FxOperation::NftTransfer(op) => {
            verify_indices(&op.input)?;
            verify_token(&op.output)
        }
        FxOperation::PropertyMint(op) => {
            verify_indices(&op.mint_input)?;
            verify_owners(&op.mint_output.owners)?;
            verify_owners(&op.owned_output.owners)
        }
        FxOperation::PropertyBurn(op) => verify_indices(&op.input),
    }
}

/// Checks what an output says about itself.
///
/// # Errors
/// The rule that is broken.
pub fn verify_output(output: &Output) -> Verdict {
    match output {
        Output::SecpMint(out) => verify_owners(&out.owners),
        Output::SecpTransfer(out) => verify_transfer(out),
        Output::NftMint(out) => verify_owners(&out.owners),
        Output::NftTransfer(out) => verify_token(out),
        Output::PropertyMint(out) => verify_owners(&out.owners),
        Output::PropertyOwned(out) => verify_owners(&out.owners),
    }
}

fn verify_transfer(out: &secp256k1fx::TransferOutput) -> Verdict {
    ensure(out.amount > 0, SyntacticError::NoValueOutput)?;
    verify_owners(&out.owners)
}

fn verify_token(out: &nftfx::TransferOutput) -> Verdict {
    ensure(out.payload.len() <= MAX_PAYLOAD_LEN, SyntacticError::PayloadTooLarge)?;
    verify_owners(&out.owners)
}

fn verify_owners(owners: &OutputOwners) -> Verdict {
    let enough = usize::try_from(owners.threshold).is_ok_and(|threshold| threshold <= owners.addrs.len());
    ensure(enough, SyntacticError::OutputUnspendable)?;
    ensure(owners.threshold > 0 || owners.addrs.is_empty(), SyntacticError::OutputUnoptimized)?;
    ensure(owners.addrs.is_sorted_by(|left, right| left < right), SyntacticError::AddrsNotSortedUnique)
}

fn verify_indices(input: &secp256k1fx::Input) -> Verdict {
    let ordered = input.sig_indices.is_sorted_by(|left, right| left < right);
    ensure(ordered, SyntacticError::InputIndicesNotSortedUnique)
}
