//! The chain: which headers belong to it, and how it moves to a branch with more work.
//!
//! Headers are verified on all cores and committed in order, a run of them in one batch. The rule of choice is that of
//! `co/rsk/core/bc/SelectionRule.java`, with one honest difference: the work of uncles, which only block bodies name,
//! is not in the sums compared here.

use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;

use crate::{
    codec::{self, DecodeError, decode_header},
    params::{FORK_DETECTION_WINDOW, Params},
    store::{Batch, Store, StoreError, StoredHeader, Tip},
    types::{BlockHash, BlockNumber, Difficulty, Header, Timestamp},
    verify::{self, Checked, ForkWindow, Rule, fork_detection::Mark},
};

mod audit;
mod descent;

pub use audit::{Audit, AuditError};
pub use descent::{Below, DescentError, WrongCheckpoint};

/// Why headers could not be inserted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InsertError {
    /// A header breaks a rule. The headers before it were inserted.
    #[error("header {index} ({hash}) breaks a rule")]
    Rejected {
        /// Position in the run.
        index: usize,
        /// The header's hash.
        hash: BlockHash,
        /// The rule.
        #[source]
        rule: Rule,
    },
    /// The parent of the first header is not stored. Nothing was inserted.
    #[error("parent {parent} of the first header is not known")]
    UnknownParent {
        /// The missing header.
        parent: BlockHash,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a chain could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The network's genesis is not known.
    #[error("the genesis block of {0} is not known")]
    NoGenesis(crate::params::Network),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What inserting headers changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// Headers that were new.
    pub added: usize,
    /// The best block now.
    pub tip: Tip,
    /// True when the best block changed.
    pub tip_changed: bool,
    /// Blocks that left the chain.
    pub reorg_depth: u64,
}

/// Headers that one core checks at a time.
const CHECKED_AT_ONCE: usize = 32;

/// The chain of a network over its store. Reads come from any thread, insertions take turns.
#[derive(Debug)]
pub struct Chain {
    params: Params,
    store: Store,
    tip: RwLock<Tip>,
    /// The block that was trusted, in a chain that did not begin at genesis.
    checkpoint: RwLock<Option<Tip>>,
    head: Mutex<Head>,
}

/// What the next header is verified against when it extends the tip.
#[derive(Debug)]
struct Head {
    header: Header,
    window: ForkWindow,
}

impl Chain {
    /// Opens the chain at its tip, or starts it at the network's genesis. Reads at most 450 headers.
    ///
    /// # Errors
    /// The network has no known genesis, the store fails or is damaged.
    pub fn open(store: Store, params: Params) -> Result<Self, OpenError> {
        let genesis = codec::genesis(&params).ok_or(OpenError::NoGenesis(params.network))?;
        let tip = match store.tip()? {
            Some(tip) => tip,
            None => start(&store, &genesis)?,
        };
        let header = load(&store, &params, &tip.hash)?.ok_or(StoreError::Missing { row: "header" })?.0;
        let window = window_at(&store, &params, &header)?;
        let checkpoint = RwLock::new(store.checkpoint()?);
        let head = Mutex::new(Head { header, window });
        Ok(Self { params, store, tip: RwLock::new(tip), checkpoint, head })
    }

