//! Snowman: one tree of decisions per block that has children, and votes that count for a block and all its ancestors.
//! Decisions come back as data; what a block contains is not known here. Mirrors `snow/consensus/snowman/topological.go`.
//!
//! Blocks live in slots; the scratch space of a poll is part of the slots and is told apart by the number of the poll,
//! so that recording a poll allocates nothing once the structure is warm.

use std::collections::{HashMap, VecDeque};

use avalanche_ids::Id;
use avalanche_utils::Bag;

use super::{
    instance::Rule,
    params::{Params, ParamsError},
    tree::{Tree, Vote},
};

/// What became of a processing block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is now the last accepted block.
    Accept(Id),
    /// It conflicts with an accepted block.
    Reject(Id),
}

/// Why a block cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is processing already.
    #[error("duplicate block add")]
    Duplicate,
    /// Its parent is neither processing nor the last accepted block.
    #[error("unknown parent block")]
    UnknownParent,
    /// Its height is not its parent's plus one.
    #[error("height {height} does not follow the parent's {parent}")]
    Height {
        /// The block's height.
        height: u64,
        /// The parent's.
        parent: u64,
    },
}

/// How many polls were counted, by what came of them. One that has nothing to decide is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polls {
    /// A choice got enough votes.
    pub successful: u64,
    /// None did.
    pub failed: u64,
}

type Slot = usize;

#[derive(Debug)]
struct Block {
    id: Id,
    /// None for the block that was last accepted when the structure was made.
    parent: Option<Slot>,
    height: u64,
    preferred: bool,
    should_falter: bool,
    tree: Option<Tree>,
    children: Vec<Slot>,
    poll: PollScratch,
}

/// How a block takes part in the running poll; meaningful only while `number` is that of the poll.
#[derive(Debug, Default)]
struct PollScratch {
    number: u64,
    /// Children whose votes have not arrived yet.
    in_degree: usize,
    votes: Vec<Vote>,
    total: u32,
}

/// Consensus over a tree of blocks.
#[derive(Debug)]
pub struct Topological {
    rule: Rule,
    slots: Vec<Option<Block>>,
    free: Vec<Slot>,
    by_id: HashMap<Id, Slot, IdHasher>,
    last_accepted: Slot,
    last_accepted_id: Id,
    last_accepted_height: u64,
    /// The preferred branch, lowest first: its first block follows the last accepted one.
    preferred: VecDeque<Slot>,
    preference: Id,
    poll_number: u64,
    polls: Polls,
    leaves: Vec<Slot>,
    vote_stack: Vec<Slot>,
}

impl Topological {
    /// Consensus that starts above an accepted block.
    ///
    /// # Errors
    /// The parameters break a constraint.
    pub fn new(rule: Rule, last_accepted: Id, height: u64) -> Result<Self, ParamsError> {
        rule.params.verify()?;
        let block = Block::new(last_accepted, None, height);
        Ok(Self {
            rule,
            slots: vec![Some(block)],
            free: Vec::new(),
            by_id: HashMap::from_iter([(last_accepted, 0)]),
            last_accepted: 0,
            last_accepted_id: last_accepted,
            last_accepted_height: height,
            preferred: VecDeque::new(),
            preference: last_accepted,
            poll_number: 0,
            polls: Polls::default(),
            leaves: Vec::new(),
            vote_stack: Vec::new(),
        })
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.rule.params
    }

    /// What came of the polls so far.
    #[must_use]
    pub const fn polls(&self) -> Polls {
        self.polls
    }

    /// Blocks that are not decided.
    #[must_use]
    pub fn num_processing(&self) -> usize {
        self.by_id.len() - 1
    }

    /// True when the block is known and not decided.
    #[must_use]
    pub fn processing(&self, id: Id) -> bool {
        id != self.last_accepted_id && self.by_id.contains_key(&id)
    }

    /// True for the last accepted block and those on the preferred branch above it.
    #[must_use]
    pub fn is_preferred(&self, id: Id) -> bool {
        id == self.last_accepted_id || self.find(id).is_some_and(|slot| self.block(slot).preferred)
    }

