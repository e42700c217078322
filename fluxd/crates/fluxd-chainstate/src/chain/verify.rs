//! Whether the stored blocks, their undo data, the state and the indexes fit together. Mirrors `CVerifyDB::VerifyDB`, whose
//! levels it has, and looks at the indexes as well.

use fluxd_primitives::OutPoint;
use fluxd_storage::Validity;

use crate::{
    chain::{ChainState, Result, activate::Steps},
    error::ChainError,
    follow::IndexKind,
    index::BlockId,
};

/// Most blocks that are taken back and connected again.
const MAX_REPLAY: u32 = 1000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Blocks that were looked at.
    pub blocks: u32,
    /// What does not fit, in words; empty when all is well.
    pub problems: Vec<String>,
}

impl Verified {
    /// True when all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl ChainState {
    /// Looks at the last `depth` blocks (0 for all). Level 0 reads them, 1 judges them by themselves, 2 reads their undo
    /// data and looks them up in the indexes, 3 takes them back in memory, 4 connects them again with all checks.
    ///
    /// # Errors
    /// The store fails in another way than by missing or damaged records, which are reported.
    pub fn verify_chain(&mut self, level: u32, depth: u32) -> Result<Verified> {
        let height = self.index.height();
        let depth = if depth == 0 || depth > height { height } else { depth };
        let mut verified = Verified::default();
        for number in (height.saturating_sub(depth).saturating_add(1)..=height).rev() {
            let Some(id) = self.index.at_height(number) else { break };
            verified.blocks += 1;
            if let Err(error) = self.verify_block(id, level, &mut verified.problems) {
                let entry = self.index.entry(id);
                verified.problems.push(format!("block {} at height {number}: {error}", entry.hash()));
                return Ok(verified);
            }
        }
        if level >= 3 && verified.is_clean() {
            self.replay(depth.min(MAX_REPLAY), level >= 4, &mut verified.problems)?;
        }
        Ok(verified)
    }

    fn verify_block(&self, id: BlockId, level: u32, problems: &mut Vec<String>) -> Result<()> {
        let entry = self.index.entry(id);
        let (hash, height) = (entry.hash(), entry.height());
        let row = self.row(id)?;
        let view = self.store.view();
        if view.hash_at(height)? != Some(hash) {
            problems.push(format!("height {height} does not name block {hash}"));
        }
        if row.validity != Validity::Connected || row.height != height {
            problems
                .push(format!("the row of block {hash} at height {height} is not that of an active block"));
        }
        // A pruned block has nothing left to look at.
        if row.block.is_none() && self.options.prune_target.is_some() {
            return Ok(());
        }
        // Reads the block and judges it by itself: levels 0 and 1 are one here.
        let block = self.body(id)?;
        if level < 2 {
            return Ok(());
        }
        let undo = self.undo_of(id)?;
        if undo.transactions.len() + 1 != block.txids().len() {
            problems.push(format!("the undo data of block {hash} is for another number of transactions"));
        }
        let at_tip = |kind| {
            let tips = self.followers.tips();
            tips.get(&kind).copied().flatten().is_some_and(|tip| tip.height >= height)
        };
        for (number, (txid, tx)) in (0..).zip(block.transactions()) {
            if at_tip(IndexKind::Transactions)
                && view.tx_place(txid)?.is_none_or(|place| (place.block, place.number) != (hash, number))
            {
                problems.push(format!("the transaction index does not know {txid}"));
            }
            for ((number, input), _) in (0..).zip(&tx.inputs).zip(0..).filter(|_| !tx.is_coinbase()) {
                let outpoint: OutPoint = input.prevout;
                if at_tip(IndexKind::Spent)
                    && view.spent(&outpoint)?.is_none_or(|row| (row.txid, row.input) != (*txid, number))
                {
                    problems.push(format!("the spent index does not know who spent {outpoint:?}"));
                }
            }
        }
        if at_tip(IndexKind::Timestamps) && view.block_time(&hash)?.is_none() {
            problems.push(format!("the timestamp index does not know block {hash}"));
        }
        Ok(())
    }

    /// Takes the last blocks back in memory, and connects them again if wanted; then forgets both.
    fn replay(&mut self, depth: u32, reconnect: bool, problems: &mut Vec<String>) -> Result<()> {
        let tip = self.index.tip();
        let height = self.index.height();
        let Some(base) = self.index.at_height(height.saturating_sub(depth)) else { return Ok(()) };
        let path: Vec<BlockId> = (height.saturating_sub(depth).saturating_add(1)..=height)
            .filter_map(|height| self.index.at_height(height))
            .collect();
        let expected = (self.group.tip, self.pools);
        let before = (self.group.successor(), self.pools);
        let mut steps = Steps::default();
        let wanted = if reconnect { &path[..] } else { &[] };
        let outcome = self.perform(base, wanted, &mut steps);
        let after = (self.group.tip, self.pools);
        self.drop_group(steps, before);
        debug_assert_eq!(self.index.tip(), tip, "nothing was committed");
        match outcome {
            Ok(()) if reconnect && after != expected => {
                problems.push("connecting the last blocks again gives another state".to_owned());
            }
            Ok(()) => {}
            Err(failure) => match failure.describe() {
                Ok(problem) => problems.push(problem),
                Err(error @ (ChainError::Store(_) | ChainError::UnknownBlock(_))) => return Err(error),
                Err(error) => problems.push(error.to_string()),
            },
        }
        Ok(())
    }
}
