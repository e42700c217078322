//! Reads what is committed, from any thread and without the writer: blocks, their undo data, transactions and the indexes.

use std::{collections::BTreeSet, sync::Arc};

use fluxd_consensus::params::Params;
use fluxd_primitives::{Block, BlockHash, OutPoint, Transaction, TxId};
use fluxd_storage::{
    AddressDelta, AddressKey, AddressUtxo, BlockRow, BlockUndo, Coins, NodeEvent, Position, SpentRow,
    StoreReader, View,
};

use crate::{chain::Result, error::ChainError, follow::IndexKind};

/// Reads what is committed.
#[derive(Debug, Clone)]
pub struct ChainReader {
    store: StoreReader,
    params: Arc<Params>,
    indexes: BTreeSet<IndexKind>,
}

/// A transaction with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The transaction.
    pub tx: Transaction,
    /// Its block.
    pub block: BlockHash,
    /// Its place in the block.
    pub number: u32,
}

impl ChainReader {
    pub(crate) fn new(store: StoreReader, params: Arc<Params>, indexes: BTreeSet<IndexKind>) -> Self {
        Self { store, params, indexes }
    }

    /// The network.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &StoreReader {
        &self.store
    }

    /// All tables as they are now.
    #[must_use]
    pub fn view(&self) -> View {
        self.store.view()
    }

    /// True when an index is kept.
    #[must_use]
    pub fn has(&self, kind: IndexKind) -> bool {
        self.indexes.contains(&kind)
    }

    /// What is known about a block, its header included.
    ///
    /// # Errors
    /// The store fails.
    pub fn row(&self, hash: &BlockHash) -> Result<Option<BlockRow>> {
        Ok(self.view().block(hash)?)
    }

    /// A block.
    ///
    /// # Errors
    /// It is not known, its body is not stored, or the store fails.
    pub fn block(&self, hash: &BlockHash) -> Result<Block> {
        let row = self.row(hash)?.ok_or(ChainError::UnknownBlock(*hash))?;
        let position = row.block.ok_or(ChainError::NoBody(*hash))?;
        Ok(self.store.block(position)?)
    }

    /// The block of the active chain at a height.
    ///
    /// # Errors
    /// The store fails.
    pub fn hash_at(&self, height: u32) -> Result<Option<BlockHash>> {
        Ok(self.view().hash_at(height)?)
    }

    /// The outputs that a block spent; the genesis block and blocks that were never connected have none.
    ///
    /// # Errors
    /// It is not known, its undo data is not stored, or the store fails.
    pub fn undo(&self, hash: &BlockHash) -> Result<BlockUndo> {
        let row = self.row(hash)?.ok_or(ChainError::UnknownBlock(*hash))?;
        let position = row.block.ok_or(ChainError::NoBody(*hash))?;
        let offset = row.undo_offset.ok_or(ChainError::NoUndo(*hash))?;
        Ok(self.store.undo(Position { file: position.file, offset }, &row.header.prev)?)
    }

    /// The unspent outputs of a transaction.
    ///
    /// # Errors
    /// The store fails.
    pub fn coins(&self, txid: &TxId) -> Result<Option<Coins>> {
        Ok(self.view().coins(txid)?)
    }

    /// A transaction: through the index where it is kept, else through its unspent outputs, as the reference does.
    ///
    /// # Errors
    /// The store fails.
    pub fn transaction(&self, txid: &TxId) -> Result<Option<Found>> {
        let view = self.view();
        if self.has(IndexKind::Transactions) {
            let Some(place) = view.tx_place(txid)? else { return Ok(None) };
            let block = self.block(&place.block)?;
            let number = usize::try_from(place.number).unwrap_or(usize::MAX);
            let tx = block.transactions.into_iter().nth(number);
            return Ok(tx.map(|tx| Found { tx, block: place.block, number: place.number }));
        }
        let Some(coins) = view.coins(txid)? else { return Ok(None) };
        let Some(hash) = view.hash_at(coins.origin.height)? else { return Ok(None) };
        self.transaction_in(txid, &hash)
    }

    /// A transaction of a block.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn transaction_in(&self, txid: &TxId, block: &BlockHash) -> Result<Option<Found>> {
        let transactions = self.block(block)?.transactions;
        let found = (0..).zip(transactions).find(|(_, tx)| tx.txid() == *txid);
        Ok(found.map(|(number, tx)| Found { tx, block: *block, number }))
    }

    /// Who spent an output.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn spent(&self, outpoint: &OutPoint) -> Result<Option<SpentRow>> {
        Ok(self.indexed(IndexKind::Spent)?.spent(outpoint)?)
    }

    /// The changes of an address's balance in blocks of these heights.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn address_deltas(
        &self,
        address: &AddressKey,
        heights: std::ops::RangeInclusive<u32>,
    ) -> Result<Vec<AddressDelta>> {
        Ok(self.indexed(IndexKind::Addresses)?.address_deltas(address, heights)?)
    }

    /// The unspent outputs of an address with the heights of their blocks, in the order of their outpoints.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn address_utxos(&self, address: &AddressKey) -> Result<Vec<(AddressUtxo, u32)>> {
        let view = self.indexed(IndexKind::Addresses)?;
        let mut found = Vec::new();
        for utxo in view.address_utxos(address)? {
            // An index that lags may name outputs that are spent since.
            if let Some(coins) = view.coins(&utxo.outpoint.txid)? {
                found.push((utxo, coins.origin.height));
            }
        }
        Ok(found)
    }

    /// The ids of all transactions that touch an address in blocks of these heights, in the order of the chain.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn address_txids(
        &self,
        address: &AddressKey,
        heights: std::ops::RangeInclusive<u32>,
    ) -> Result<Vec<(u32, TxId)>> {
        let mut found: Vec<(u32, TxId)> =
            self.address_deltas(address, heights)?.iter().map(|delta| (delta.height, delta.txid)).collect();
        found.dedup();
        Ok(found)
    }

    /// The blocks with logical times `from <= time < to`, in the order of time; also such as are not active any more.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn blocks_by_time(&self, from: u32, to: u32) -> Result<Vec<(u32, BlockHash)>> {
        Ok(self.indexed(IndexKind::Timestamps)?.blocks_by_time(from, to)?)
    }

    /// The fluxnode transactions of a collateral, oldest first.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn node_history(&self, collateral: &OutPoint) -> Result<Vec<NodeEvent>> {
        Ok(self.indexed(IndexKind::Nodes)?.node_history(collateral)?)
    }

    fn indexed(&self, kind: IndexKind) -> Result<View> {
        if self.has(kind) { Ok(self.view()) } else { Err(ChainError::NoIndex(kind.name())) }
    }
}
