//! Blocks and transactions as contracts see them. Mirrors `LedgerContract.cs`, `TrimmedBlock.cs` and
//! `TransactionState.cs`.

use std::sync::Arc;

use neo_base::{
    Int, UInt160, UInt256,
    codec::{self, Wire, read_list, write_list},
    ledger::{Attribute, Block, Header, Transaction},
};
use neo_vm::{Bytes, Result, StackItem, State};
use shared_vendor::bytes::{Reader, Writer};

use super::{
    ContractId, Vm, policy,
    rows::{self, Fields, Read},
};
use crate::{
    engine::{Application, EngineError, Store, signer_item, transaction_item},
    hardfork::Hardfork,
};

const BLOCK: u8 = 5;
const BLOCK_HASH: u8 = 9;
const TRANSACTION: u8 = 11;
const CURRENT: u8 = 12;

/// A stored block: its header and the hashes of its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimmedBlock {
    /// The header.
    pub header: Header,
    /// Hashes in order of execution.
    pub hashes: Vec<UInt256>,
}

impl Wire for TrimmedBlock {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self { header: Wire::read(reader)?, hashes: read_list(reader, 65_535, 32)? })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        write_list(writer, &self.hashes);
    }
}

/// A stored transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionState {
    /// Height of its block.
    pub block_index: u32,
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// How its script ended; `Break` while it has not run.
    pub state: State,
}

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::LEDGER, prefix, parts)
}

/// Numbers of states in scripts and rows.
fn state_byte(state: State) -> u8 {
    match state {
        State::Halt => 1,
        State::Fault => 2,
        State::Running | State::Break => 0,
    }
}

/// Hash and height of the last stored block; `None` before the first.
///
/// # Errors
/// The store fails.
pub fn current<S: Store + ?Sized>(store: &S) -> Read<Option<(UInt256, u32)>> {
    let Some(fields) = rows::list(store, &key(CURRENT, &[]))? else { return Ok(None) };
    let hash = UInt256::from_slice(&fields.raw(0)?);
    let index = fields.int(1)?.to_u64().and_then(|index| u32::try_from(index).ok());
    hash.zip(index).map(Some).ok_or(EngineError::State("current block"))
}

/// Height of the last stored block.
///
/// # Errors
/// The store fails, or holds no block.
pub fn current_index<S: Store + ?Sized>(store: &S) -> Read<u32> {
    current(store)?.map(|(_, index)| index).ok_or(EngineError::State("no current block"))
}

/// Hash of the block of a height.
///
/// # Errors
/// The store fails.
pub fn block_hash<S: Store + ?Sized>(store: &S, index: u32) -> Read<Option<UInt256>> {
    let bytes = rows::bytes(store, &key(BLOCK_HASH, &[&index.to_be_bytes()]))?;
    Ok(bytes.and_then(|bytes| UInt256::from_slice(&bytes)))
}

/// A block without its transactions.
///
/// # Errors
/// The store fails.
pub fn trimmed_block<S: Store + ?Sized>(store: &S, hash: &UInt256) -> Read<Option<TrimmedBlock>> {
    rows::wire(store, &key(BLOCK, &[&hash.0]))
}

/// A block with its transactions.
///
/// # Errors
/// The store fails.
pub fn block<S: Store + ?Sized>(store: &S, hash: &UInt256) -> Read<Option<Block>> {
    let Some(trimmed) = trimmed_block(store, hash)? else { return Ok(None) };
    let transactions = trimmed.hashes.iter().map(|hash| {
        let state = transaction(store, hash)?.ok_or(EngineError::State("a transaction of a block"))?;
        Ok(Arc::unwrap_or_clone(state.transaction))
    });
    Ok(Some(Block { header: trimmed.header, transactions: transactions.collect::<Read<_>>()? }))
}

/// A transaction on the chain.
///
/// # Errors
/// The store fails.
pub fn transaction<S: Store + ?Sized>(store: &S, hash: &UInt256) -> Read<Option<TransactionState>> {
    let Some(fields) = rows::list(store, &key(TRANSACTION, &[&hash.0]))? else { return Ok(None) };
    if fields.len() < 3 {
        return Ok(None);
    }
    let damaged = EngineError::State("a transaction");
    let Ok(transaction) = Transaction::from_bytes(&fields.raw(1)?) else { return Err(damaged) };
    let state = match fields.int(2)?.to_u64() {
        Some(1) => State::Halt,
        Some(2) => State::Fault,
        _ => State::Break,
    };
    let block_index = record_height(&fields)?;
    Ok(Some(TransactionState { block_index, transaction: Arc::new(transaction), state }))
}

