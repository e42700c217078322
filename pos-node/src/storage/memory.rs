//! The chain's rows in ordered maps, for tests and the simulator. Commits are lost by [`MemoryDatabase::crash`] until
//! [`MemoryDatabase::sync`].

use super::{
    Database, FoldedState,
    batch::{Batch, CertificateRow, Entry, StateRow, StoredBlock, TxPlace},
    schema::StoreError,
};
use crate::types::{
    operation::Checkpoint,
    primitives::{Epoch, Root, Slot},
    ssz::sha256,
};
use std::{collections::BTreeMap, sync::Arc};

/// What a database in memory holds.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    values: BTreeMap<[u8; 32], Entry>,
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    state: BTreeMap<(u32, u32), Vec<u8>>,
    blocks: BTreeMap<Root, Arc<StoredBlock>>,
    by_slot: BTreeMap<(Slot, Root), ()>,
    canonical: BTreeMap<Slot, Root>,
    txs: BTreeMap<Root, TxPlace>,
    certificates: BTreeMap<Epoch, CertificateRow>,
    folded: Option<Root>,
    finalized: Option<Checkpoint>,
}

/// A database in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDatabase {
    history: bool,
    live: Rows,
    synced: Rows,
    since_sync: Vec<Batch>,
}

impl MemoryDatabase {
    /// One that wants every block folded by itself, as an archive does.
    #[must_use]
    pub fn with_history() -> Self {
        Self { history: true, ..Self::default() }
    }

    /// Makes everything committed so far survive a crash.
    pub fn sync(&mut self) {
        for batch in std::mem::take(&mut self.since_sync) {
            self.synced.apply(&batch);
        }
    }

    /// Loses what was committed since the last [`MemoryDatabase::sync`].
    pub fn crash(&mut self) {
        self.since_sync.clear();
        self.live = self.synced.clone();
    }
}

impl Rows {
    fn apply(&mut self, batch: &Batch) {
        if let Some((root, block)) = &batch.block {
            self.blocks.insert(*root, block.clone());
            self.by_slot.insert((block.block.header.header.slot, *root), ());
        }
        for (slot, root) in &batch.canonical {
            self.set_canonical(*slot, *root);
        }
        if let Some(fold) = &batch.fold {
            for (key, value) in &fold.values {
                match value {
                    Some(value) => self.values.insert(sha256(key), (key.clone(), value.clone())),
                    None => self.values.remove(&sha256(key)),
                };
            }
            for (path, node) in &fold.nodes {
                match node {
                    Some(node) => self.nodes.insert(path.clone(), node.clone()),
                    None => self.nodes.remove(path),
                };
            }
            for (part, piece, bytes) in &fold.state {
                if bytes.is_empty() {
                    self.state.remove(&(*part, *piece));
                } else {
                    self.state.insert((*part, *piece), bytes.clone());
                }
            }
            self.folded = Some(fold.root);
        }
        self.finalized = batch.finalized.or(self.finalized);
        for row in &batch.certificates {
            self.certificates.insert(row.epoch, row.clone());
        }
        for root in &batch.forget {
            if let Some(block) = self.blocks.remove(root) {
                self.by_slot.remove(&(block.block.header.header.slot, *root));
            }
        }
    }

    fn set_canonical(&mut self, slot: Slot, root: Option<Root>) {
        if let Some(old) = self.canonical.remove(&slot)
            && let Some(block) = self.blocks.get(&old)
        {
            for id in &block.block.body.tx_ids {
                if self.txs.get(id).is_some_and(|place| place.block == old) {
                    self.txs.remove(id);
                }
            }
        }
        let Some(root) = root else { return };
        self.canonical.insert(slot, root);
        if let Some(block) = self.blocks.get(&root) {
            for (index, id) in block.block.body.tx_ids.iter().enumerate() {
                self.txs.insert(*id, TxPlace { block: root, slot, index });
            }
        }
    }
}

impl FoldedState for Rows {
    fn node(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.nodes.get(path).cloned()
    }

    fn folded(&self) -> Result<Option<Root>, StoreError> {
        Ok(self.folded)
    }

    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError> {
        Ok(self.state.iter().map(|((part, piece), bytes)| (*part, *piece, bytes.clone())).collect())
    }

    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.values.range(*first..).take(limit).map(|(_, entry)| entry.clone()).collect())
    }
}

impl FoldedState for MemoryDatabase {
    fn node(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.live.node(path)
    }

    fn folded(&self) -> Result<Option<Root>, StoreError> {
        self.live.folded()
    }

    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError> {
        self.live.state_rows()
    }

    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.live.entries_from(first, limit)
    }
}

impl Database for MemoryDatabase {
    type Snapshot = Rows;

    fn keeps_history(&self) -> bool {
        self.history
    }

    fn snapshot(&self) -> Result<Rows, StoreError> {
        Ok(self.live.clone())
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.live.values.get(&sha256(key)).map(|(_, value)| value.clone())
    }

    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.live.apply(&batch);
        self.since_sync.push(batch);
        Ok(())
    }

    fn finalized(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.live.finalized)
    }

    fn block(&self, root: &Root) -> Result<Option<Arc<StoredBlock>>, StoreError> {
        Ok(self.live.blocks.get(root).cloned())
    }

    fn roots_after(&self, slot: Slot) -> Result<Vec<Root>, StoreError> {
        let after = self.live.by_slot.range((slot.saturating_add(1), Root::ZERO)..);
        Ok(after.map(|((_, root), ())| *root).collect())
    }

    fn canonical(&self, slot: Slot) -> Result<Option<Root>, StoreError> {
        Ok(self.live.canonical.get(&slot).copied())
    }

    fn tx_place(&self, id: &Root, since: Slot) -> Result<Option<TxPlace>, StoreError> {
        Ok(self.live.txs.get(id).copied().filter(|place| place.slot >= since))
    }

    fn certificates(&self, from: Epoch, limit: u32) -> Result<Vec<CertificateRow>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.live.certificates.range(from..).take(limit).map(|(_, row)| row.clone()).collect())
    }
}
