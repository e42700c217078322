//! Whether the database holds what it should: the state on disk against itself and against the folded block, every block
//! against its place.

use super::{Chain, ChainError};
use crate::{
    state::{encoding, tree},
    storage::Database,
    types::{
        codec::encode,
        primitives::{Root, Slot},
        ssz::sha256,
        transaction::Tx,
    },
};

/// Entries read at once.
const ENTRIES_AT_ONCE: u32 = 4096;

impl<D: Database> Chain<D> {
    /// Checks the state on disk against itself: the tree against all entries, the root of the whole against the header
    /// of the folded block.
    ///
    /// # Errors
    /// The database failed, or what does not fit.
    pub fn verify_database(&self) -> Result<(), ChainError> {
        let (mut leaves, mut next) = (Vec::new(), Some([0; 32]));
        while let Some(first) = next {
            let entries = self.db.entries_from(&first, ENTRIES_AT_ONCE)?;
            leaves.extend(entries.iter().map(|(key, value)| (sha256(key), Some(sha256(value)))));
            next = entries.last().and_then(|(key, _)| tree::path::successor(&sha256(key)));
        }
        let fresh = tree::update::update_hashed(&tree::MemoryNodes::default(), &leaves);
        for (path, node) in &fresh.writes {
            if self.db.node(&path.to_bytes()) != node.as_ref().map(encode) {
                self.db.health()?;
                return Err(ChainError::Inconsistent("a tree node is not that of the entries"));
            }
        }
        let state = encoding::from_rows(&self.db.state_rows()?)
            .map_err(|_| ChainError::Inconsistent("malformed consensus state"))?;
        let stored = self.db.block(&self.folded.0)?.ok_or(ChainError::Inconsistent("no folded block"))?;
        let root = state.combined_root(&self.config.params, &Root(fresh.root));
        if root == stored.block.header.header.state_root {
            Ok(())
        } else {
            Err(ChainError::Inconsistent("the state on disk is not that of the folded block"))
        }
    }

    /// Checks every block of the head's chain that is kept: its root, its parent, its body and its transactions; gives
    /// how many there are.
    ///
    /// # Errors
    /// The database failed, or what does not fit.
    pub fn verify_blocks(&self) -> Result<u64, ChainError> {
        let mut count = 0u64;
        let mut before: Option<(Slot, Root)> = None;
        for slot in 0..=self.head_slot() {
            let Some(root) = self.db.canonical(slot)? else { continue };
            let stored =
                self.db.block(&root)?.ok_or(ChainError::Inconsistent("a block of the chain is missing"))?;
            let header = &stored.block.header.header;
            if stored.block.root() != root || header.slot != slot || !stored.block.body_matches() {
                return Err(ChainError::Inconsistent("a block is not that of its root"));
            }
            if before.is_some_and(|(_, parent)| parent != header.parent_root) {
                return Err(ChainError::Inconsistent("a block is not the child of the one before"));
            }
            let ids = &stored.block.body.tx_ids;
            let pruned = stored.txs.is_empty() && stored.receipts.is_empty();
            if !pruned && !stored.txs.iter().map(Tx::id).eq(ids.iter().copied()) {
                return Err(ChainError::Inconsistent("transactions are not those of their block"));
            }
            before = Some((slot, root));
            count = count.saturating_add(1);
        }
        if before.is_some_and(|(_, root)| root == self.head()) {
            Ok(count)
        } else {
            Err(ChainError::Inconsistent("the chain by slot does not end at the head"))
        }
    }
}
