//! All known headers in memory: a tree of blocks with work and status, and the active chain in it. Mirrors `CBlockIndex`
//! and `CChain` of `src/chain.h`.
//!
//! Entries are never taken away, so a [`BlockId`] is good for the life of the index. Rules are not judged here.

use std::collections::HashMap;

use fluxd_pow::difficulty::{BlockFacts, HISTORY, median_time};
use fluxd_primitives::{BlockHash, BlockHeader, CompactTarget, Proof, U256, target::pon_work};

/// The place of a block in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u32);

const NONE: BlockId = BlockId(u32::MAX);

/// What is known about a block, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Status(u8);

impl Status {
    const BODY: u8 = 1;
    const CONNECTED: u8 = 2;
    const FAILED: u8 = 4;
    const FAILED_ANCESTOR: u8 = 8;
    const PON: u8 = 16;
    const COMPACT: u8 = 32;

    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    fn set(&mut self, bits: u8, on: bool) {
        self.0 = if on { self.0 | bits } else { self.0 & !bits };
    }
}

/// A known block.
#[derive(Debug, Clone)]
pub struct Entry {
    hash: BlockHash,
    prev: BlockId,
    skip: BlockId,
    height: u32,
    time: u32,
    bits: CompactTarget,
    work: U256,
    status: Status,
    sequence: u32,
    transactions: u32,
    chain_transactions: u64,
}

impl Entry {
    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its parent; `None` for the genesis block.
    #[must_use]
    pub fn prev(&self) -> Option<BlockId> {
        (self.prev != NONE).then_some(self.prev)
    }

    /// Its height.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Header time, seconds since the epoch.
    #[must_use]
    pub fn time(&self) -> u32 {
        self.time
    }

    /// Its target.
    #[must_use]
    pub fn bits(&self) -> CompactTarget {
        self.bits
    }

    /// Work of the chain up to it.
    #[must_use]
    pub fn work(&self) -> U256 {
        self.work
    }

    /// Number of its transactions; 0 until the body was seen.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Transactions of the chain up to it; 0 until all bodies up to it were seen.
    #[must_use]
    pub fn chain_transactions(&self) -> u64 {
        self.chain_transactions
    }

    /// True when the body is stored.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.status.has(Status::BODY)
    }

    /// True when the block was connected once: it satisfies all rules.
    #[must_use]
    pub fn was_connected(&self) -> bool {
        self.status.has(Status::CONNECTED)
    }

    /// True when the block or one before it breaks a rule.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status.has(Status::FAILED | Status::FAILED_ANCESTOR)
    }

    /// True when the block itself breaks a rule, as opposed to one before it.
    #[must_use]
    pub fn is_culprit(&self) -> bool {
        self.status.has(Status::FAILED)
    }

    /// True for a block with a proof of node.
    #[must_use]
    pub fn is_pon(&self) -> bool {
        self.status.has(Status::PON)
    }

    /// True while only a header without its solution is known, whose hash is somebody's claim.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        self.status.has(Status::COMPACT)
    }

    /// Order of arrival of complete chains; 0 for blocks that were there at the start.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }
}

/// What the index is told about a block when it is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewEntry {
    pub(crate) hash: BlockHash,
    pub(crate) prev: BlockHash,
    pub(crate) time: u32,
    pub(crate) bits: CompactTarget,
    pub(crate) is_pon: bool,
    pub(crate) is_compact: bool,
}

impl NewEntry {
    pub(crate) fn of(hash: BlockHash, header: &BlockHeader) -> Self {
        let is_compact = matches!(&header.proof, Proof::Work { solution, .. } if solution.is_empty());
        Self {
            hash,
            prev: header.prev,
            time: header.time,
            bits: header.bits,
            is_pon: header.is_pon(),
            is_compact,
        }
    }
}

/// All known headers.
#[derive(Debug, Default)]
pub struct HeaderIndex {
    entries: Vec<Entry>,
    by_hash: HashMap<BlockHash, BlockId>,
    active: Vec<BlockId>,
    best_header: Option<BlockId>,
    next_sequence: u32,
    /// Children with bodies whose parents lack one.
    unlinked: HashMap<BlockId, Vec<BlockId>>,
}

impl HeaderIndex {
    /// Known headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True before the genesis block is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The block with this hash.
    #[must_use]
    pub fn find(&self, hash: &BlockHash) -> Option<BlockId> {
        self.by_hash.get(hash).copied()
    }

