//! Lite mode: the oldest flat files go when all together are longer than wanted. Mirrors `FindFilesToPrune`.

use std::collections::BTreeSet;

use fluxd_storage::Batch;

use crate::chain::{ChainState, Result};

/// Blocks at the end of the active chain whose bodies are always kept.
const KEPT_BLOCKS: u32 = 288;

impl ChainState {
    /// Deletes the oldest flat files until the rest is as short as the options want, as far as that is allowed. Returns
    /// the numbers of the files that went.
    ///
    /// # Errors
    /// The store fails.
    pub fn prune(&mut self) -> Result<Vec<u32>> {
        let Some(target) = self.options.prune_target else { return Ok(Vec::new()) };
        let height = self.index.height();
        if height <= self.params.prune_after {
            return Ok(Vec::new());
        }
        let files = self.store.files();
        let bytes = |size: u32, undo: u32| u64::from(size).saturating_add(u64::from(undo));
        let mut total = files.iter().map(|(_, info)| bytes(info.size, info.undo_size)).sum::<u64>();
        let mut gone = BTreeSet::new();
        // The last file is the one that is written to.
        for (number, info) in files.iter().take(files.len().saturating_sub(1)) {
            if total <= target {
                break;
            }
            if info.height_last > height.saturating_sub(KEPT_BLOCKS) {
                continue;
            }
            total = total.saturating_sub(bytes(info.size, info.undo_size));
            gone.insert(*number);
        }
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let last = files.iter().filter(|(number, _)| gone.contains(number)).map(|(_, info)| info.height_last);
        let last = last.max().unwrap_or_default();
        let ids: Vec<_> = self.index.ids().collect();
        for id in ids {
            let entry = self.index.entry(id);
            if !entry.has_body() || entry.height() > last {
                continue;
            }
            let mut row = self.row(id)?;
            if row.block.is_some_and(|position| gone.contains(&position.file)) {
                row.block = None;
                row.undo_offset = None;
                self.rows.insert(id, row);
                self.index.forget_body(id);
                self.bodies.forget(id);
            }
        }
        let numbers: Vec<u32> = gone.into_iter().collect();
        let mut batch = Batch::default();
        self.write_rows(&mut batch);
        self.store.commit_without_files(batch, &numbers)?;
        self.candidates.rebuild(&self.index);
        Ok(numbers)
    }
}