    /// The last accepted block and its height.
    #[must_use]
    pub const fn last_accepted(&self) -> (Id, u64) {
        (self.last_accepted_id, self.last_accepted_height)
    }

    /// The tip of the preferred branch.
    #[must_use]
    pub const fn preference(&self) -> Id {
        self.preference
    }

    /// The last accepted or preferred block at a height.
    #[must_use]
    pub fn preference_at_height(&self, height: u64) -> Option<Id> {
        let above = height.checked_sub(self.last_accepted_height)?;
        match usize::try_from(above).ok()?.checked_sub(1) {
            None => Some(self.last_accepted_id),
            Some(index) => self.preferred.get(index).map(|slot| self.block(*slot).id),
        }
    }

    /// The preferred branch above the last accepted block, lowest first.
    pub fn preferred_branch(&self) -> impl Iterator<Item = Id> + '_ {
        self.preferred.iter().map(|slot| self.block(*slot).id)
    }

    /// The parent of a processing block.
    #[must_use]
    pub fn parent(&self, id: Id) -> Option<Id> {
        let parent = self.block(self.find(id)?).parent?;
        Some(self.block(parent).id)
    }

    /// Adds a verified block.
    ///
    /// # Errors
    /// As [`AddError`] says; nothing changes then.
    pub fn add(&mut self, id: Id, parent: Id, height: u64) -> Result<(), AddError> {
        if self.processing(id) {
            return Err(AddError::Duplicate);
        }
        let parent_slot = self.find(parent).ok_or(AddError::UnknownParent)?;
        let parent_height = self.block(parent_slot).height;
        if parent_height.checked_add(1) != Some(height) {
            return Err(AddError::Height { height, parent: parent_height });
        }
        let extends_preference = self.preference == parent;
        let mut block = Block::new(id, Some(parent_slot), height);
        block.preferred = extends_preference;
        let slot = self.insert(block);
        let rule = self.rule;
        let parent_block = self.block_mut(parent_slot);
        parent_block.children.push(slot);
        match &mut parent_block.tree {
            Some(tree) => tree.add(id),
            none => *none = Some(Tree::new(rule, id)),
        }
        if extends_preference {
            self.preference = id;
            self.preferred.push_back(slot);
        }
        Ok(())
    }

    /// Counts the answers to one poll: at most `k` votes. Votes for unknown or decided blocks are dropped. Blocks are
    /// accepted from the bottom up; what they conflict with is rejected right after each.
    pub fn record_poll(&mut self, votes: &Bag<Id>) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.poll_number = self.poll_number.wrapping_add(1);
        self.vote_stack.clear();
        if votes.len() >= self.rule.params.alpha_preference {
            self.calculate_in_degrees(votes);
            self.push_votes();
        }
        let preferred = self.vote(&mut decisions);
        if !self.block(preferred).preferred {
            self.prefer(preferred);
        }
        decisions
    }

    /// Gives every voted block's parent its direct votes, and every ancestor the number of children to wait for.
    fn calculate_in_degrees(&mut self, votes: &Bag<Id>) {
        let poll = self.poll_number;
        self.leaves.clear();
        for (id, count) in votes.iter() {
            let Some(slot) = self.find(id) else { continue };
            let Some(parent) = self.undecided_parent(slot) else { continue };
            let seen = self.block_mut(parent).join(poll);
            self.block_mut(parent).count(id, count);
            if seen {
                continue;
            }
            self.leaves.push(parent);
            let mut child = parent;
            while let Some(ancestor) = self.undecided_parent(child) {
                let block = self.block_mut(ancestor);
                let seen = block.join(poll);
                block.poll.in_degree += 1;
                if seen {
                    break;
                }
                child = ancestor;
            }
        }
    }

    /// Pushes votes from the leaves towards the last accepted block; what collects enough of them is put on the stack,
    /// highest first.
    fn push_votes(&mut self) {
        let alpha = self.rule.params.alpha_preference;
        let mut leaves = std::mem::take(&mut self.leaves);
        // A leaf may have become an inner node after it was noted; it comes again with its last child.
        leaves.retain(|slot| self.block(*slot).poll.in_degree == 0);
        while let Some(slot) = leaves.pop() {
            let block = self.block(slot);
            let (id, total) = (block.id, block.poll.total);
            if total >= alpha {
                self.vote_stack.push(slot);
            }
            let Some(parent) = self.undecided_parent(slot) else { continue };
            let parent_block = self.block_mut(parent);
            parent_block.poll.in_degree -= 1;
            parent_block.count(id, total);
            if parent_block.poll.in_degree == 0 {
                leaves.push(parent);
            }
        }
        self.leaves = leaves;
    }

    /// Applies the stacked votes from the bottom up. Answers the block after the last one voted for on the preferred
    /// branch.
    fn vote(&mut self, decisions: &mut Vec<Decision>) -> Slot {
        let mut stack = std::mem::take(&mut self.vote_stack);
        if stack.is_empty() {
            let last_accepted = self.last_accepted;
            self.block_mut(last_accepted).should_falter = true;
            self.vote_stack = stack;
            self.polls.failed += u64::from(self.num_processing() > 0);
            return self.find(self.preference).unwrap_or(last_accepted);
        }
        let mut new_preferred = self.last_accepted;
        let mut on_preferred_branch = true;
        let mut succeeds = false;
        while let Some(slot) = stack.pop() {
            let next = stack.last().copied();
            let Some(Some(block)) = self.slots.get_mut(slot) else { break }; // rejected by this very poll
            let falters = std::mem::take(&mut block.should_falter);
            let Some(tree) = &mut block.tree else { break };
            if falters {
                tree.record_unsuccessful_poll();
            }
            succeeds |= tree.record_poll(&mut block.poll.votes);
            let (finalized, preference) = (tree.finalized(), tree.preference());
            let preference = self.find(preference).unwrap_or(self.last_accepted);
            let accepts = finalized && slot == self.last_accepted;
            let children = std::mem::take(&mut self.block_mut(slot).children);
            if accepts {
                self.accept_child(preference, &children, decisions);
                self.remove(slot);
            }
            if on_preferred_branch {
                new_preferred = preference;
            }
            on_preferred_branch = on_preferred_branch && next == Some(preference);
            for child in &children {
                if (falters || next != Some(*child))
                    && let Some(Some(child)) = self.slots.get_mut(*child)
                {
                    child.should_falter = true;
                }
            }
            if !accepts {
                self.block_mut(slot).children = children;
            }
        }
        stack.clear();
        self.vote_stack = stack;
        let counted = if succeeds { &mut self.polls.successful } else { &mut self.polls.failed };
        *counted += 1;
        new_preferred
    }

    /// Accepts one child of the last accepted block and rejects its siblings with all that builds on them.
    fn accept_child(&mut self, accepted: Slot, children: &[Slot], decisions: &mut Vec<Decision>) {
        let block = self.block_mut(accepted);
        block.preferred = false;
        let (id, height) = (block.id, block.height);
        block.parent = None;
        decisions.push(Decision::Accept(id));
        (self.last_accepted, self.last_accepted_id, self.last_accepted_height) = (accepted, id, height);
        self.preferred.pop_front();
        let mut rejected: Vec<Slot> = children.iter().copied().filter(|child| *child != accepted).collect();
        while let Some(slot) = rejected.pop() {
            if let Some(block) = self.remove(slot) {
                decisions.push(Decision::Reject(block.id));
                rejected.extend(block.children);
            }
        }
    }

    /// Makes the preferred branch go through `slot`, and above it where the trees point.
    fn prefer(&mut self, slot: Slot) {
        while let Some(old) = self.preferred.pop_front() {
            if let Some(Some(block)) = self.slots.get_mut(old) {
                block.preferred = false;
            }
        }
        let mut below = slot;
        while let Some(parent) = self.undecided_parent(below) {
            self.block_mut(below).preferred = true;
            self.preferred.push_front(below);
            below = parent;
        }
        let mut tip = slot;
        while let Some(next) = self.block(tip).tree.as_ref().and_then(|tree| self.find(tree.preference())) {
            self.block_mut(next).preferred = true;
            self.preferred.push_back(next);
            tip = next;
        }
        self.preference = self.block(tip).id;
    }

    fn find(&self, id: Id) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The parent of a block that is not decided; None for the last accepted block.
    fn undecided_parent(&self, slot: Slot) -> Option<Slot> {
        if slot == self.last_accepted { None } else { self.block(slot).parent }
    }

    fn insert(&mut self, block: Block) -> Slot {
        let id = block.id;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[slot] = Some(block);
        self.by_id.insert(id, slot);
        slot
    }

    fn remove(&mut self, slot: Slot) -> Option<Block> {
        let block = self.slots.get_mut(slot)?.take()?;
        self.by_id.remove(&block.id);
        self.free.push(slot);
        Some(block)
    }

    fn block(&self, slot: Slot) -> &Block {
        self.slots[slot].as_ref().expect("slots of links between processing blocks are occupied")
    }

    fn block_mut(&mut self, slot: Slot) -> &mut Block {
        self.slots[slot].as_mut().expect("slots of links between processing blocks are occupied")
    }
}

