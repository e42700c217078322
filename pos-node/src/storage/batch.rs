//! What is written together.

use crate::types::{
    block::SignedBlock,
    operation::Checkpoint,
    primitives::{Epoch, Root, Slot},
    transaction::{Receipt, Tx},
};
use std::sync::Arc;

/// A block with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block.
    pub block: SignedBlock,
    /// Its transactions, in order.
    pub txs: Vec<Tx>,
    /// Their receipts, in order.
    pub receipts: Vec<Receipt>,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxPlace {
    /// The block.
    pub block: Root,
    /// Its slot.
    pub slot: Slot,
    /// Position in the block.
    pub index: usize,
}

/// A piece of the consensus state: number of the field, number of the piece, bytes.
pub type StateRow = (u32, u32, Vec<u8>);

/// Key and value of an application entry.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Bytes to write, or to delete where there are none, by key.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A block's changes on their way into the one state on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// The block, a child of the folded one (or the first).
    pub root: Root,
    /// Application values.
    pub values: Writes,
    /// Nodes of the application tree by path.
    pub nodes: Writes,
    /// Pieces of the consensus state that differ from those of the folded block. A piece without bytes is deleted.
    pub state: Vec<StateRow>,
}

/// A finality certificate with the set that signed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateRow {
    /// Epoch of the certificate.
    pub epoch: Epoch,
    /// Its first slot.
    pub slot: Slot,
    /// Its encoding.
    pub certificate: Vec<u8>,
    /// Root of the set.
    pub signers_root: Root,
    /// Encoding of the set; kept once however many certificates it signed.
    pub signers: Vec<u8>,
}

/// What is written whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// A new block.
    pub block: Option<(Root, Arc<StoredBlock>)>,
    /// Blocks of the head's chain by slot; a slot without one loses its row.
    pub canonical: Vec<(Slot, Option<Root>)>,
    /// A block to fold.
    pub fold: Option<Fold>,
    /// The new final checkpoint.
    pub finalized: Option<Checkpoint>,
    /// Blocks that can never be final.
    pub forget: Vec<Root>,
    /// New certificates.
    pub certificates: Vec<CertificateRow>,
}
