//! Partial merkle trees: proof that some transactions are in a block. Used by `merkleblock` and by the RPC methods
//! `gettxoutproof` and `verifytxoutproof`. Mirrors `src/merkleblock.{h,cpp}`.

use fluxd_primitives::{
    DecodeError, Hash256, TxId,
    codec::{Codec, Reader, Writer, list, put_list, put_var_bytes, var_bytes},
    sha256d,
};

/// Most transactions that a block can hold, by its size (`MAX_BLOCK_SIZE / 60`).
const MAX_TRANSACTIONS: u32 = 33_333;

/// A tree cut down to the paths of the matched leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialTree {
    /// Leaves of the whole tree.
    pub total: u32,
    /// Hashes, depth first.
    pub hashes: Vec<Hash256>,
    /// One flag a node visited, depth first, packed from the lowest bit, padded with zeros.
    pub flags: Vec<u8>,
}

/// What a valid partial tree proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Root of the whole tree.
    pub root: Hash256,
    /// The matched leaves with their places.
    pub matches: Vec<(u32, TxId)>,
}

impl PartialTree {
    /// The tree over `ids` that shows those for which `matched` is true.
    #[must_use]
    pub fn build(ids: &[TxId], matched: &[bool]) -> Self {
        let mut levels = vec![ids.iter().map(|id| id.0).collect::<Vec<_>>()];
        let mut marks = vec![matched.to_vec()];
        while let (Some(level), Some(mark)) = (levels.last().filter(|level| level.len() > 1), marks.last()) {
            let up = level
                .chunks(2)
                .filter_map(|pair| Some(sha256d(&[*pair.first()?, *pair.last()?].concat())))
                .collect();
            let marked = mark.chunks(2).map(|pair| pair.contains(&true)).collect();
            levels.push(up);
            marks.push(marked);
        }
        let mut tree = Self {
            total: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            hashes: Vec::new(),
            flags: Vec::new(),
        };
        let mut bits = Vec::new();
        tree.visit(&levels, &marks, levels.len().saturating_sub(1), 0, &mut bits);
        tree.flags = bits
            .chunks(8)
            .map(|byte| byte.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit)))
            .collect();
        tree
    }

    fn visit(
        &mut self,
        levels: &[Vec<[u8; 32]>],
        marks: &[Vec<bool>],
        height: usize,
        place: usize,
        bits: &mut Vec<bool>,
    ) {
        let marked = marks.get(height).and_then(|level| level.get(place)).copied().unwrap_or(false);
        bits.push(marked);
        let below = height.checked_sub(1).filter(|_| marked);
        let Some(below) = below else {
            self.hashes.extend(levels.get(height).and_then(|level| level.get(place)).copied().map(Hash256));
            return;
        };
        let left = place.saturating_mul(2);
        self.visit(levels, marks, below, left, bits);
        if levels.get(below).is_some_and(|level| left.saturating_add(1) < level.len()) {
            self.visit(levels, marks, below, left.saturating_add(1), bits);
        }
    }

    /// Root and matches; `None` for a tree that proves nothing.
    #[must_use]
    pub fn extract(&self) -> Option<Extracted> {
        let bits = self.flags.len().checked_mul(8)?;
        if self.total == 0
            || self.total > MAX_TRANSACTIONS
            || self.hashes.len() > usize::try_from(self.total).ok()?
            || bits < self.hashes.len()
        {
            return None;
        }
        let height = (0..32_u32).find(|height| self.width(*height) <= 1)?;
        let mut walk = Walk { tree: self, bit: 0, hash: 0, matches: Vec::new() };
        let root = walk.node(height, 0)?;
        let all_bits = walk.bit.div_ceil(8) == self.flags.len();
        (all_bits && walk.hash == self.hashes.len())
            .then_some(Extracted { root: Hash256(root), matches: walk.matches })
    }

    fn width(&self, height: u32) -> u64 {
        (u64::from(self.total).saturating_add(1_u64 << height).saturating_sub(1)) >> height
    }
}

struct Walk<'a> {
    tree: &'a PartialTree,
    bit: usize,
    hash: usize,
    matches: Vec<(u32, TxId)>,
}

impl Walk<'_> {
    fn node(&mut self, height: u32, place: u64) -> Option<[u8; 32]> {
        let flag = self.tree.flags.get(self.bit / 8)? >> (self.bit % 8) & 1 == 1;
        self.bit = self.bit.checked_add(1)?;
        let below = height.checked_sub(1).filter(|_| flag);
        let Some(below) = below else {
            let hash = self.tree.hashes.get(self.hash)?.0;
            self.hash = self.hash.checked_add(1)?;
            if flag {
                self.matches.push((u32::try_from(place).ok()?, TxId(hash)));
            }
            return Some(hash);
        };
        let left_place = place.checked_mul(2)?;
        let left = self.node(below, left_place)?;
        let right_place = left_place.checked_add(1)?;
        if right_place >= self.tree.width(below) {
            return Some(sha256d(&[left, left].concat()));
        }
        let right = self.node(below, right_place)?;
        // Equal halves would let another list of transactions have the same root.
        (left != right).then(|| sha256d(&[left, right].concat()))
    }
}

impl Codec for PartialTree {
    const MIN_BYTES: usize = 6;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { total: reader.u32_le()?, hashes: list(reader)?, flags: var_bytes(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32_le(self.total);
        put_list(writer, &self.hashes);
        put_var_bytes(writer, &self.flags);
    }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::block::merkle_root;

    use super::*;

    #[test]
    fn every_subset_of_every_small_tree_is_proven_with_its_root() {
        for total in 1..=9_u8 {
            let ids: Vec<TxId> = (1..=total).map(|n| TxId([n; 32])).collect();
            for subset in 0..1_u32 << total {
                let matched: Vec<bool> = (0..total).map(|n| subset >> n & 1 == 1).collect();
                let tree = PartialTree::from_bytes(&PartialTree::build(&ids, &matched).to_bytes()).unwrap();
                let found = tree.extract().unwrap();
                assert_eq!(found.root, merkle_root(&ids).root);
                let expected: Vec<_> = (0_u32..)
                    .zip(&ids)
                    .zip(&matched)
                    .filter(|(_, m)| **m)
                    .map(|((i, id), _)| (i, *id))
                    .collect();
                assert_eq!(found.matches, expected);
            }
        }
    }

    #[test]
    fn trees_with_too_much_or_too_little_prove_nothing() {
        let ids: Vec<TxId> = (1..=7).map(|n| TxId([n; 32])).collect();
        let good = PartialTree::build(&ids, &[false, true, false, false, false, true, false]);
        let with = |change: fn(&mut PartialTree)| {
            let mut tree = good.clone();
            change(&mut tree);
            tree.extract()
        };
        assert!(with(|_| ()).is_some());
        assert_eq!(with(|tree| tree.total = 0), None);
        assert_eq!(with(|tree| tree.total = u32::MAX), None);
        assert_eq!(with(|tree| tree.hashes.push(Hash256::ZERO)), None);
        assert_eq!(with(|tree| tree.hashes.truncate(1)), None);
        assert_eq!(with(|tree| tree.flags.push(0)), None);
        assert_eq!(with(|tree| tree.flags.clear()), None);
    }
}
