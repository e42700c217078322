//! A set of changes that is written as one.

use std::collections::BTreeMap;

use fluxd_fluxnode::{Node, Undo};
use fluxd_primitives::{BlockHash, Codec, Hash256, OutPoint, PublicKey, TxId};
use fluxd_shielded::{SaplingTree, SproutTree};

use crate::{
    coins::Coins,
    error::RowError,
    nodes::{self, NodeList},
    schema::{self, BlockRow, FileInfo, Table, Tip},
};

/// One change of a row: a new value, or none.
pub(crate) type Change = (Table, Vec<u8>, Option<Vec<u8>>);

/// A set of changes that is written as one; later changes of a row replace earlier ones.
#[derive(Debug, Default)]
pub struct Batch {
    changes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch {
    /// Moves the tip.
    pub fn put_tip(&mut self, tip: &Tip) {
        self.put(Table::Meta, schema::TIP, schema::tip_row(tip));
    }

    /// Sets what is known about a block.
    pub fn put_block(&mut self, hash: &BlockHash, block: &BlockRow) {
        self.put(Table::Blocks, &hash.0, schema::block_row(block));
    }

    /// Sets the block of the best chain at a height, or takes the height off the chain.
    pub fn set_height(&mut self, height: u32, hash: Option<&BlockHash>) {
        self.set(Table::Heights, &schema::number_key(height), hash.map(|hash| hash.0.to_vec()));
    }

    /// Sets the coins of a transaction; coins of which nothing is left have no row.
    pub fn set_coins(&mut self, txid: &TxId, coins: Option<&Coins>) {
        let row = coins.filter(|coins| !coins.is_spent()).map(Coins::to_bytes);
        self.set(Table::Coins, &txid.0, row);
    }

    /// Adds a Sprout tree under its root, or takes the root away.
    pub fn set_sprout_anchor(&mut self, root: &Hash256, tree: Option<&SproutTree>) {
        self.set(Table::SproutAnchors, &root.0, tree.map(SproutTree::to_bytes));
    }

    /// Adds a Sapling tree under its root, or takes the root away.
    pub fn set_sapling_anchor(&mut self, root: &Hash256, tree: Option<&SaplingTree>) {
        self.set(Table::SaplingAnchors, &root.0, tree.map(SaplingTree::to_bytes));
    }

    /// Marks a Sprout note as spent or as not spent.
    pub fn set_sprout_nullifier(&mut self, nullifier: &Hash256, spent: bool) {
        self.set(Table::SproutNullifiers, &nullifier.0, spent.then(Vec::new));
    }

    /// Marks a Sapling note as spent or as not spent.
    pub fn set_sapling_nullifier(&mut self, nullifier: &Hash256, spent: bool) {
        self.set(Table::SaplingNullifiers, &nullifier.0, spent.then(Vec::new));
    }

    /// Puts a node on a list, or takes it off.
    pub fn set_node(&mut self, list: NodeList, outpoint: &OutPoint, node: Option<&Node>) {
        self.set(Table::Nodes, &schema::node_key(list, outpoint), node.map(nodes::node_row));
    }

    /// Sets the delegate keys of a collateral; an empty list has no row.
    pub fn set_delegates(&mut self, outpoint: &OutPoint, keys: &[PublicKey]) {
        let row = (!keys.is_empty()).then(|| nodes::delegates_row(keys));
        self.set(Table::Delegates, &outpoint.to_bytes(), row);
    }

    /// Sets what takes a block's changes of nodes back.
    pub fn set_node_undo(&mut self, hash: &BlockHash, undo: Option<&Undo>) {
        self.set(Table::NodeUndo, &hash.0, undo.map(nodes::undo_row));
    }

    /// Takes over the changes of another set; they replace earlier ones of the same rows.
    pub fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
    }

    /// True when nothing would be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Sets what is known about a block as another store knew it, without where its body lies.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn put_bare_block(&mut self, key: &[u8], row: &[u8]) -> Result<(), RowError> {
        let hash = BlockHash::from_bytes(key)?;
        let block = schema::read_block_row(row)?;
        self.put_block(&hash, &BlockRow { block: None, undo_offset: None, ..block });
        Ok(())
    }

    /// Sets or clears a mark that survives restarts.
    pub fn set_flag(&mut self, name: &str, on: bool) {
        self.set(Table::Meta, &schema::flag_key(name), on.then(Vec::new));
    }

    pub(crate) fn remove_file(&mut self, number: u32) {
        self.set(Table::Files, &schema::number_key(number), None);
    }

    pub(crate) fn put_file(&mut self, number: u32, info: &FileInfo) {
        self.put(Table::Files, &schema::number_key(number), schema::file_row(info));
    }

    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.set(table, key, Some(value));
    }

    /// The changes, one per row, in the order of tables and keys.
    pub(crate) fn into_changes(self) -> impl Iterator<Item = Change> {
        self.changes.into_iter().map(|((table, key), value)| (table, key, value))
    }

    pub(crate) fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        self.changes.insert((table, key.to_vec()), value);
    }
}