impl Block {
    fn new(id: Id, parent: Option<Slot>, height: u64) -> Self {
        Self {
            id,
            parent,
            height,
            preferred: false,
            should_falter: false,
            tree: None,
            children: Vec::new(),
            poll: PollScratch::default(),
        }
    }

    /// Makes the block take part in a poll; true when it did already.
    fn join(&mut self, poll: u64) -> bool {
        if self.poll.number == poll {
            return true;
        }
        self.poll.number = poll;
        self.poll.in_degree = 0;
        self.poll.total = 0;
        self.poll.votes.clear();
        false
    }

    /// Adds votes for one child.
    fn count(&mut self, child: Id, count: u32) {
        if count == 0 {
            return;
        }
        match self.poll.votes.iter_mut().find(|(found, _)| *found == child) {
            Some((_, found)) => *found = found.saturating_add(count),
            None => self.poll.votes.push((child, count)),
        }
        self.poll.total = self.poll.total.saturating_add(count);
    }
}

/// Ids are SHA-256 hashes: their first eight bytes are hash enough.
#[derive(Debug, Clone, Copy, Default)]
struct IdHasher;

impl std::hash::BuildHasher for IdHasher {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes(0)
    }
}

#[derive(Debug)]
struct FirstBytes(u64);

impl std::hash::Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Flavor;

    fn id(number: u8) -> Id {
        Id::hash_of(&[number])
    }

    fn consensus() -> Topological {
        let params = Params {
            k: 3,
            alpha_preference: 2,
            alpha_confidence: 2,
            beta: 1,
            concurrent_repolls: 1,
            ..Params::default()
        };
        Topological::new(Rule { flavor: Flavor::Snowflake, params }, id(0), 7).unwrap()
    }

    #[test]
    fn a_vote_counts_for_all_ancestors_and_rejects_their_rivals() {
        let mut snowman = consensus();
        snowman.add(id(1), id(0), 8).unwrap();
        snowman.add(id(2), id(0), 8).unwrap();
        snowman.add(id(3), id(2), 9).unwrap();
        assert_eq!(snowman.preference(), id(1));
        let mut decisions = Vec::new();
        while snowman.num_processing() > 0 {
            decisions.extend(snowman.record_poll(&[id(3), id(3), id(3)].into_iter().collect()));
        }
        assert_eq!(decisions, [Decision::Accept(id(2)), Decision::Reject(id(1)), Decision::Accept(id(3))]);
        assert_eq!(snowman.last_accepted(), (id(3), 9));
        assert_eq!(snowman.preference_at_height(9), Some(id(3)));
        assert_eq!(snowman.preference_at_height(10), None);
    }

    #[test]
    fn what_cannot_be_added_changes_nothing() {
        let mut snowman = consensus();
        snowman.add(id(1), id(0), 8).unwrap();
        assert_eq!(snowman.add(id(1), id(0), 8), Err(AddError::Duplicate));
        assert_eq!(snowman.add(id(2), id(9), 8), Err(AddError::UnknownParent));
        assert_eq!(snowman.add(id(2), id(0), 9), Err(AddError::Height { height: 9, parent: 7 }));
        assert_eq!(snowman.num_processing(), 1);
    }
}
