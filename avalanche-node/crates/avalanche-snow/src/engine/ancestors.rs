//! Parents of blocks that are known but not processing, so that a vote for one counts for its nearest processing
//! ancestor. Holds the blocks themselves as far as [`CACHE_BYTES`] go. Mirrors `snow/engine/snowman/ancestor/tree.go`
//! and the cache of unverified blocks of `snow/engine/snowman/engine.go`.

use std::collections::{BTreeSet, HashMap, VecDeque};

use avalanche_ids::Id;

use crate::chain::Block;

/// Bytes of unverified blocks kept.
pub const CACHE_BYTES: usize = 64 << 20;

/// Known blocks outside consensus.
#[derive(Debug, Default)]
pub struct Ancestors {
    parents: HashMap<Id, Id>,
    children: HashMap<Id, BTreeSet<Id>>,
    blocks: HashMap<Id, Block>,
    order: VecDeque<Id>,
    bytes: usize,
}

impl Ancestors {
    /// Links.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// True without links.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// True when the parent of this block is known here.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.parents.contains_key(&id)
    }

    /// A cached block.
    #[must_use]
    pub fn block(&self, id: Id) -> Option<&Block> {
        self.blocks.get(&id)
    }

    /// The oldest known ancestor; the block itself when there is none.
    #[must_use]
    pub fn oldest(&self, mut id: Id) -> Id {
        while let Some(parent) = self.parents.get(&id) {
            id = *parent;
        }
        id
    }

    /// Remembers a block.
    pub fn add(&mut self, block: Block) {
        self.parents.insert(block.id, block.parent);
        self.children.entry(block.parent).or_default().insert(block.id);
        self.bytes = self.bytes.saturating_add(block.bytes.len());
        self.order.push_back(block.id);
        if let Some(old) = self.blocks.insert(block.id, block) {
            self.bytes = self.bytes.saturating_sub(old.bytes.len());
        }
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.evict(oldest);
        }
        if self.order.len() > self.blocks.len().saturating_mul(2).saturating_add(64) {
            let blocks = &self.blocks;
            let mut seen = BTreeSet::new();
            self.order.retain(|id| blocks.contains_key(id) && seen.insert(*id));
        }
    }

    /// Forgets one block; its children keep their links to it.
    pub fn remove(&mut self, id: Id) {
        self.evict(id);
        let Some(parent) = self.parents.remove(&id) else { return };
        if let Some(children) = self.children.get_mut(&parent) {
            children.remove(&id);
            if children.is_empty() {
                self.children.remove(&parent);
            }
        }
    }

    /// Forgets a block and all that builds on it.
    pub fn remove_descendants(&mut self, id: Id) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            stack.extend(self.children.get(&id).into_iter().flatten());
            self.remove(id);
        }
    }

    fn evict(&mut self, id: Id) {
        if let Some(block) = self.blocks.remove(&id) {
            self.bytes = self.bytes.saturating_sub(block.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: u8, parent: u8) -> Block {
        Block { id: Id([id; 32]), parent: Id([parent; 32]), height: 1, bytes: vec![id].into() }
    }

    #[test]
    fn votes_find_the_oldest_ancestor_until_its_branch_is_forgotten() {
        let mut tree = Ancestors::default();
        for (id, parent) in [(2, 1), (3, 2), (4, 2), (6, 5)] {
            tree.add(block(id, parent));
        }
        assert_eq!(tree.oldest(Id([3; 32])), Id([1; 32]));
        assert_eq!(tree.oldest(Id([9; 32])), Id([9; 32]));
        assert!(tree.block(Id([4; 32])).is_some());
        tree.remove_descendants(Id([1; 32]));
        assert_eq!(tree.len(), 1);
        assert!(tree.block(Id([4; 32])).is_none());
        assert_eq!(tree.oldest(Id([6; 32])), Id([5; 32]));
    }

    #[test]
    fn the_cache_holds_so_many_bytes_and_no_more() {
        let mut tree = Ancestors::default();
        let big = |id: u8| Block { bytes: vec![0; CACHE_BYTES / 2].into(), ..block(id, 1) };
        for id in 2..6 {
            tree.add(big(id));
        }
        let cached = (2..6).filter(|id| tree.block(Id([*id; 32])).is_some()).count();
        assert_eq!((cached, tree.len()), (2, 4));
    }
}