    /// Constants of the network.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The best block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        *self.tip.read()
    }

    /// Verifies and inserts a run of headers in ascending order, each the child of the one before. Known headers are
    /// skipped. `now` bounds timestamps in the future.
    ///
    /// # Errors
    /// A header breaks a rule (those before it are inserted), the first one's parent is unknown, or the store fails.
    pub fn insert_headers(&self, headers: Vec<Header>, now: Timestamp) -> Result<Inserted, InsertError> {
        let mut head = self.head.lock();
        let mut known = 0;
        for header in &headers {
            if !self.store.contains(&header.hash())? {
                break;
            }
            known += 1;
        }
        let Some(first) = headers.get(known) else {
            return Ok(Inserted { added: 0, tip: self.tip(), tip_changed: false, reorg_depth: 0 });
        };
        let parent_hash = first.parent_hash();
        let (parent, total, mut window) = if parent_hash == head.header.hash() {
            (head.header.clone(), self.tip().total_difficulty, head.window.clone())
        } else {
            let parent = load(&self.store, &self.params, &parent_hash)?;
            // Nothing replaces a block that was trusted.
            let trusted = self.checkpoint().map(|checkpoint| checkpoint.number);
            let parent =
                parent.filter(|(parent, _)| trusted.is_none_or(|trusted| parent.number() >= trusted));
            let (parent, total) = parent.ok_or(InsertError::UnknownParent { parent: parent_hash })?;
            let window = window_at(&self.store, &self.params, &parent)?;
            (parent, total, window)
        };
        let hashes: Vec<BlockHash> = headers.iter().map(Header::hash).collect();
        let checked: Vec<Result<Checked, Rule>> = headers
            .into_par_iter()
            .skip(known)
            .chunks(CHECKED_AT_ONCE)
            .flat_map_iter(|headers| verify::check_all(&self.params, headers, Some(now)))
            .collect();

        let mut run = Run { last: parent, total, batch: Batch::default(), added: 0, numbers: Vec::new() };
        let mut rejected = None;
        for (checked, (index, hash)) in checked.into_iter().zip(hashes.into_iter().enumerate().skip(known)) {
            if let Err(rule) = checked.and_then(|checked| run.extend(&self.params, &mut window, checked)) {
                rejected = Some(InsertError::Rejected { index, hash, rule });
                break;
            }
        }
        let inserted = self.commit(&mut head, run, window)?;
        rejected.map_or(Ok(inserted), Err)
    }

    /// The stored header with this hash and the work up to it, on the chain or on a side branch.
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn header_by_hash(&self, hash: &BlockHash) -> Result<Option<(Header, Difficulty)>, StoreError> {
        load(&self.store, &self.params, hash)
    }

    /// The chain's header at a height and the work up to it.
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn header_by_number(&self, number: BlockNumber) -> Result<Option<(Header, Difficulty)>, StoreError> {
        match self.store.hash_by_number(number)? {
            Some(hash) => self.header_by_hash(&hash),
            None => Ok(None),
        }
    }

    /// The hash at a height of the chain.
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn hash_by_number(&self, number: BlockNumber) -> Result<Option<BlockHash>, StoreError> {
        self.store.hash_by_number(number)
    }

    /// Is the block on the chain (not only on a side branch)?
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn is_on_chain(&self, number: BlockNumber, hash: &BlockHash) -> Result<bool, StoreError> {
        Ok(self.store.hash_by_number(number)? == Some(*hash))
    }

    /// Up to `count` headers from `hash` downwards, by parent links; none when `hash` is unknown.
    ///
    /// # Errors
    /// The store fails or is damaged.
    pub fn headers_descending(&self, hash: &BlockHash, count: usize) -> Result<Vec<Header>, StoreError> {
        let mut headers = Vec::new();
        let mut next = *hash;
        while headers.len() < count {
            let Some((header, _)) = self.header_by_hash(&next)? else { break };
            next = header.parent_hash();
            headers.push(header);
        }
        Ok(headers)
    }

    /// Writes a verified run and, when its end is better than the tip, moves the chain to it.
    fn commit(&self, head: &mut Head, mut run: Run, window: ForkWindow) -> Result<Inserted, StoreError> {
        let old = self.tip();
        let mut inserted = Inserted { added: run.added, tip: old, tip_changed: false, reorg_depth: 0 };
        if run.added == 0 {
            return Ok(inserted);
        }
        let new = Tip { hash: run.last.hash(), number: run.last.number(), total_difficulty: run.total };
        if is_better((&new, &run.last), (&old, &head.header)) {
            inserted.tip_changed = true;
            inserted.tip = new;
            inserted.reorg_depth = self.move_index(&mut run, &old)?;
            run.batch.put_tip(&new);
        }
        self.store.commit(run.batch)?;
        if inserted.tip_changed {
            *head = Head { header: run.last, window };
            *self.tip.write() = new;
        }
        Ok(inserted)
    }

    /// Puts the run and the stored blocks between it and the chain on the index; returns how many blocks leave it.
    fn move_index(&self, run: &mut Run, old: &Tip) -> Result<u64, StoreError> {
        let Some((first, _, parent)) = run.numbers.first().copied() else { return Ok(0) };
        let (mut hash, mut number) = (parent, first.previous());
        while let Some(height) = number {
            if self.store.hash_by_number(height)? == Some(hash) {
                break;
            }
            run.batch.put_number(height, &hash);
            let row = self.store.header(&hash)?.ok_or(StoreError::Missing { row: "header" })?;
            hash = decode(&self.params, row.wire)?.parent_hash();
            number = height.previous();
        }
        for (number, hash, _) in &run.numbers {
            run.batch.put_number(*number, hash);
        }
        let last = run.last.number();
        for height in last.0.saturating_add(1)..=old.number.0 {
            run.batch.delete_number(BlockNumber(height));
        }
        let fork = number.map_or(0, |number| number.0);
        Ok(old.number.0.saturating_sub(fork))
    }
}

