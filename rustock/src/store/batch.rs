//! A set of changes that is written as one.

use super::{
    StoredHeader, Tip,
    schema::{self, Table},
};
use crate::types::{BlockHash, BlockNumber};

/// One change of a row.
pub(super) type Change = (Table, Vec<u8>, Option<Vec<u8>>);

/// A set of changes that is written as one; later changes of a row replace earlier ones.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Adds a header.
    pub fn put_header(&mut self, hash: &BlockHash, header: &StoredHeader) {
        self.put(Table::Headers, hash.0.to_vec(), schema::header_row(header));
    }

    /// Puts a block on the chain at its height.
    pub fn put_number(&mut self, number: BlockNumber, hash: &BlockHash) {
        self.put(Table::Numbers, schema::number_key(number).to_vec(), hash.0.to_vec());
    }

    /// Takes a height off the chain.
    pub fn delete_number(&mut self, number: BlockNumber) {
        self.changes.push((Table::Numbers, schema::number_key(number).to_vec(), None));
    }

    /// Moves the tip.
    pub fn put_tip(&mut self, tip: &Tip) {
        self.put(Table::Meta, schema::TIP.to_vec(), schema::tip_row(tip));
    }

    /// Remembers the block that was trusted.
    pub fn put_checkpoint(&mut self, block: &Tip) {
        self.put(Table::Meta, schema::CHECKPOINT.to_vec(), schema::tip_row(block));
    }

    /// Says which header above genesis is the lowest; `None` when none is missing.
    pub fn put_lowest(&mut self, block: Option<&Tip>) {
        self.changes.push((Table::Meta, schema::LOWEST.to_vec(), block.map(schema::tip_row)));
    }

    /// Sets a row.
    pub(super) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((table, key, Some(value)));
    }

    /// The changes in order.
    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}
