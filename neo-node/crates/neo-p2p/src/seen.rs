//! A bounded memory of hashes: the oldest go first. Mirrors `IO/Caching/HashSetCache.cs`.

use std::collections::{HashSet, VecDeque};

use neo_base::UInt256;

/// The last hashes that were put in.
#[derive(Debug, Clone)]
pub struct Seen {
    set: HashSet<UInt256>,
    order: VecDeque<UInt256>,
    capacity: usize,
}

impl Seen {
    /// An empty memory for so many hashes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { set: HashSet::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Remembers a hash; false when it was there already.
    pub fn insert(&mut self, hash: UInt256) -> bool {
        if !self.set.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }

    /// Whether it is remembered.
    #[must_use]
    pub fn contains(&self, hash: &UInt256) -> bool {
        self.set.contains(hash)
    }

    /// Forgets a hash.
    pub fn remove(&mut self, hash: &UInt256) {
        if self.set.remove(hash) {
            self.order.retain(|other| other != hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut seen = Seen::new(2);
        let hash = |number| UInt256([number; 32]);
        assert!(
            seen.insert(hash(1)) && seen.insert(hash(2)) && !seen.insert(hash(1)) && seen.insert(hash(3))
        );
        assert!(!seen.contains(&hash(1)) && seen.contains(&hash(2)));
        seen.remove(&hash(2));
        assert!(seen.insert(hash(2)) && seen.contains(&hash(3)));
    }
}
