//! Rules of whole blocks. Mirrors `CheckBlock` and `ContextualCheckBlock` in `src/main.cpp`, without proofs, signatures
//! and coins.

use std::{collections::HashSet, sync::Arc};

use fluxd_primitives::{Block, BlockHash, Codec, Transaction, TxId, block::merkle_root};
use fluxd_script::{instruction::count_sigops, number, opcode};

use crate::{
    check::transaction::{TxError, check_transaction, check_transaction_at, is_final},
    params::Params,
};

/// Longest block, in bytes.
pub const MAX_BLOCK_SIZE: usize = 2_000_000;
/// Most signature operations of a block.
pub const MAX_BLOCK_SIGOPS: u32 = 20_000;
/// Up to this height the coinbase need not begin with its height.
const HEIGHT_IN_COINBASE_AFTER: u32 = 20;

/// A rule that a block breaks; `Display` is the reject reason of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header commits to other transactions.
    #[error("bad-txnmrklroot")]
    MerkleRoot,
    /// The list repeats its tail without changing the root.
    #[error("bad-txns-duplicate")]
    DuplicateTransactions,
    /// No transactions, or too many bytes.
    #[error("bad-blk-length")]
    Length,
    /// The first transaction is not a coinbase.
    #[error("bad-cb-missing")]
    CoinbaseMissing,
    /// Another transaction is one.
    #[error("bad-cb-multiple")]
    CoinbaseMultiple,
    /// Two fluxnode transactions about one collateral.
    #[error("bad-fluxnode-tx-multiple")]
    FluxnodeMultiple,
    /// Too many signature operations.
    #[error("bad-blk-sigops")]
    SigOps,
    /// A transaction whose lock time has not passed.
    #[error("bad-txns-nonfinal")]
    NonFinal,
    /// The coinbase does not begin with the height.
    #[error("bad-cb-height")]
    CoinbaseHeight,
    /// A transaction breaks a rule of its own.
    #[error("transaction {index}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// The rule.
        #[source]
        rule: TxError,
    },
}

/// A block that satisfies every rule that can be judged without its place in a chain, with the ids that were computed
/// on the way. The proof of its header is not among these rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBlock {
    block: Arc<Block>,
    hash: BlockHash,
    txids: Vec<TxId>,
    size: usize,
}

