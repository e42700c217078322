//! Blocks that lie in flat files which the tables do not name: after the tables were lost or thrown away, or after files
//! of the C++ node were put in place. Mirrors `-reindex` and `LoadExternalBlockFile`; needs no network.

use std::{collections::HashMap, path::Path, sync::Arc};

use fluxd_consensus::{check::CheckedBlock, params::Params};
use fluxd_primitives::BlockHash;
use fluxd_storage::{Batch, Durability, Position, Store};

use crate::{
    chain::{ChainState, Options, Result},
    error::{AcceptError, Invalid},
};

/// The mark of an import that did not finish.
const MARK: &str = "reindexing";
/// Blocks that are stored before the best chain is activated.
const STRIDE: u64 = 64;

/// What an import has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportProgress {
    /// Flat files that were read.
    pub files: usize,
    /// Flat files that there are.
    pub of_files: usize,
    /// Blocks that were found.
    pub blocks: u64,
    /// Blocks that break a rule.
    pub refused: u64,
    /// Height of the chain.
    pub height: u32,
}

impl ChainState {
    /// Throws the tables in a folder away and makes them again from the flat files. `progress` is told from time to time
    /// and stops the work by returning false; [`Self::import_files`] then goes on another time.
    ///
    /// # Errors
    /// The store fails.
    pub fn reindex(
        dir: &Path,
        params: Arc<Params>,
        options: Options,
        now: i64,
        progress: impl FnMut(&ImportProgress) -> bool,
    ) -> Result<Self> {
        Store::delete_tables(dir)?;
        let mut chain = Self::open(dir, params, options)?;
        let mut batch = Batch::default();
        batch.set_flag(MARK, true);
        chain.store.commit(batch, Durability::Synced)?;
        chain.import_files(now, progress)?;
        Ok(chain)
    }

    /// True when an import was begun and not finished.
    ///
    /// # Errors
    /// The store fails.
    pub fn is_reindexing(&self) -> Result<bool> {
        Ok(self.store.view().flag(MARK)?)
    }

    /// Takes over every block of the flat files that is not known yet. Can be repeated after an interruption.
    ///
    /// # Errors
    /// The store fails; blocks that break rules are only counted.
    pub fn import_files(
        &mut self,
        now: i64,
        mut progress: impl FnMut(&ImportProgress) -> bool,
    ) -> Result<ImportProgress> {
        let numbers = self.store.reader().block_files()?;
        let mut done = ImportProgress { of_files: numbers.len(), ..ImportProgress::default() };
        let mut waiting: HashMap<BlockHash, Vec<Position>> = HashMap::new();
        for number in numbers {
            for found in self.store.reader().scan(number)? {
                let (position, block) = found?;
                done.blocks += 1;
                let Ok(body) = CheckedBlock::new(Arc::new(block)) else {
                    done.refused += 1;
                    continue;
                };
                self.import(&Arc::new(body), position, now, &mut waiting, &mut done)?;
                if done.blocks.is_multiple_of(STRIDE) {
                    self.activate_all(now)?;
                    done.height = self.index.height();
                    if !progress(&done) {
                        self.flush()?;
                        return Ok(done);
                    }
                }
            }
            done.files += 1;
        }
        self.activate_all(now)?;
        done.height = self.index.height();
        let mut batch = Batch::default();
        batch.set_flag(MARK, false);
        self.write_rows(&mut batch);
        self.store.commit(batch, Durability::Synced)?;
        progress(&done);
        Ok(done)
    }

    /// Takes over a block and those that waited for it.
    fn import(
        &mut self,
        body: &Arc<CheckedBlock>,
        position: Position,
        now: i64,
        waiting: &mut HashMap<BlockHash, Vec<Position>>,
        done: &mut ImportProgress,
    ) -> Result<()> {
        let mut queue = vec![(Arc::clone(body), position)];
        while let Some((body, position)) = queue.pop() {
            let hash = body.hash();
            if hash == self.params.genesis.header.hash() {
                self.adopt_genesis(&body, position)?;
            } else {
                match self.adopt_block(&body, position, now) {
                    Ok(_) => {}
                    Err(AcceptError::Invalid(Invalid::UnknownParent)) => {
                        waiting.entry(body.block().header.prev).or_default().push(position);
                        continue;
                    }
                    Err(AcceptError::Invalid(_)) => {
                        done.refused += 1;
                        continue;
                    }
                    Err(AcceptError::Local(error)) => return Err(error),
                }
            }
            for position in waiting.remove(&hash).unwrap_or_default() {
                let block = self.store.reader().block(position)?;
                if let Ok(child) = CheckedBlock::new(Arc::new(block)) {
                    queue.push((Arc::new(child), position));
                }
            }
        }
        Ok(())
    }

    /// The genesis block is known from the start, but not where it lies.
    fn adopt_genesis(&mut self, body: &CheckedBlock, position: Position) -> Result<()> {
        let Some(id) = self.index.find(&body.hash()) else { return Ok(()) };
        let mut row = self.row(id)?;
        if row.block.is_none() {
            self.store.adopt_block(position, body.block(), 0);
            row.block = Some(position);
            self.rows.insert(id, row);
            self.index.link(id, 1);
        }
        Ok(())
    }

    fn activate_all(&mut self, now: i64) -> Result<()> {
        while self.activate(now)?.more {}
        Ok(())
    }
}
