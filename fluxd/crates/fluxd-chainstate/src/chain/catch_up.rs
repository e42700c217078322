//! Indexes that lag behind the chain are brought forward from the flat files, a number of blocks at a time, and one index
//! can be thrown away and filled again without touching the others.

use fluxd_storage::{Batch, Durability, Position, View};

use crate::{
    chain::{ChainState, Result},
    error::ChainError,
    follow::{Change, IndexKind},
    index::BlockId,
};

/// Rows that one batch deletes.
const ROWS: usize = 20_000;

impl ChainState {
    /// The indexes that are not at the tip, with the heights that they have reached.
    #[must_use]
    pub fn lagging(&self) -> Vec<(IndexKind, u32)> {
        let tip = self.group.tip;
        self.followers
            .tips()
            .iter()
            .filter(|(_, at)| at.map_or(tip.height > 0, |at| at.hash != tip.hash))
            .map(|(kind, at)| (*kind, at.map_or(0, |at| at.height)))
            .collect()
    }

    /// Brings every index that lags forward by up to `blocks` blocks. Returns whether some still lag.
    ///
    /// # Errors
    /// The store fails, or a block that is needed is not stored any more.
    pub fn catch_up(&mut self, blocks: usize) -> Result<bool> {
        for (kind, _) in self.lagging() {
            let view = self.store.view();
            let mut batch = Batch::default();
            for _ in 0..blocks {
                if !self.advance(kind, &view, &mut batch)? {
                    break;
                }
            }
            drop(view);
            self.store.commit(batch, Durability::Buffered)?;
            self.unsynced += 1;
        }
        Ok(!self.lagging().is_empty())
    }

    /// Throws an index away; [`Self::catch_up`] fills it again.
    ///
    /// # Errors
    /// The index is not kept, or the store fails.
    pub fn rebuild_index(&mut self, kind: IndexKind) -> Result<()> {
        if !self.options.indexes.contains(&kind) {
            return Err(ChainError::NoIndex(kind.name()));
        }
        let mut batch = Batch::default();
        // Gone first, so that an interrupted deletion is not taken for a complete index.
        self.followers.restart(kind, &mut batch);
        self.store.commit(batch, Durability::Synced)?;
        for table in kind.tables() {
            loop {
                let mut keys = Vec::new();
                self.store.view().for_each_raw(*table, |key, _| {
                    if keys.len() < ROWS {
                        keys.push(key.to_vec());
                    }
                    Ok(())
                })?;
                if keys.is_empty() {
                    break;
                }
                let mut batch = Batch::default();
                for key in &keys {
                    batch.remove_raw(*table, key);
                }
                self.store.commit(batch, Durability::Buffered)?;
            }
        }
        Ok(())
    }

    /// One block forward, or one back where the index stands beside the active chain. False at the tip.
    fn advance(&mut self, kind: IndexKind, view: &View, batch: &mut Batch) -> Result<bool> {
        let at = self.followers.tips().get(&kind).copied().flatten();
        let known = at.map(|at| self.index.find(&at.hash).ok_or(ChainError::UnknownBlock(at.hash)));
        let (id, forward) = match known.transpose()? {
            Some(id) if !self.index.is_active(id) => (Some(id), false),
            Some(id) => (self.index.next_active(id), true),
            None => (self.index.at_height(1), true),
        };
        let Some(id) = id else { return Ok(false) };
        let block = self.body(id)?;
        let undo = self.undo_of(id)?;
        let change = Change { block: &block, height: self.index.entry(id).height(), undo: &undo };
        if forward {
            self.followers.connect_one(kind, view, batch, &change)?;
        } else {
            self.followers.disconnect_one(kind, batch, &change);
        }
        Ok(true)
    }

    /// The undo data of a block that was connected once.
    pub(super) fn undo_of(&self, id: BlockId) -> Result<fluxd_storage::BlockUndo> {
        let entry = self.index.entry(id);
        let hash = entry.hash();
        let row = self.row(id)?;
        let position = row.block.ok_or(ChainError::NoBody(hash))?;
        let offset = row.undo_offset.ok_or(ChainError::NoUndo(hash))?;
        Ok(self.store.reader().undo(Position { file: position.file, offset }, &row.header.prev)?)
    }
}
