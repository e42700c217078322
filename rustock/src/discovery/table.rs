//! Known nodes by distance: 256 buckets of 16. Mirrors `co/rsk/net/discovery/table`.

use std::{collections::BTreeMap, net::SocketAddr};

use sha3::{Digest, Keccak256};
use shared_vendor::clock::Time;

use crate::rlpx::NodeId;

const BUCKET_ENTRIES: usize = 16;

/// Bit length of the exclusive or of the ids, each hashed twice: 0 for equal ids, at most 256.
#[must_use]
pub fn distance(a: &NodeId, b: &NodeId) -> u32 {
    let (a, b) = (Keccak256::digest(a.keccak()), Keccak256::digest(b.keccak()));
    let mut bits = 256;
    for (left, right) in a.iter().zip(b) {
        let zeros = (left ^ right).leading_zeros();
        bits -= zeros;
        if zeros < 8 {
            break;
        }
    }
    bits
}

#[derive(Debug)]
struct Entry {
    id: NodeId,
    address: SocketAddr,
    seen: Time,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    own: NodeId,
    buckets: BTreeMap<u32, Vec<Entry>>,
}

/// A node was not added because its bucket is full; this one has been quiet for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) oldest: NodeId,
    pub(super) address: SocketAddr,
}

impl Table {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, buckets: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, now: Time, id: NodeId, address: SocketAddr) -> Result<(), Full> {
        let bucket = self.buckets.entry(distance(&self.own, &id)).or_default();
        if let Some(entry) = bucket.iter_mut().find(|entry| entry.id == id) {
            (entry.address, entry.seen) = (address, now);
            return Ok(());
        }
        match bucket.iter().min_by_key(|entry| entry.seen) {
            Some(oldest) if bucket.len() >= BUCKET_ENTRIES => {
                Err(Full { oldest: oldest.id, address: oldest.address })
            }
            _ => {
                bucket.push(Entry { id, address, seen: now });
                Ok(())
            }
        }
    }

    pub(super) fn touch(&mut self, now: Time, id: &NodeId) {
        if let Some(entry) = self.entry(id) {
            entry.seen = now;
        }
    }

    pub(super) fn remove(&mut self, id: &NodeId) {
        if let Some(bucket) = self.buckets.get_mut(&distance(&self.own, id)) {
            bucket.retain(|entry| entry.id != *id);
        }
    }

    /// All nodes, nearest to `id` first.
    pub(super) fn closest(&self, id: &NodeId) -> Vec<(NodeId, SocketAddr)> {
        let mut all: Vec<_> =
            self.buckets.values().flatten().map(|entry| (entry.id, entry.address)).collect();
        all.sort_by_cached_key(|(other, _)| distance(id, other));
        all
    }

    fn entry(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.buckets.get_mut(&distance(&self.own, id))?.iter_mut().find(|entry| entry.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> NodeId {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        NodeId(bytes)
    }

    #[test]
    fn distance_is_symmetric_and_zero_for_equal_ids() {
        assert_eq!(distance(&id(1), &id(1)), 0);
        assert_eq!(distance(&id(1), &id(2)), distance(&id(2), &id(1)));
        assert!((200..=256).contains(&distance(&id(1), &id(2))));
    }

    #[test]
    fn a_full_bucket_names_its_oldest_entry() {
        let mut table = Table::new(id(0));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut first = None;
        for number in 1..200 {
            if distance(&id(0), &id(number)) != 256 {
                continue;
            }
            let oldest = *first.get_or_insert(id(number));
            if let Err(full) = table.add(Time::from_millis(number.into()), id(number), address) {
                assert_eq!(full.oldest, oldest);
                assert_eq!(table.closest(&id(0)).len(), BUCKET_ENTRIES);
                table.remove(&oldest);
                assert_eq!(table.add(Time::ZERO, id(number), address), Ok(()));
                return;
            }
        }
        panic!("no bucket was filled");
    }
}
