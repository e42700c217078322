//! The only module that names the database engine (SQLite). It knows rows, not rules: the chain's database behind
//! [`Database`], and the record of what validators signed ([`signed`]).
//!
//! The chain's rows are those of the folded block (the youngest one whose changes were written into the one state kept
//! on disk) and all blocks since. Every [`Batch`] is written whole or not at all.

pub mod batch;
pub mod memory;
pub mod schema;
pub mod signed;
pub mod sqlite;

pub use batch::{Batch, CertificateRow, Entry, Fold, StateRow, StoredBlock, TxPlace};
pub use memory::MemoryDatabase;
pub use schema::StoreError;
pub use sqlite::{History, SqliteDatabase};

use crate::types::{
    operation::Checkpoint,
    primitives::{Epoch, Root, Slot},
};
use std::sync::Arc;

/// The one state on disk: the folded block's.
pub trait FoldedState {
    /// Encoded node of the application tree at an encoded path; absent also when the read fails.
    fn node(&self, path: &[u8]) -> Option<Vec<u8>>;

    /// The folded block; none in an empty database.
    ///
    /// # Errors
    /// The engine failed.
    fn folded(&self) -> Result<Option<Root>, StoreError>;

    /// All rows of the consensus state, in order.
    ///
    /// # Errors
    /// The engine failed.
    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError>;

    /// Application entries whose keys hash to `first` or more, in the order of the hashes, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError>;
}

/// The rows of a chain. Reads of the state answer from the folded block; a read that fails answers nothing and is
/// remembered by [`Database::health`], which must be asked before anything is concluded from an absence.
pub trait Database: FoldedState {
    /// The folded state at one moment.
    type Snapshot: FoldedState + Send;

    /// The folded state as it is now, readable while commits go on.
    ///
    /// # Errors
    /// The engine failed.
    fn snapshot(&self) -> Result<Self::Snapshot, StoreError>;

    /// Whether the state of every folded block is remembered, so that none may be skipped.
    fn keeps_history(&self) -> bool {
        false
    }

    /// Whether snapshots keep so much of the past from being cleared away that they should be given up for new ones.
    fn snapshots_are_costly(&self) -> bool {
        false
    }

    /// Value of an application key.
    fn value(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// The first failure of a read so far.
    ///
    /// # Errors
    /// That failure.
    fn health(&self) -> Result<(), StoreError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// The engine failed: the process should end, and nothing of the batch is there when it starts again.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// The final checkpoint as of the last commit that named one.
    ///
    /// # Errors
    /// The engine failed.
    fn finalized(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// A block with its transactions and receipts.
    ///
    /// # Errors
    /// The engine failed.
    fn block(&self, root: &Root) -> Result<Option<Arc<StoredBlock>>, StoreError>;

    /// Roots of all blocks after a slot, oldest first.
    ///
    /// # Errors
    /// The engine failed.
    fn roots_after(&self, slot: Slot) -> Result<Vec<Root>, StoreError>;

    /// The block of the head's chain in a slot.
    ///
    /// # Errors
    /// The engine failed.
    fn canonical(&self, slot: Slot) -> Result<Option<Root>, StoreError>;

    /// Where the head's chain has a transaction, if that is in or after a slot. How long it takes grows with how far back
    /// the slot is.
    ///
    /// # Errors
    /// The engine failed.
    fn tx_place(&self, id: &Root, since: Slot) -> Result<Option<TxPlace>, StoreError>;

    /// Certificates from an epoch on, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    fn certificates(&self, from: Epoch, limit: u32) -> Result<Vec<CertificateRow>, StoreError>;
}
