//! `db verify`: is what the store holds the chain that it claims to hold?

use super::{Chain, StoreError, decode};
use crate::{
    store::schema::{self, Table},
    types::{BlockHash, BlockNumber, Difficulty, Header},
    verify::{self, ForkWindow, Rule},
};

/// What an audit saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audit {
    /// Headers on the chain.
    pub on_chain: u64,
    /// Headers stored in all.
    pub stored: u64,
}

/// What an audit found to be wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The index of heights has a hole, or goes on above the tip.
    #[error("the index is wrong at height {number}")]
    Index {
        /// Where.
        number: BlockNumber,
    },
    /// The header of an indexed hash is missing, undecodable, or hashes to something else.
    #[error("the header at height {number} is not the one that the index names")]
    Header {
        /// Where.
        number: BlockNumber,
    },
    /// The sum of difficulties is wrong.
    #[error("the total difficulty at height {number} is wrong")]
    TotalDifficulty {
        /// Where.
        number: BlockNumber,
    },
    /// The tip row names another block than the end of the index.
    #[error("the tip is not the end of the index")]
    Tip,
    /// A stored header breaks a rule.
    #[error("the header at height {number} breaks a rule")]
    Rule {
        /// Where.
        number: BlockNumber,
        /// Which.
        #[source]
        rule: Rule,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Chain {
    /// Walks the chain from genesis to the tip and checks index, hashes, links and sums; `deep` also applies every
    /// rule of `verify` again, except the clock.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn audit(&self, deep: bool, mut progress: impl FnMut(BlockNumber)) -> Result<Audit, AuditError> {
        let tip = self.tip();
        let mut audit = Audit::default();
        let mut parent: Option<(Header, Difficulty)> = None;
        let mut window = ForkWindow::new(BlockNumber(0), []);
        // A chain that began at a checkpoint lacks the headers between genesis and the lowest one.
        let lowest = self.store.lowest()?;
        let trusted = self.checkpoint().is_some();
        let first = lowest.map_or(0, |lowest| lowest.number.0);
        let heights = std::iter::once(0).filter(|_| first > 0).chain(first..=tip.number.0);
        for height in heights {
            let number = BlockNumber(height);
            let hash = self.store.hash_by_number(number)?.ok_or(AuditError::Index { number })?;
            let stored = self.store.header(&hash)?.ok_or(AuditError::Header { number })?;
            let header = decode(&self.params, stored.wire).map_err(|_| AuditError::Header { number })?;
            if lowest.is_some_and(|lowest| lowest.number == number) {
                parent = None;
            }
            let below = parent.as_ref().map(|(header, _): &(Header, Difficulty)| header.hash());
            let linked = below.is_none_or(|below| header.parent_hash() == below);
            if header.hash() != hash || header.number() != number || !linked {
                return Err(AuditError::Header { number });
            }
            // The sum at a checkpoint is what was trusted, with uncles and all, and so it is right above only.
            let expected = match &parent {
                Some((below, _)) if below.number().0 == 0 && trusted => stored.total_difficulty,
                Some((_, sum)) => sum.checked_add(header.difficulty()).unwrap_or_default(),
                None if height == 0 => header.difficulty(),
                None => stored.total_difficulty,
            };
            if expected != stored.total_difficulty {
                return Err(AuditError::TotalDifficulty { number });
            }
            if let Some((parent, _)) = parent.as_ref().filter(|_| deep) {
                self.audit_rules(&header, parent, &window)
                    .map_err(|rule| AuditError::Rule { number, rule })?;
            }
            let mark = verify::fork_detection::Mark::of(&header);
            if parent.is_none() {
                window = ForkWindow::new(number, [mark]);
            } else {
                window.push(mark);
            }
            parent = Some((header, stored.total_difficulty));
            audit.on_chain += 1;
            progress(number);
        }
        let end = parent.map(|(header, total)| (header.hash(), total));
        if end != Some((tip.hash, tip.total_difficulty))
            || self.genesis_hash() != self.store.hash_by_number(BlockNumber(0))?
        {
            return Err(AuditError::Tip);
        }
        let mut stray = None;
        let is_stray = |number: &BlockNumber| *number > tip.number || (number.0 > 0 && number.0 < first);
        self.store.for_each(Table::Numbers, |key, _| {
            stray = schema::read_number_key(key).filter(is_stray).or(stray);
            Ok(())
        })?;
        if let Some(number) = stray {
            return Err(AuditError::Index { number });
        }
        self.store.for_each(Table::Headers, |_, _| {
            audit.stored += 1;
            Ok(())
        })?;
        Ok(audit)
    }

    fn audit_rules(&self, header: &Header, parent: &Header, window: &ForkWindow) -> Result<(), Rule> {
        verify::link(&self.params, header, parent)?;
        verify::check(&self.params, header.clone(), None)?;
        // Without the ancestors of the lowest header there is nothing to compare with.
        if window.is_full() || self.store.lowest().is_ok_and(|lowest| lowest.is_none()) {
            verify::fork_data(&self.params, header, window)?;
        }
        Ok(())
    }

    fn genesis_hash(&self) -> Option<BlockHash> {
        self.params.genesis.as_ref().map(|genesis| genesis.hash)
    }
}
