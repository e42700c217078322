//! A chain that begins at a block which the operator trusts: the headers at and below it, each named by the one above.
//!
//! What lies below a checkpoint is on its chain by hash alone. Proof of work, times, gas and links are checked all the
//! same; fork-detection data is not, as its ancestors come later (`db verify --deep` does it when all are there). A
//! header that breaks a rule, or a chain that ends in another genesis, shows that the checkpoint is wrong.

use rayon::prelude::*;

use super::{CHECKED_AT_ONCE, Chain, Head, load, window_at};
use crate::{
    params::Checkpoint,
    store::{Batch, StoreError, StoredHeader, Tip},
    types::{BlockHash, BlockNumber, Difficulty, Header},
    verify::{self, Rule},
};

/// Why headers at or below a checkpoint were not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DescentError {
    /// They are not what was asked for: the sender is to blame.
    #[error("the headers do not lead down from {from}")]
    Unfit {
        /// The block that was asked for.
        from: BlockHash,
    },
    /// The checkpoint is on no valid chain of this network.
    #[error(transparent)]
    Wrong(#[from] WrongCheckpoint),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WrongCheckpoint {
    /// The block is at another height.
    #[error("its block is at height {actual}")]
    Number {
        /// The height in the header.
        actual: BlockNumber,
    },
    /// Other nodes have another block at its height.
    #[error("other nodes have {theirs} at its height")]
    Contradicted {
        /// What they have.
        theirs: BlockHash,
    },
    /// The stored chain has another block at its height.
    #[error("the stored chain has {stored} at its height")]
    Stored {
        /// What is stored.
        stored: BlockHash,
    },
    /// A header at or below it breaks a rule.
    #[error("header {number} below it breaks a rule")]
    Rule {
        /// Height of the header.
        number: BlockNumber,
        /// The rule.
        #[source]
        rule: Rule,
    },
    /// The work of the headers below it is more than its cumulative difficulty.
    #[error("its cumulative difficulty is less than the work of the headers below it")]
    Difficulty,
    /// Its chain begins at another block.
    #[error("its chain does not begin at the genesis of this network but at {found}")]
    Genesis {
        /// The parent of the block at height 1.
        found: BlockHash,
    },
}

/// What to ask for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// This block, the parent of the lowest that is stored.
    Next(BlockHash),
    /// Nothing is missing.
    Nothing,
}

