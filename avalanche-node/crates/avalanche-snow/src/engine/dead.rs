//! Blocks that can never be accepted because one of their ancestors was rejected, the latest [`MAX_DEAD`] of them. A vote
//! for one counts for nothing, so its branch need not be fetched again to find that out, one block after the other: a
//! validator that votes for a long branch of its own would hold up every poll. The reference fetches it each time.

use std::collections::{HashSet, VecDeque};

use avalanche_ids::Id;

/// Blocks remembered.
pub const MAX_DEAD: usize = 8192;

/// Rejected blocks and what builds on them.
#[derive(Debug, Default)]
pub struct Dead {
    ids: HashSet<Id>,
    order: VecDeque<Id>,
}

impl Dead {
    /// True for a block that is remembered.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.ids.contains(&id)
    }

    /// Remembers a block, and forgets the one that came first when there are too many.
    pub fn add(&mut self, id: Id) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_DEAD
            && let Some(first) = self.order.pop_front()
        {
            self.ids.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_no_more() {
        let mut dead = Dead::default();
        let id = |number: usize| Id::hash_of(&number.to_be_bytes());
        for number in 0..=MAX_DEAD {
            dead.add(id(number));
            dead.add(id(number));
        }
        assert!(!dead.has(id(0)) && dead.has(id(1)) && dead.has(id(MAX_DEAD)));
        assert_eq!(dead.ids.len(), MAX_DEAD);
    }
}
