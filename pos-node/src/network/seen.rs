//! What has already passed by, so that each thing is forwarded once: one block per proposer and slot, one vote per
//! validator and epoch. Bounded by time: everything before the final epoch is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{
    operation::SignedHeader,
    primitives::{Epoch, Root, Slot, ValidatorIndex},
};

/// Slots and epochs ahead of time are refused before they come here, so the maps hold no more than what validators can
/// sign between the final epoch and now. Without finality that grows; beyond this many entries the oldest go.
const MAX_ENTRIES: usize = 1 << 20;

/// A header with a good signature, and the root it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBlock {
    /// Root of the block.
    pub root: Root,
    /// Its signed header, evidence should another one come.
    pub header: SignedHeader,
}

/// The memory of gossip.
#[derive(Debug, Default)]
pub struct Seen {
    blocks: BTreeMap<(Slot, ValidatorIndex), SeenBlock>,
    votes: BTreeSet<(Epoch, ValidatorIndex)>,
}

impl Seen {
    /// The first block of a proposer for a slot.
    #[must_use]
    pub fn block(&self, slot: Slot, proposer: ValidatorIndex) -> Option<&SeenBlock> {
        self.blocks.get(&(slot, proposer))
    }

    /// Remembers the first block of a proposer for a slot.
    pub fn add_block(&mut self, block: SeenBlock) {
        let header = &block.header.header;
        self.blocks.entry((header.slot, header.proposer_index)).or_insert(block);
        if self.blocks.len() > MAX_ENTRIES {
            self.blocks.pop_first();
        }
    }

    /// Whether a vote of this validator for this target epoch has passed.
    #[must_use]
    pub fn has_vote(&self, target: Epoch, validator: ValidatorIndex) -> bool {
        self.votes.contains(&(target, validator))
    }

    /// Remembers a vote.
    pub fn add_vote(&mut self, target: Epoch, validator: ValidatorIndex) {
        add(&mut self.votes, (target, validator));
    }

    /// Forgets what is before the final epoch; nothing of it can pass any more.
    pub fn prune(&mut self, finalized: Epoch, final_slot: Slot) {
        self.blocks = self.blocks.split_off(&(final_slot, 0));
        self.votes = self.votes.split_off(&(finalized, 0));
    }
}

fn add(set: &mut BTreeSet<(Epoch, ValidatorIndex)>, item: (Epoch, ValidatorIndex)) {
    set.insert(item);
    if set.len() > MAX_ENTRIES {
        set.pop_first();
    }
}