impl Chain {
    /// The block that the chain began at, when that is not genesis.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Tip> {
        *self.checkpoint.read()
    }

    /// The lowest header above genesis and its parent, while headers between them are missing.
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn lowest(&self) -> Result<Option<(BlockNumber, BlockHash)>, StoreError> {
        let Some(lowest) = self.store.lowest()? else { return Ok(None) };
        let (header, _) = self.row(&lowest.hash)?;
        Ok(Some((lowest.number, header.parent_hash())))
    }

    /// Starts a chain that is still at genesis from a checkpoint. `headers` lead down from it: at least the 450 that
    /// the next header is judged by, or all down to genesis.
    ///
    /// # Errors
    /// They do not lead down from the checkpoint, or show that it is wrong, or the store fails.
    pub fn adopt(&self, checkpoint: &Checkpoint, headers: Vec<Header>) -> Result<Below, DescentError> {
        let mut head = self.head.lock();
        let first = headers.first().filter(|first| first.hash() == checkpoint.hash).cloned();
        let first = first.ok_or(DescentError::Unfit { from: checkpoint.hash })?;
        if first.number() != checkpoint.number {
            return Err(WrongCheckpoint::Number { actual: first.number() }.into());
        }
        let tip = Tip {
            hash: checkpoint.hash,
            number: checkpoint.number,
            total_difficulty: checkpoint.total_difficulty,
        };
        let mut batch = Batch::default();
        let below = self.lay(&mut batch, None, &tip, headers)?;
        batch.put_checkpoint(&tip);
        batch.put_tip(&tip);
        self.store.commit(batch)?;
        let window = window_at(&self.store, &self.params, &first)?;
        *head = Head { header: first, window };
        *self.checkpoint.write() = Some(tip);
        *self.tip.write() = tip;
        Ok(below)
    }

    /// Adds headers below the lowest one that is stored; `headers` lead down from its parent.
    ///
    /// # Errors
    /// They do not lead down from there, or show that the checkpoint is wrong, or the store fails.
    pub fn extend_down(&self, headers: Vec<Header>) -> Result<Below, DescentError> {
        let _head = self.head.lock();
        let Some(lowest) = self.store.lowest()? else { return Ok(Below::Nothing) };
        let (child, total) = self.row(&lowest.hash)?;
        let from = Tip {
            hash: child.parent_hash(),
            number: child.number().previous().unwrap_or_default(),
            total_difficulty: minus(total, child.difficulty())?,
        };
        let mut batch = Batch::default();
        let below = self.lay(&mut batch, Some(child), &from, headers)?;
        self.store.commit(batch)?;
        Ok(below)
    }

    /// Checks headers that lead down from the block `from`, below `child`, and puts them into the batch.
    fn lay(
        &self,
        batch: &mut Batch,
        mut child: Option<Header>,
        from: &Tip,
        mut headers: Vec<Header>,
    ) -> Result<Below, DescentError> {
        let genesis = crate::codec::genesis::genesis(&self.params);
        // Genesis is here already, and has no proof of work.
        if headers.last().is_some_and(|last| last.number().0 == 0) {
            headers.pop();
        }
        let mut expected = from.hash;
        for header in &headers {
            if header.hash() != expected {
                return Err(DescentError::Unfit { from: expected });
            }
            expected = header.parent_hash();
        }
        let checked: Vec<Result<_, Rule>> = headers
            .into_par_iter()
            .chunks(CHECKED_AT_ONCE)
            .flat_map_iter(|headers| verify::check_all(&self.params, headers, None))
            .collect();
        let (mut number, mut total, mut lowest) = (from.number, from.total_difficulty, None);
        for checked in checked {
            let wrong = |rule| WrongCheckpoint::Rule { number, rule };
            let header = checked.map_err(wrong)?.into_header();
            if let Some(child) = &child {
                verify::link(&self.params, child, &header).map_err(wrong)?;
            }
            let stored = StoredHeader { wire: header.wire().clone(), total_difficulty: total };
            batch.put_header(&header.hash(), &stored);
            batch.put_number(number, &header.hash());
            lowest = Some(Tip { hash: header.hash(), number, total_difficulty: total });
            total = minus(total, header.difficulty())?;
            number = number.previous().unwrap_or_default();
            child = Some(header);
        }
        let Some(lowest) = lowest else { return Err(DescentError::Unfit { from: from.hash }) };
        if lowest.number.0 > 1 {
            batch.put_lowest(Some(&lowest));
            return Ok(Below::Next(expected));
        }
        if genesis.as_ref().map(Header::hash) != Some(expected) {
            return Err(WrongCheckpoint::Genesis { found: expected }.into());
        }
        // What is left over is the work of uncles, and of genesis.
        minus(total, genesis.map(|genesis| genesis.difficulty()).unwrap_or_default())?;
        batch.put_lowest(None);
        Ok(Below::Nothing)
    }

    fn row(&self, hash: &BlockHash) -> Result<(Header, Difficulty), StoreError> {
        load(&self.store, &self.params, hash)?.ok_or(StoreError::Missing { row: "header" })
    }
}