/// Headers that were verified but not committed.
struct Run {
    last: Header,
    total: Difficulty,
    batch: Batch,
    added: usize,
    /// Height, hash and parent of each.
    numbers: Vec<(BlockNumber, BlockHash, BlockHash)>,
}

impl Run {
    fn extend(&mut self, params: &Params, window: &mut ForkWindow, checked: Checked) -> Result<(), Rule> {
        let header = checked.header();
        verify::link(params, header, &self.last)?;
        verify::fork_data(params, header, window)?;
        window.push(checked.mark());
        // 2^256 hashes are out of reach of every chain that passes proof of work
        self.total = Difficulty(self.total.0.saturating_add(header.difficulty().0));
        let stored = StoredHeader { wire: header.wire().clone(), total_difficulty: self.total };
        self.batch.put_header(&header.hash(), &stored);
        self.numbers.push((header.number(), header.hash(), header.parent_hash()));
        self.added += 1;
        self.last = checked.into_header();
        Ok(())
    }
}

/// Does the new block replace the current one? More work wins; with equal work more than twice the fees, or a smaller
/// hash with more than half of them.
fn is_better((new, new_header): (&Tip, &Header), (current, current_header): (&Tip, &Header)) -> bool {
    match new.total_difficulty.cmp(&current.total_difficulty) {
        std::cmp::Ordering::Greater => return true,
        std::cmp::Ordering::Less => return false,
        std::cmp::Ordering::Equal => {}
    }
    let (new_fees, current_fees) = (new_header.fields().paid_fees, current_header.fields().paid_fees);
    if new_fees > current_fees.saturating_add(current_fees) {
        return true;
    }
    current_fees < new_fees.saturating_add(new_fees) && new.hash < current.hash
}

fn start(store: &Store, genesis: &Header) -> Result<Tip, StoreError> {
    let total_difficulty = genesis.difficulty();
    let tip = Tip { hash: genesis.hash(), number: genesis.number(), total_difficulty };
    let mut batch = Batch::default();
    batch.put_header(&tip.hash, &StoredHeader { wire: genesis.wire().clone(), total_difficulty });
    batch.put_number(tip.number, &tip.hash);
    batch.put_tip(&tip);
    store.commit(batch)?;
    Ok(tip)
}

fn load(
    store: &Store,
    params: &Params,
    hash: &BlockHash,
) -> Result<Option<(Header, Difficulty)>, StoreError> {
    let Some(stored) = store.header(hash)? else { return Ok(None) };
    Ok(Some((decode(params, stored.wire)?, stored.total_difficulty)))
}

fn decode(params: &Params, wire: bytes::Bytes) -> Result<Header, StoreError> {
    decode_header(params, wire).map_err(|_: DecodeError| StoreError::Damaged { row: "header" })
}

/// The marks of the headers that end at `best`, read downwards by parent links.
fn window_at(store: &Store, params: &Params, best: &Header) -> Result<ForkWindow, StoreError> {
    let mut marks = Vec::new();
    let mut header = best.clone();
    while marks.len() < usize::try_from(FORK_DETECTION_WINDOW).unwrap_or(usize::MAX) {
        marks.push(Mark::of(&header));
        match load(store, params, &header.parent_hash())? {
            Some((parent, _)) => header = parent,
            None => break,
        }
    }
    marks.reverse();
    Ok(ForkWindow::new(best.number(), marks))
}

#[cfg(test)]
mod tests;
