//! What a light client wants to hear of: a Bloom filter it has given us, and blocks as seen through it.
//! Mirrors `Cryptography/BloomFilter.cs`, `MerkleTree.cs` and `Payloads/MerkleBlockPayload.cs`.

use neo_base::{
    UInt256,
    ledger::{Block, Transaction},
};
use neo_crypto::hash::{hash256, murmur32};

use crate::payload::{FilterLoad, MerkleBlock};

/// Distance between the seeds of the hash functions.
const SEED_STEP: u32 = 0xfba4_c795;

/// A set that may hold more than was put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BloomFilter {
    bits: Vec<u8>,
    seeds: Vec<u32>,
}

impl BloomFilter {
    /// The filter of a peer; `None` when it has no bits or no hash functions, which the reference refuses too.
    #[must_use]
    pub fn new(load: FilterLoad) -> Option<Self> {
        if load.filter.is_empty() || load.functions == 0 {
            return None;
        }
        let seed = |number: u8| u32::from(number).wrapping_mul(SEED_STEP).wrapping_add(load.tweak);
        Some(Self { bits: load.filter, seeds: (0..load.functions).map(seed).collect() })
    }

    /// Puts an element in.
    pub fn add(&mut self, element: &[u8]) {
        for (byte, mask) in self.places(element).collect::<Vec<_>>() {
            if let Some(byte) = self.bits.get_mut(byte) {
                *byte |= mask;
            }
        }
    }

    /// Whether the element may be in it.
    #[must_use]
    pub fn contains(&self, element: &[u8]) -> bool {
        self.places(element).all(|(byte, mask)| self.bits.get(byte).is_some_and(|byte| byte & mask != 0))
    }

    /// Whether the client wants this transaction: by its hash or by an account that signed it.
    #[must_use]
    pub fn wants(&self, tx: &Transaction) -> bool {
        let signers = &tx.body().signers;
        self.contains(tx.hash().as_bytes())
            || signers.iter().any(|signer| self.contains(signer.account.as_bytes()))
    }

    /// The header of a block and the part of its Merkle tree that proves the wanted transactions.
    #[must_use]
    pub fn view(&self, block: &Block) -> MerkleBlock {
        let wanted: Vec<bool> = block.transactions.iter().map(|tx| self.wants(tx)).collect();
        let hashes: Vec<_> = block.transactions.iter().map(Transaction::hash).collect();
        let mut flags = vec![0_u8; wanted.len().div_ceil(8)];
        for (place, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            if let Some(byte) = flags.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
        MerkleBlock {
            header: block.header.clone(),
            transactions: u16::try_from(hashes.len()).unwrap_or(u16::MAX),
            hashes: trimmed(&hashes, &wanted),
            flags,
        }
    }

    /// Byte and mask of each bit of an element.
    fn places(&self, element: &[u8]) -> impl Iterator<Item = (usize, u8)> {
        let bits = u64::try_from(self.bits.len()).unwrap_or(u64::MAX).saturating_mul(8).max(1);
        self.seeds.iter().map(move |seed| {
            let bit = u64::from(u32::from_le_bytes(murmur32(element, *seed))) % bits;
            (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
        })
    }
}

/// Hashes of the tree, depth first, each branch without wanted leaves cut to its root.
fn trimmed(hashes: &[UInt256], wanted: &[bool]) -> Vec<UInt256> {
    let mut level: Vec<Branch> = hashes
        .iter()
        .zip(wanted)
        .map(|(hash, wanted)| Branch { hash: *hash, leaves: vec![*hash], wanted: *wanted })
        .collect();
    while level.len() > 1 {
        level = level.chunks(2).map(join).collect();
    }
    level.pop().map(|root| root.leaves).unwrap_or_default()
}

/// A node of the tree with what is left of the leaves below it.
#[derive(Clone)]
struct Branch {
    hash: UInt256,
    leaves: Vec<UInt256>,
    wanted: bool,
}

/// The node above one or two others; a single one is taken twice.
fn join(pair: &[Branch]) -> Branch {
    let mut sides = pair.iter().cycle().take(2);
    let (Some(left), Some(right)) = (sides.next(), sides.next()) else {
        return Branch { hash: UInt256::ZERO, leaves: Vec::new(), wanted: false };
    };
    let hash = UInt256(hash256(&[&left.hash.0[..], &right.hash.0].concat()));
    let wanted = left.wanted || right.wanted;
    let leaves = if wanted { [&left.leaves[..], &right.leaves].concat() } else { vec![hash] };
    Branch { hash, leaves, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(bytes: usize) -> BloomFilter {
        BloomFilter::new(FilterLoad { filter: vec![0; bytes], functions: 10, tweak: 123_456 }).unwrap()
    }

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        let mut filter = filter(900);
        filter.add(b"abc");
        assert!(filter.contains(b"abc"));
        let others = (0_u32..1000).filter(|number| filter.contains(&number.to_le_bytes())).count();
        assert_eq!(others, 0);
        let empty = FilterLoad { filter: Vec::new(), functions: 1, tweak: 0 };
        assert_eq!(BloomFilter::new(empty), None);
    }

    #[test]
    fn branches_without_wanted_leaves_are_cut() {
        let hashes: Vec<_> = (0..5).map(|number| UInt256([number; 32])).collect();
        let root = neo_base::ledger::merkle_root(&hashes);
        assert_eq!(trimmed(&hashes, &[false; 5]), [root]);
        let one = trimmed(&hashes, &[false, false, true, false, false]);
        assert_eq!(one.len(), 4, "two leaves and two roots of branches");
        assert_eq!(one[1..3], hashes[2..4]);
        assert_eq!(trimmed(&hashes[..1], &[true]), hashes[..1]);
        assert!(trimmed(&[], &[]).is_empty());
    }
}