fn record_height(fields: &[StackItem]) -> Read<u32> {
    let height = fields.int(0)?.to_u64().and_then(|height| u32::try_from(height).ok());
    height.ok_or(EngineError::State("height of a transaction"))
}

/// True when the transaction is on the chain.
///
/// # Errors
/// The store fails.
pub fn has_transaction<S: Store + ?Sized>(store: &S, hash: &UInt256) -> Read<bool> {
    Ok(record(store, hash)? == Some(Record::Transaction))
}

/// What the chain has under the hash of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The transaction.
    Transaction,
    /// Only that others exclude it; see [`is_excluded`].
    Excluded,
}

/// What the chain has under a hash.
///
/// # Errors
/// The store fails.
pub fn record<S: Store + ?Sized>(store: &S, hash: &UInt256) -> Read<Option<Record>> {
    let fields = rows::list(store, &key(TRANSACTION, &[&hash.0]))?;
    Ok(fields.map(|fields| if fields.len() >= 3 { Record::Transaction } else { Record::Excluded }))
}

/// True when a transaction on the chain, of one of these signers, excludes this hash.
///
/// # Errors
/// The store fails.
pub fn is_excluded<S: Store + ?Sized>(
    store: &S,
    hash: &UInt256,
    signers: &[UInt160],
    traceable: u32,
) -> Read<bool> {
    let current = current_index(store)?;
    let visible = |row: &[u8]| -> Read<Option<bool>> {
        let Some(fields) = rows::list(store, row)? else { return Ok(None) };
        let stub = fields.len() < 3;
        Ok(Some(stub && is_traceable(current, record_height(&fields)?, traceable)))
    };
    if visible(&key(TRANSACTION, &[&hash.0]))? != Some(true) {
        return Ok(false);
    }
    for signer in signers {
        if visible(&key(TRANSACTION, &[&hash.0, &signer.0]))? == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_traceable(current: u32, index: u32, traceable: u32) -> bool {
    index <= current && u64::from(index).saturating_add(traceable.into()) > u64::from(current)
}

/// The row of a transaction with the result of its script.
#[must_use]
pub fn transaction_row(height: u32, transaction: &Transaction, state: State) -> (Vec<u8>, Bytes) {
    let fields =
        [StackItem::int(height), StackItem::bytes(transaction.to_bytes()), StackItem::int(state_byte(state))];
    (key(TRANSACTION, &[&transaction.hash().0]), rows::encode_struct(&fields))
}

/// Stores a block, its transactions, and what these exclude.
pub(super) fn on_persist<S: Store>(host: &mut Application<S>, block: &Block) {
    let (index, hash) = (block.header.body().index, block.header.hash());
    host.write(key(BLOCK_HASH, &[&index.to_be_bytes()]), Some(hash.0.into()));
    let hashes = block.transactions.iter().map(Transaction::hash).collect();
    let trimmed = TrimmedBlock { header: block.header.clone(), hashes };
    host.write(key(BLOCK, &[&hash.0]), Some(trimmed.to_bytes().into()));
    for transaction in &block.transactions {
        let (row, value) = transaction_row(index, transaction, State::Break);
        host.write(row, Some(value));
        for attribute in &transaction.body().attributes {
            let Attribute::Conflicts(excluded) = attribute else { continue };
            let stub = rows::encode_struct(&[StackItem::int(index)]);
            host.write(key(TRANSACTION, &[&excluded.0]), Some(stub.clone()));
            for signer in &transaction.body().signers {
                host.write(key(TRANSACTION, &[&excluded.0, &signer.account.0]), Some(stub.clone()));
            }
        }
    }
}

/// Makes the block the current one.
pub(super) fn post_persist<S: Store>(host: &mut Application<S>, block: &Block) {
    let (key, value) = current_row(block.header.hash(), block.header.body().index);
    host.write(key, Some(value));
}

/// The row that names the current block.
#[must_use]
pub fn current_row(hash: UInt256, height: u32) -> (Vec<u8>, Bytes) {
    let fields = [StackItem::bytes(hash.0), StackItem::int(height)];
    (key(CURRENT, &[]), rows::encode_struct(&fields))
}

/// How far back the executing script sees.
fn visible_from<S: Store>(engine: &Vm<S>, index: u32) -> Result<bool> {
    let settings = &engine.host.environment().settings;
    let traceable = if engine.host.is_active(Hardfork::Echidna) {
        policy::stored_setting(&engine.host, "getMaxTraceableBlocks")?
    } else {
        settings.max_traceable_blocks
    };
    Ok(is_traceable(current_index(&engine.host)?, index, traceable))
}

fn visible_block<S: Store>(engine: &Vm<S>, index_or_hash: &[u8]) -> Result<Option<TrimmedBlock>> {
    let hash = if index_or_hash.len() < 32 {
        let index = Int::from_bytes(index_or_hash).to_u64().and_then(|index| u32::try_from(index).ok());
        block_hash(&engine.host, index.ok_or(EngineError::Argument("no height"))?)?
    } else {
        Some(UInt256::from_slice(index_or_hash).ok_or(EngineError::Argument("neither height nor hash"))?)
    };
    let Some(hash) = hash else { return Ok(None) };
    match trimmed_block(&engine.host, &hash)? {
        Some(block) if visible_from(engine, block.header.body().index)? => Ok(Some(block)),
        _ => Ok(None),
    }
}

pub(super) fn get_block<S: Store>(engine: &mut Vm<S>, index_or_hash: &[u8]) -> Result<StackItem> {
    let Some(block) = visible_block(engine, index_or_hash)? else { return Ok(StackItem::Null) };
    let (header, body) = (&block.header, block.header.body());
    let fields = vec![
        StackItem::bytes(header.hash().0),
        StackItem::int(0),
        StackItem::bytes(body.previous.0),
        StackItem::bytes(body.merkle_root.0),
        StackItem::int(body.timestamp),
        StackItem::int(body.nonce),
        StackItem::int(body.index),
        StackItem::int(body.primary),
        StackItem::bytes(body.next_consensus.0),
        StackItem::int(block.hashes.len()),
    ];
    Ok(engine.heap.new_array(fields))
}

fn visible_transaction<S: Store>(engine: &Vm<S>, hash: &UInt256) -> Result<Option<TransactionState>> {
    match transaction(&engine.host, hash)? {
        Some(state) if visible_from(engine, state.block_index)? => Ok(Some(state)),
        _ => Ok(None),
    }
}

/// Runs a method that looks at one transaction.
pub(super) fn get_transaction<S: Store>(
    engine: &mut Vm<S>,
    method: &str,
    hash: &UInt256,
) -> Result<StackItem> {
    let found = visible_transaction(engine, hash)?;
    Ok(match (method, found) {
        ("getTransactionHeight", found) => {
            found.map_or(StackItem::int(-1), |state| StackItem::int(state.block_index))
        }
        ("getTransactionVMState", found) => StackItem::int(found.map_or(0, |state| state_byte(state.state))),
        (_, None) => StackItem::Null,
        ("getTransactionSigners", Some(state)) => {
            let signers = &state.transaction.body().signers;
            let items = signers.iter().map(|signer| signer_item(&mut engine.heap, signer)).collect();
            engine.heap.new_array(items)
        }
        (_, Some(state)) => transaction_item(&mut engine.heap, &state.transaction),
    })
}

pub(super) fn get_transaction_from_block<S: Store>(
    engine: &mut Vm<S>,
    index_or_hash: &[u8],
    index: i32,
) -> Result<StackItem> {
    let Some(block) = visible_block(engine, index_or_hash)? else { return Ok(StackItem::Null) };
    let hash = usize::try_from(index).ok().and_then(|index| block.hashes.get(index));
    let hash = hash.ok_or(EngineError::Argument("the block has fewer transactions"))?;
    Ok(match transaction(&engine.host, hash)? {
        Some(state) => transaction_item(&mut engine.heap, &state.transaction),
        None => StackItem::Null,
    })
}