fn minus(total: Difficulty, own: Difficulty) -> Result<Difficulty, WrongCheckpoint> {
    total.0.checked_sub(own.0).map(Difficulty).ok_or(WrongCheckpoint::Difficulty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{params::Params, store::Store, types::Timestamp, verify::draft::Draft};

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn new() -> Chain {
        let params = Params::regtest();
        Chain::open(Store::in_memory(&params).unwrap(), params).unwrap()
    }

    /// A chain of that many headers above genesis, which is first. Short enough for no fork-detection data.
    fn headers(count: usize) -> Vec<Header> {
        let params = Params::regtest();
        let mut headers = vec![crate::codec::genesis::genesis(&params).unwrap()];
        while headers.len() <= count {
            let parent = headers.last().unwrap();
            headers.push(Draft::child_of(parent).mine(&params));
        }
        headers
    }

    fn down(headers: &[Header], from: usize, to: usize) -> Vec<Header> {
        headers[to..=from].iter().rev().cloned().collect()
    }

    fn at(header: &Header, total: u64) -> Checkpoint {
        Checkpoint {
            number: header.number(),
            hash: header.hash(),
            total_difficulty: Difficulty::from_u64(total),
        }
    }

    #[test]
    fn a_chain_begins_at_a_checkpoint_grows_both_ways_and_is_whole_in_the_end() {
        let (chain, all) = (new(), headers(60));
        let below = chain.adopt(&at(&all[40], 100), down(&all, 40, 30)).unwrap();
        assert_eq!(below, Below::Next(all[29].hash()));
        assert_eq!((chain.tip().number.0, chain.hash_by_number(BlockNumber(29)).unwrap()), (40, None));
        chain.insert_headers(all[41..].to_vec(), NOW).unwrap();
        assert_eq!((chain.tip().number.0, chain.tip().total_difficulty), (60, Difficulty::from_u64(120)));
        chain.audit(true, |_| {}).unwrap();

        assert!(matches!(chain.extend_down(down(&all, 28, 20)), Err(DescentError::Unfit { .. })));
        assert_eq!(chain.extend_down(down(&all, 29, 10)).unwrap(), Below::Next(all[9].hash()));
        chain.audit(true, |_| {}).unwrap();
        // With genesis, as peers send it.
        assert_eq!(chain.extend_down(down(&all, 9, 0)).unwrap(), Below::Nothing);
        assert_eq!(chain.lowest().unwrap(), None);
        assert_eq!(chain.audit(true, |_| {}).unwrap().on_chain, 61);
        assert_eq!(chain.header_by_number(BlockNumber(1)).unwrap().unwrap().1, Difficulty::from_u64(61));
    }

    #[test]
    fn what_a_wrong_checkpoint_leads_to_is_told() {
        let all = headers(30);
        let wrong = |checkpoint: Checkpoint, headers: Vec<Header>| match new().adopt(&checkpoint, headers) {
            Err(DescentError::Wrong(err)) => err,
            other => panic!("{other:?}"),
        };
        let moved = Checkpoint { number: BlockNumber(21), ..at(&all[20], 50) };
        assert!(matches!(wrong(moved, down(&all, 20, 5)), WrongCheckpoint::Number { .. }));
        assert!(matches!(wrong(at(&all[20], 10), down(&all, 20, 5)), WrongCheckpoint::Difficulty));
        assert!(matches!(wrong(at(&all[20], 20), down(&all, 20, 0)), WrongCheckpoint::Difficulty));

        let params = Params::regtest();
        let stray = Draft { number: 1, ..Draft::child_of(&all[3]) }.mine(&params);
        let above = Draft::child_of(&stray).mine(&params);
        let found = wrong(at(&above, 50), vec![above.clone(), stray]);
        assert!(matches!(found, WrongCheckpoint::Genesis { found } if found == all[3].hash()));

        let broken = Draft { gas_used: 1 << 40, ..Draft::child_of(&all[3]) }.mine(&params);
        let above = Draft::child_of(&broken).mine(&params);
        let found = wrong(at(&above, 50), vec![above.clone(), broken]);
        assert!(matches!(found, WrongCheckpoint::Rule { number: BlockNumber(4), .. }), "{found:?}");
    }

    #[test]
    fn nothing_replaces_the_checkpoint() {
        let (chain, all) = (new(), headers(40));
        chain.adopt(&at(&all[30], 100), down(&all, 30, 20)).unwrap();
        chain.insert_headers(all[31..].to_vec(), NOW).unwrap();
        let params = Params::regtest();
        let mut branch = vec![Draft { timestamp: 1, ..Draft::child_of(&all[25]) }.mine(&params)];
        for _ in 0..30 {
            branch.push(Draft::child_of(branch.last().unwrap()).mine(&params));
        }
        assert!(chain.insert_headers(branch, NOW).is_err());
        assert_eq!(chain.tip().hash, all[40].hash());
    }
}