    /// What is known about a block.
    #[must_use]
    pub fn entry(&self, id: BlockId) -> &Entry {
        let place = usize::try_from(id.0).unwrap_or(usize::MAX);
        self.entries.get(place).expect("ids are made by this index, which forgets nothing")
    }

    /// The header with the most work that is not known to be invalid.
    ///
    /// # Panics
    /// In an index without the genesis block, which an open chain state never has.
    #[must_use]
    pub fn best_header(&self) -> BlockId {
        self.best_header.expect("the genesis block is there")
    }

    /// The end of the active chain.
    ///
    /// # Panics
    /// In an index without the genesis block, which an open chain state never has.
    #[must_use]
    pub fn tip(&self) -> BlockId {
        *self.active.last().expect("the genesis block is there")
    }

    /// Height of the active chain.
    #[must_use]
    pub fn height(&self) -> u32 {
        u32::try_from(self.active.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The block of the active chain at a height.
    #[must_use]
    pub fn at_height(&self, height: u32) -> Option<BlockId> {
        self.active.get(usize::try_from(height).ok()?).copied()
    }

    /// True for a block of the active chain.
    #[must_use]
    pub fn is_active(&self, id: BlockId) -> bool {
        self.at_height(self.entry(id).height) == Some(id)
    }

    /// The block after this one in the active chain.
    #[must_use]
    pub fn next_active(&self, id: BlockId) -> Option<BlockId> {
        if self.is_active(id) { self.at_height(self.entry(id).height.checked_add(1)?) } else { None }
    }

    /// The block at a height in the chain that ends with `id`; `None` above it.
    #[must_use]
    pub fn ancestor(&self, id: BlockId, height: u32) -> Option<BlockId> {
        let mut walk = id;
        loop {
            let entry = self.entry(walk);
            if entry.height <= height {
                return (entry.height == height).then_some(walk);
            }
            let (far, near) = (skip_height(entry.height), skip_height(entry.height.saturating_sub(1)));
            let useful = far == height || (far > height && !(near < far.saturating_sub(2) && near >= height));
            let skip = (entry.skip != NONE && useful).then_some(entry.skip);
            walk = skip.or(entry.prev())?;
        }
    }

    /// The last block that the chain to `id` shares with the active chain.
    #[must_use]
    pub fn fork_point(&self, id: BlockId) -> BlockId {
        let mut walk = self.ancestor(id, self.height()).unwrap_or(id);
        while !self.is_active(walk) {
            match self.entry(walk).prev() {
                Some(prev) => walk = prev,
                None => break,
            }
        }
        walk
    }

    /// The last block that two chains share.
    #[must_use]
    pub fn common_ancestor(&self, a: BlockId, b: BlockId) -> Option<BlockId> {
        let height = self.entry(a).height.min(self.entry(b).height);
        let (mut a, mut b) = (self.ancestor(a, height)?, self.ancestor(b, height)?);
        while a != b {
            (a, b) = (self.entry(a).prev()?, self.entry(b).prev()?);
        }
        Some(a)
    }

    /// Median time past: of the block and the ten before it.
    #[must_use]
    pub fn median_time(&self, id: BlockId) -> i64 {
        median_time(&self.history(id, 11))
    }

    /// The last `count` blocks up to `id`, oldest first, as the retarget rules read them.
    #[must_use]
    pub fn history(&self, id: BlockId, count: usize) -> Vec<BlockFacts> {
        let mut facts = Vec::with_capacity(count.min(HISTORY));
        let mut walk = Some(id);
        while let Some(id) = walk.filter(|_| facts.len() < count) {
            let entry = self.entry(id);
            facts.push(BlockFacts { time: entry.time, bits: entry.bits });
            walk = entry.prev();
        }
        facts.reverse();
        facts
    }

    /// Hashes of a chain from its end back to the genesis block, ten of them close together and then ever further
    /// apart, as peers name a place in their chain (`CChain::GetLocator`).
    #[must_use]
    pub fn locator(&self, id: BlockId) -> Vec<BlockHash> {
        let mut hashes = Vec::with_capacity(32);
        let (mut walk, mut step) = (id, 1_u32);
        loop {
            let entry = self.entry(walk);
            hashes.push(entry.hash);
            if entry.height == 0 {
                return hashes;
            }
            let height = entry.height.saturating_sub(step);
            let next =
                if self.is_active(walk) { self.at_height(height) } else { self.ancestor(walk, height) };
            let Some(next) = next else { return hashes };
            walk = next;
            if hashes.len() > 10 {
                step = step.saturating_mul(2);
            }
        }
    }

    /// The first block of a locator that is in the active chain; the genesis block where none is
    /// (`FindForkInGlobalIndex`).
    #[must_use]
    pub fn find_locator(&self, locator: &[BlockHash]) -> Option<BlockId> {
        let known = locator.iter().filter_map(|hash| self.find(hash)).find(|id| self.is_active(*id));
        known.or_else(|| self.at_height(0))
    }

    /// Blocks that no other block builds on, and the tip: what `getchaintips` lists.
    #[must_use]
    pub fn leaves(&self) -> Vec<BlockId> {
        let mut has_child = vec![false; self.entries.len()];
        for entry in &self.entries {
            if let Some(prev) = entry.prev()
                && let Some(slot) = usize::try_from(prev.0).ok().and_then(|place| has_child.get_mut(place))
            {
                *slot = true;
            }
        }
        let leaves = (0..).map(BlockId).zip(has_child).filter(|(_, has_child)| !has_child);
        let mut leaves: Vec<BlockId> = leaves.map(|(id, _)| id).collect();
        if !self.active.is_empty() && !leaves.contains(&self.tip()) {
            leaves.push(self.tip());
        }
        leaves
    }

    /// All blocks in the order in which they were added: parents before children.
    pub fn ids(&self) -> impl Iterator<Item = BlockId> + use<> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(BlockId)
    }

    pub(crate) fn add(&mut self, new: NewEntry) -> BlockId {
        if let Some(known) = self.find(&new.hash) {
            return known;
        }
        let prev = self.find(&new.prev);
        let (height, work) = prev.map_or((0, U256::ZERO), |prev| {
            let entry = self.entry(prev);
            (entry.height.saturating_add(1), entry.work)
        });
        let own_work = if new.is_pon { pon_work() } else { new.bits.work() };
        let mut status = Status::default();
        status.set(Status::PON, new.is_pon);
        status.set(Status::COMPACT, new.is_compact);
        status.set(Status::FAILED_ANCESTOR, prev.is_some_and(|prev| self.entry(prev).is_failed()));
        let id = BlockId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(Entry {
            hash: new.hash,
            prev: prev.unwrap_or(NONE),
            skip: prev.and_then(|prev| self.ancestor(prev, skip_height(height))).unwrap_or(NONE),
            height,
            time: new.time,
            bits: new.bits,
            work: work.wrapping_add(own_work),
            status,
            sequence: 0,
            transactions: 0,
            chain_transactions: 0,
        });
        self.by_hash.insert(new.hash, id);
        self.offer_best_header(id);
        id
    }

    /// Notes that the body is stored. Returns the blocks that are now complete down to the genesis block: this one and
    /// its descendants, or none.
    pub(crate) fn link(&mut self, id: BlockId, transactions: u32) -> Vec<BlockId> {
        let entry = self.entry_mut(id);
        entry.status.set(Status::BODY, true);
        entry.status.set(Status::COMPACT, false);
        entry.transactions = transactions.max(1);
        let prev = entry.prev();
        if let Some(prev) = prev
            && self.entry(prev).chain_transactions == 0
        {
            self.unlinked.entry(prev).or_default().push(id);
            return Vec::new();
        }
        let mut complete = Vec::new();
        let mut queue = vec![id];
        while let Some(id) = queue.pop() {
            let before = self.entry(id).prev().map_or(0, |prev| self.entry(prev).chain_transactions);
            self.next_sequence = self.next_sequence.saturating_add(1);
            let sequence = self.next_sequence;
            let entry = self.entry_mut(id);
            entry.chain_transactions = before.saturating_add(u64::from(entry.transactions));
            entry.sequence = sequence;
            complete.push(id);
            queue.extend(self.unlinked.remove(&id).unwrap_or_default());
        }
        complete
    }

    /// Forgets arrivals: blocks that were there at the start are equally old.
    pub(crate) fn forget_sequence(&mut self) {
        for entry in &mut self.entries {
            entry.sequence = 0;
        }
        self.next_sequence = 0;
    }

    /// Notes that the body is not stored any more, or is not worth keeping.
    pub(crate) fn forget_body(&mut self, id: BlockId) {
        self.entry_mut(id).status.set(Status::BODY, false);
    }

    /// Forgets also that the chain was complete, so that the body may come again.
    pub(crate) fn unlink(&mut self, id: BlockId) {
        let mut queue = vec![id];
        let entry = self.entry_mut(id);
        entry.status.set(Status::BODY, false);
        entry.transactions = 0;
        while let Some(id) = queue.pop() {
            self.entry_mut(id).chain_transactions = 0;
            let children: Vec<BlockId> = self
                .ids()
                .filter(|child| self.entry(*child).prev == id && self.entry(*child).chain_transactions > 0)
                .collect();
            for child in children {
                self.unlinked.entry(id).or_default().push(child);
                queue.push(child);
            }
        }
    }

    pub(crate) fn set_connected(&mut self, id: BlockId) {
        self.entry_mut(id).status.set(Status::CONNECTED, true);
    }

    pub(crate) fn set_complete_header(&mut self, id: BlockId) {
        self.entry_mut(id).status.set(Status::COMPACT, false);
    }

    /// Marks a block, and everything built on it, as breaking rules. Returns all blocks whose mark changed.
    pub(crate) fn fail(&mut self, id: BlockId) -> Vec<BlockId> {
        let mut changed = Vec::new();
        if !self.entry(id).is_culprit() {
            self.entry_mut(id).status.set(Status::FAILED, true);
            changed.push(id);
        }
        let (height, base) = (self.entry(id).height, id);
        let descendants: Vec<BlockId> = self
            .ids()
            .skip(usize::try_from(id.0).unwrap_or(usize::MAX))
            .filter(|child| {
                let entry = self.entry(*child);
                *child != base && !entry.status.has(Status::FAILED_ANCESTOR) && entry.height > height
            })
            .filter(|child| self.ancestor(*child, height) == Some(base))
            .collect();
        for child in descendants {
            self.entry_mut(child).status.set(Status::FAILED_ANCESTOR, true);
            changed.push(child);
        }
        self.choose_best_header();
        changed
    }

    /// Takes the mark from a block, everything before it and everything built on it. Returns all blocks whose mark
    /// changed (`ReconsiderBlock`).
    pub(crate) fn reconsider(&mut self, id: BlockId) -> Vec<BlockId> {
        let height = self.entry(id).height;
        let related = |child: &BlockId| {
            let child_height = self.entry(*child).height;
            if child_height >= height {
                self.ancestor(*child, height) == Some(id)
            } else {
                self.ancestor(id, child_height) == Some(*child)
            }
        };
        let changed: Vec<BlockId> =
            self.ids().filter(|child| self.entry(*child).is_failed()).filter(related).collect();
        for id in &changed {
            self.entry_mut(*id).status.set(Status::FAILED | Status::FAILED_ANCESTOR, false);
        }
        self.choose_best_header();
        changed
    }

    pub(crate) fn push_active(&mut self, id: BlockId) {
        self.active.push(id);
    }

    pub(crate) fn pop_active(&mut self) -> Option<BlockId> {
        self.active.pop()
    }

    /// The active chain of a store: the chain that ends with `tip`.
    pub(crate) fn set_active(&mut self, tip: BlockId) {
        let mut chain = vec![tip];
        let mut walk = tip;
        while let Some(prev) = self.entry(walk).prev() {
            chain.push(prev);
            walk = prev;
        }
        chain.reverse();
        self.active = chain;
    }

    fn offer_best_header(&mut self, id: BlockId) {
        let entry = self.entry(id);
        let better = self.best_header.is_none_or(|best| self.entry(best).work < entry.work);
        if better && !entry.is_failed() {
            self.best_header = Some(id);
        }
    }

    fn choose_best_header(&mut self) {
        self.best_header = None;
        for id in self.ids() {
            self.offer_best_header(id);
        }
    }

    fn entry_mut(&mut self, id: BlockId) -> &mut Entry {
        let place = usize::try_from(id.0).unwrap_or(usize::MAX);
        self.entries.get_mut(place).expect("ids are made by this index, which forgets nothing")
    }
}

/// The height of the ancestor that an entry of a height points to besides its parent, so that any ancestor is reached
/// in a logarithmic number of steps (`GetSkipHeight`).
fn skip_height(height: u32) -> u32 {
    let without_lowest = |number: u32| number & number.wrapping_sub(1);
    if height < 2 {
        0
    } else if height & 1 == 1 {
        without_lowest(without_lowest(height - 1)) + 1
    } else {
        without_lowest(height)
    }
}