impl CheckedBlock {
    /// Checks a block by itself.
    ///
    /// # Errors
    /// As [`check_block`].
    pub fn new(block: Arc<Block>) -> Result<Self, BlockError> {
        let txids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
        let size = block.to_bytes().len();
        check_body(&block, &txids, size)?;
        Ok(Self { hash: block.header.hash(), block, txids, size })
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The block, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<Block> {
        Arc::clone(&self.block)
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// The ids of its transactions, in their order.
    #[must_use]
    pub fn txids(&self) -> &[TxId] {
        &self.txids
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Its transactions with their ids.
    pub fn transactions(&self) -> impl Iterator<Item = (&TxId, &Transaction)> {
        self.txids.iter().zip(&self.block.transactions)
    }
}

/// Checks a block by itself: merkle root, sizes, coinbase, transactions.
///
/// # Errors
/// The first rule that is broken. [`BlockError::MerkleRoot`] and [`BlockError::DuplicateTransactions`] say nothing
/// about the block hash: the header may still have a valid body.
pub fn check_block(block: &Block) -> Result<(), BlockError> {
    let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
    check_body(block, &ids, block.to_bytes().len())
}

fn check_body(block: &Block, ids: &[TxId], size: usize) -> Result<(), BlockError> {
    let merkle = merkle_root(ids);
    if merkle.root != block.header.merkle_root {
        return Err(BlockError::MerkleRoot);
    }
    if merkle.mutated {
        return Err(BlockError::DuplicateTransactions);
    }
    let Some((coinbase, others)) = block.transactions.split_first() else {
        return Err(BlockError::Length);
    };
    if size > MAX_BLOCK_SIZE {
        return Err(BlockError::Length);
    }
    if !coinbase.is_coinbase() {
        return Err(BlockError::CoinbaseMissing);
    }
    let mut collaterals = HashSet::new();
    for tx in others {
        if tx.is_coinbase() {
            return Err(BlockError::CoinbaseMultiple);
        }
        if let Some(body) = &tx.fluxnode
            && !collaterals.insert(body.collateral())
        {
            return Err(BlockError::FluxnodeMultiple);
        }
    }
    for_each(block, check_transaction)?;
    let sigops = block.transactions.iter().map(legacy_sigops).fold(0_u32, u32::saturating_add);
    if sigops > MAX_BLOCK_SIGOPS { Err(BlockError::SigOps) } else { Ok(()) }
}

/// Checks a block at its height: upgrades, lock times, height in the coinbase.
///
/// # Errors
/// The first rule that is broken.
pub fn check_block_at(block: &Block, params: &Params, height: u32) -> Result<(), BlockError> {
    for_each(block, |tx| check_transaction_at(tx, params, height))?;
    if !block.transactions.iter().all(|tx| is_final(tx, height, i64::from(block.header.time))) {
        return Err(BlockError::NonFinal);
    }
    let script = block
        .transactions
        .first()
        .and_then(|tx| tx.inputs.first())
        .map_or(&[][..], |input| &input.script_sig.0);
    if height > HEIGHT_IN_COINBASE_AFTER && !script.starts_with(&height_push(height)) {
        return Err(BlockError::CoinbaseHeight);
    }
    Ok(())
}

/// Signature operations of all scripts of a transaction, without those of redeem scripts.
#[must_use]
pub fn legacy_sigops(tx: &Transaction) -> u32 {
    let inputs = tx.inputs.iter().map(|input| &input.script_sig.0);
    let outputs = tx.outputs.iter().map(|output| &output.script_pubkey.0);
    inputs.chain(outputs).map(|script| count_sigops(script, false)).fold(0, u32::saturating_add)
}

/// The instruction that pushes a height, which the coinbase begins with.
#[must_use]
pub fn height_push(height: u32) -> Vec<u8> {
    match u8::try_from(height) {
        Ok(0) => vec![opcode::PUSH_EMPTY],
        Ok(small @ 1..=16) => vec![opcode::PUSH_1 + small - 1],
        _ => {
            let bytes = number::encode(i64::from(height));
            [&[u8::try_from(bytes.len()).unwrap_or_default()][..], &bytes].concat()
        }
    }
}

fn for_each(block: &Block, check: impl Fn(&Transaction) -> Result<(), TxError>) -> Result<(), BlockError> {
    block
        .transactions
        .iter()
        .enumerate()
        .try_for_each(|(index, tx)| check(tx).map_err(|rule| BlockError::Transaction { index, rule }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Network;

    #[test]
    fn heights_are_pushed_in_their_shortest_form() {
        assert_eq!(height_push(16), [0x60]);
        assert_eq!(height_push(17), [1, 17]);
        assert_eq!(height_push(128), [2, 128, 0]);
        assert_eq!(height_push(2_020_000), [3, 0xa0, 0xd2, 0x1e]);
    }

    #[test]
    fn a_block_without_its_coinbase_or_with_two_is_refused() {
        let mut block = Params::of(Network::Main).genesis;
        assert_eq!(check_block(&block), Ok(()));
        let root = |block: &Block| {
            merkle_root(&block.transactions.iter().map(Transaction::txid).collect::<Vec<_>>()).root
        };
        let mut second = block.transactions[0].clone();
        second.lock_time = 1;
        block.transactions.push(second);
        assert_eq!(check_block(&block), Err(BlockError::MerkleRoot));
        block.header.merkle_root = root(&block);
        assert_eq!(check_block(&block), Err(BlockError::CoinbaseMultiple));
        block.transactions.clear();
        block.header.merkle_root = root(&block);
        assert_eq!(check_block(&block), Err(BlockError::Length));
    }
}
