//! What operators ask for: blocks declared invalid or valid again. Mirrors `InvalidateBlock` and `ReconsiderBlock`.

use fluxd_primitives::BlockHash;
use fluxd_storage::Validity;

use crate::{
    chain::{ChainEvent, ChainState, Result},
    error::ChainError,
};

impl ChainState {
    /// Declares a block invalid, and takes it back where it is active. The caller then activates the best chain.
    ///
    /// # Errors
    /// The block is not known, is the genesis block, or the store fails.
    pub fn invalidate(&mut self, hash: &BlockHash, now: i64) -> Result<Vec<ChainEvent>> {
        let id = self.index.find(hash).ok_or(ChainError::UnknownBlock(*hash))?;
        let prev = self.index.entry(id).prev().ok_or(ChainError::Genesis)?;
        let mut events = Vec::new();
        if self.index.is_active(id) {
            self.retreat(prev, now, &mut events)?;
        }
        self.mark_failed(id)?;
        self.candidates.rebuild(&self.index);
        self.flush()?;
        Ok(events)
    }

    /// Forgets that a block, those before it and those built on it were invalid. The caller then activates the best
    /// chain.
    ///
    /// # Errors
    /// The block is not known, or the store fails.
    pub fn reconsider(&mut self, hash: &BlockHash) -> Result<()> {
        let id = self.index.find(hash).ok_or(ChainError::UnknownBlock(*hash))?;
        for changed in self.index.reconsider(id) {
            let mut row = self.row(changed)?;
            row.validity = match (row.block, row.undo_offset) {
                (_, Some(_)) => Validity::Connected,
                (Some(_), None) => Validity::Body,
                (None, None) => Validity::Header,
            };
            self.rows.insert(changed, row);
        }
        self.candidates.rebuild(&self.index);
        self.flush()
    }
}
