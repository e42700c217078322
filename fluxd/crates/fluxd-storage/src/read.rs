//! A consistent view of all tables.

use fluxd_fluxnode::{Node, Undo};
use fluxd_primitives::{BlockHash, Codec, Hash256, OutPoint, PublicKey, TxId};
use fluxd_shielded::{SaplingTree, SproutTree};

use crate::{
    Result,
    backend::Snapshot,
    coins::Coins,
    error::{RowError, StoreError},
    nodes::{self, NodeList},
    schema::{self, BlockRow, FileInfo, Table, Tip},
};

/// All tables as they were at one moment. Every getter fails when the engine does or when a row is damaged.
#[derive(Debug)]
pub struct View(pub(crate) Snapshot);

impl View {
    /// The block that all state belongs to; `None` in a new store.
    ///
    /// # Errors
    /// See [`View`].
    pub fn tip(&self) -> Result<Option<Tip>> {
        self.row(Table::Meta, schema::TIP, schema::read_tip)
    }

    /// What is known about a block.
    ///
    /// # Errors
    /// See [`View`].
    pub fn block(&self, hash: &BlockHash) -> Result<Option<BlockRow>> {
        self.row(Table::Blocks, &hash.0, schema::read_block_row)
    }

    /// All known blocks, in the order of their hashes.
    ///
    /// # Errors
    /// See [`View`]; the walk stops at the first error, also of `visit`.
    pub fn for_each_block(&self, mut visit: impl FnMut(BlockHash, BlockRow) -> Result<()>) -> Result<()> {
        self.rows(
            Table::Blocks,
            |key, row| Ok((BlockHash::from_bytes(key)?, schema::read_block_row(row)?)),
            |(hash, block)| visit(hash, block),
        )
    }

    /// The block of the best chain at a height.
    ///
    /// # Errors
    /// See [`View`].
    pub fn hash_at(&self, height: u32) -> Result<Option<BlockHash>> {
        self.row(Table::Heights, &schema::number_key(height), |row| Ok(BlockHash::from_bytes(row)?))
    }

    /// The unspent outputs of a transaction.
    ///
    /// # Errors
    /// See [`View`].
    pub fn coins(&self, txid: &TxId) -> Result<Option<Coins>> {
        self.row(Table::Coins, &txid.0, Coins::from_bytes)
    }

    /// All unspent outputs, in the order of their transaction ids.
    ///
    /// # Errors
    /// See [`View`]; the walk stops at the first error, also of `visit`.
    pub fn for_each_coins(&self, mut visit: impl FnMut(TxId, Coins) -> Result<()>) -> Result<()> {
        self.rows(
            Table::Coins,
            |key, row| Ok((TxId::from_bytes(key)?, Coins::from_bytes(row)?)),
            |(txid, coins)| visit(txid, coins),
        )
    }

    /// The Sprout tree with this root.
    ///
    /// # Errors
    /// See [`View`].
    pub fn sprout_anchor(&self, root: &Hash256) -> Result<Option<SproutTree>> {
        self.row(Table::SproutAnchors, &root.0, |row| Ok(SproutTree::from_bytes(row)?))
    }

    /// The Sapling tree with this root.
    ///
    /// # Errors
    /// See [`View`].
    pub fn sapling_anchor(&self, root: &Hash256) -> Result<Option<SaplingTree>> {
        self.row(Table::SaplingAnchors, &root.0, |row| Ok(SaplingTree::from_bytes(row)?))
    }

    /// True when a Sprout note is spent.
    ///
    /// # Errors
    /// See [`View`].
    pub fn has_sprout_nullifier(&self, nullifier: &Hash256) -> Result<bool> {
        Ok(self.0.get(Table::SproutNullifiers, &nullifier.0)?.is_some())
    }

    /// True when a Sapling note is spent.
    ///
    /// # Errors
    /// See [`View`].
    pub fn has_sapling_nullifier(&self, nullifier: &Hash256) -> Result<bool> {
        Ok(self.0.get(Table::SaplingNullifiers, &nullifier.0)?.is_some())
    }

    /// All fluxnodes: started, then on the DoS list, then confirmed, each in the order of their collateral.
    ///
    /// # Errors
    /// See [`View`].
    pub fn nodes(&self) -> Result<Vec<(NodeList, OutPoint, Node)>> {
        let mut found = Vec::new();
        let read = |key: &[u8], row: &[u8]| {
            let (list, outpoint) = schema::read_node_key(key)?;
            Ok((list, outpoint, nodes::read_node(row)?))
        };
        self.rows(Table::Nodes, read, |node| {
            found.push(node);
            Ok(())
        })?;
        Ok(found)
    }

    /// All delegate keys, in the order of their collateral.
    ///
    /// # Errors
    /// See [`View`].
    pub fn delegates(&self) -> Result<Vec<(OutPoint, Vec<PublicKey>)>> {
        let mut found = Vec::new();
        let read = |key: &[u8], row: &[u8]| Ok((OutPoint::from_bytes(key)?, nodes::read_delegates(row)?));
        self.rows(Table::Delegates, read, |entry| {
            found.push(entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// What takes a block's changes of nodes back.
    ///
    /// # Errors
    /// See [`View`].
    pub fn node_undo(&self, hash: &BlockHash) -> Result<Option<Undo>> {
        self.row(Table::NodeUndo, &hash.0, nodes::read_undo)
    }

    /// All flat files, in the order of their numbers.
    ///
    /// # Errors
    /// See [`View`].
    pub fn files(&self) -> Result<Vec<(u32, FileInfo)>> {
        let mut found = Vec::new();
        let read = |key: &[u8], row: &[u8]| Ok((schema::read_number(key)?, schema::read_file(row)?));
        self.rows(Table::Files, read, |entry| {
            found.push(entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// True when a mark is set.
    ///
    /// # Errors
    /// See [`View`].
    pub fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.0.get(Table::Meta, &schema::flag_key(name))?.is_some())
    }

    /// Every row as it lies in the store, in order: for snapshots and comparisons.
    ///
    /// # Errors
    /// See [`View`]; the walk stops at the first error, also of `visit`.
    pub fn for_each_raw(
        &self,
        table: Table,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.0.for_each(table, &mut visit)
    }

    pub(crate) fn row<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl Fn(&[u8]) -> std::result::Result<T, RowError>,
    ) -> Result<Option<T>> {
        let row = self.0.get(table, key)?;
        row.map(|row| read(&row))
            .transpose()
            .map_err(|source| StoreError::Row { table: table.name(), source })
    }

    fn rows<T>(
        &self,
        table: Table,
        read: impl Fn(&[u8], &[u8]) -> std::result::Result<T, RowError>,
        mut visit: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        self.0.for_each(table, &mut |key, row| {
            visit(read(key, row).map_err(|source| StoreError::Row { table: table.name(), source })?)
        })
    }

    /// The rows with keys `from <= key < to`, in order.
    pub(crate) fn range<T>(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        read: impl Fn(&[u8], &[u8]) -> std::result::Result<T, RowError>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.0.for_range(table, from, to, &mut |key, row| {
            found.push(read(key, row).map_err(|source| StoreError::Row { table: table.name(), source })?);
            Ok(())
        })?;
        Ok(found)
    }
}
