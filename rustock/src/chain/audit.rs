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
        for height in 0..=tip.number.0 {
            let number = BlockNumber(height);
            let hash = self.store.hash_by_number(number)?.ok_or(AuditError::Index { number })?;
            let stored = self.store.header(&hash)?.ok_or(AuditError::Header { number })?;
            let header = decode(&self.params, stored.wire).map_err(|_| AuditError::Header { number })?;
            let below = parent.as_ref().map(|(header, _)| header.hash());
            let linked = below.is_none_or(|below| header.parent_hash() == below);
            if header.hash() != hash || header.number() != number || !linked {
                return Err(AuditError::Header { number });
            }
            let sum = parent.as_ref().map_or(Difficulty::ZERO, |(_, total)| *total);
            if sum.checked_add(header.difficulty()) != Some(stored.total_difficulty) {
                return Err(AuditError::TotalDifficulty { number });
            }
            if let Some((parent, _)) = parent.as_ref().filter(|_| deep) {
                self.audit_rules(&header, parent, &window)
                    .map_err(|rule| AuditError::Rule { number, rule })?;
            }
            let mark = verify::fork_detection::Mark::of(&header);
            if height == 0 {
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
        let mut above = None;
        self.store.for_each(Table::Numbers, |key, _| {
            above = schema::read_number_key(key).filter(|number| *number > tip.number).or(above);
            Ok(())
        })?;
        if let Some(number) = above {
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
        verify::fork_data(&self.params, header, window)
    }

    fn genesis_hash(&self) -> Option<BlockHash> {
        self.params.genesis.as_ref().map(|genesis| genesis.hash)
    }
}
