//! Single blocks that others mention and this node lacks: asked of whoever mentioned them, then of others, each a few
//! times. What is found may lead to its parent; a chain of parents that is too long is left to range sync.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared_vendor::clock::Time;

use super::range::Peer;
use crate::types::primitives::Root;

/// Longest chain of unknown parents that is followed.
pub const MAX_DEPTH: u32 = 32;
/// Blocks looked for at once.
const MAX_LOOKUPS: usize = 128;
/// Peers asked for one block.
const MAX_PEERS: usize = 4;
/// A peer that has not answered by then is passed over.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Lookup {
    depth: u32,
    /// Who mentioned it, to be asked first.
    known_by: Vec<Peer>,
    asked: BTreeSet<Peer>,
    until: Option<Time>,
}

/// What is being looked for.
#[derive(Debug, Default)]
pub struct Lookups {
    open: BTreeMap<Root, Lookup>,
}

impl Lookups {
    /// Somebody mentioned a block; false when it is too deep or there are too many.
    pub fn want(&mut self, root: Root, peer: Option<Peer>, depth: u32) -> bool {
        if let Some(lookup) = self.open.get_mut(&root) {
            lookup.known_by.extend(peer.filter(|peer| !lookup.asked.contains(peer)));
            return true;
        }
        if depth > MAX_DEPTH || self.open.len() >= MAX_LOOKUPS {
            return false;
        }
        let known_by = peer.into_iter().collect();
        self.open.insert(root, Lookup { depth, known_by, asked: BTreeSet::new(), until: None });
        true
    }

    /// Whether a block is being looked for.
    #[must_use]
    pub fn wants(&self, root: &Root) -> bool {
        self.open.contains_key(root)
    }

    /// A block has come, from wherever; gives how deep it was.
    pub fn found(&mut self, root: &Root) -> Option<u32> {
        self.open.remove(root).map(|lookup| lookup.depth)
    }

    /// A peer did not have it, or failed.
    pub fn failed(&mut self, root: &Root, peer: Peer) {
        if let Some(lookup) = self.open.get_mut(root)
            && lookup.asked.contains(&peer)
        {
            lookup.until = None;
        }
    }

    /// Whom to ask for what now. Blocks that nobody has are given up.
    pub fn due(&mut self, now: Time, peers: &BTreeSet<Peer>) -> Vec<(Peer, Root)> {
        let mut asks = Vec::new();
        self.open.retain(|root, lookup| {
            if lookup.until.is_some_and(|until| now < until) {
                return true;
            }
            let fresh = |peer: &Peer| !lookup.asked.contains(peer);
            let first = lookup.known_by.iter().rev().copied().find(fresh);
            let next = first.or_else(|| peers.iter().copied().find(fresh));
            match next.filter(|_| lookup.asked.len() < MAX_PEERS) {
                Some(peer) => {
                    lookup.asked.insert(peer);
                    lookup.until = Some(now.after(PATIENCE));
                    asks.push((peer, *root));
                    true
                }
                None => false,
            }
        });
        asks
    }

    /// When to look again.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.open.values().filter_map(|lookup| lookup.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_mentioned_a_block_is_asked_first_and_others_when_that_fails() {
        let mut lookups = Lookups::default();
        let root = Root([1; 32]);
        let peers = BTreeSet::from([1, 2, 3, 4, 5, 6]);
        assert!(lookups.want(root, Some(5), 0));
        assert_eq!(lookups.due(Time::ZERO, &peers), [(5, root)]);
        assert!(lookups.due(Time::ZERO, &peers).is_empty(), "under way");
        lookups.failed(&root, 5);
        assert_eq!(lookups.due(Time::ZERO, &peers), [(1, root)]);
        let late = lookups.deadline().expect("one under way");
        assert_eq!(lookups.due(late, &peers), [(2, root)], "the silent are passed over");
        lookups.failed(&root, 2);
        assert_eq!(lookups.due(late, &peers), [(3, root)]);
        lookups.failed(&root, 3);
        assert!(lookups.due(late, &peers).is_empty());
        assert!(!lookups.wants(&root), "given up");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let mut lookups = Lookups::default();
        assert!(!lookups.want(Root::ZERO, None, MAX_DEPTH + 1));
        let wanted = (0..=255u8).filter(|at| lookups.want(Root([*at; 32]), None, MAX_DEPTH)).count();
        assert_eq!(wanted, MAX_LOOKUPS);
        assert_eq!(lookups.found(&Root([3; 32])), Some(MAX_DEPTH));
    }
}
