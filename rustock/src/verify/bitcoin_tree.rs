//! Partial Merkle trees of Bitcoin (BIP 37), the proof format below orchid.
//!
//! Mirrors `PartialMerkleTreeFormatUtils.java`, `GenesisMerkleProofValidator.java` and `PartialMerkleTree` of
//! bitcoinj-thin.

use shared_vendor::bytes::{ReadError, Reader};

use super::{merged_mining::combine, rule::Rule};

/// A block of one megabyte holds no more transactions of 60 bytes.
const MAX_TRANSACTIONS: u32 = 16_666;

/// A serialised partial tree of the stated size.
#[derive(Debug)]
pub(super) struct PartialTree<'a> {
    transactions: u32,
    /// In internal byte order.
    hashes: &'a [[u8; 32]],
    flags: &'a [u8],
}

impl<'a> PartialTree<'a> {
    /// # Errors
    /// The counts do not fill the bytes exactly.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Rule> {
        let read = || -> Result<Self, ReadError> {
            let mut reader = Reader::new(bytes);
            let transactions = reader.u32_le()?;
            let claimed = compact_size(&mut reader)?;
            let count = reader.count(claimed, usize::MAX, 32)?;
            let (hashes, _) = reader.take(count.saturating_mul(32))?.as_chunks::<32>();
            let flags = compact_size(&mut reader)?;
            let flags = reader.bounded(flags, usize::MAX)?;
            reader.finish()?;
            Ok(Self { transactions, hashes, flags })
        };
        read().map_err(|_| Rule::PartialTreeSize)
    }

    /// The tree has this root and proves this transaction; both in internal byte order.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(super) fn check(&self, root: &[u8; 32], transaction: &[u8; 32]) -> Result<(), Rule> {
        let hash_count = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        let bits = self.flags.len().saturating_mul(8);
        if !(1..=MAX_TRANSACTIONS).contains(&self.transactions)
            || hash_count > self.transactions
            || bits < self.hashes.len()
        {
            return Err(Rule::PartialTreeStructure);
        }
        let mut height = 0;
        while self.width(height) > 1 {
            height += 1;
        }
        let mut walk = Walk { tree: self, bits_used: 0, hashes_used: 0, wanted: transaction, found: false };
        let actual = walk.node(height, 0)?;
        if walk.bits_used.div_ceil(8) != self.flags.len() || walk.hashes_used != self.hashes.len() {
            return Err(Rule::PartialTreeStructure);
        }
        if actual != *root {
            return Err(Rule::MerkleRoot);
        }
        if walk.found { Ok(()) } else { Err(Rule::PartialTreeMatch) }
    }

    /// Nodes at a height above the transactions.
    fn width(&self, height: u32) -> u32 {
        self.transactions.div_ceil(1 << height)
    }
}

struct Walk<'a> {
    tree: &'a PartialTree<'a>,
    bits_used: usize,
    hashes_used: usize,
    wanted: &'a [u8; 32],
    found: bool,
}

impl Walk<'_> {
    /// Depth is at most 15, because the number of transactions is bounded.
    fn node(&mut self, height: u32, position: u32) -> Result<[u8; 32], Rule> {
        let byte = self.tree.flags.get(self.bits_used / 8).ok_or(Rule::PartialTreeStructure)?;
        let leads_to_match = byte >> (self.bits_used % 8) & 1 == 1;
        self.bits_used += 1;
        if height == 0 || !leads_to_match {
            let hash = *self.tree.hashes.get(self.hashes_used).ok_or(Rule::PartialTreeStructure)?;
            self.hashes_used += 1;
            self.found |= height == 0 && leads_to_match && hash == *self.wanted;
            return Ok(hash);
        }
        let left = self.node(height - 1, position * 2)?;
        if position * 2 + 1 >= self.tree.width(height - 1) {
            return combine(&left, &left);
        }
        let right = self.node(height - 1, position * 2 + 1)?;
        if left == right {
            return Err(Rule::PartialTreeStructure);
        }
        combine(&left, &right)
    }
}

/// Bitcoin's variable-length integer; longer forms than needed are accepted as the reference does.
fn compact_size(reader: &mut Reader<'_>) -> Result<u64, ReadError> {
    Ok(match reader.u8()? {
        0xff => reader.u64_le()?,
        0xfe => reader.u32_le()?.into(),
        0xfd => reader.u16_le()?.into(),
        small => small.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sha256::sha256d_pair;

    /// Two transactions, the first one proven.
    fn two() -> (Vec<u8>, [u8; 32], [u8; 32]) {
        let (coinbase, other) = ([3; 32], [4; 32]);
        let mut bytes = vec![2, 0, 0, 0, 2];
        bytes.extend([coinbase, other].as_flattened());
        bytes.extend([1, 0b011]);
        (bytes, sha256d_pair(&coinbase, &other), coinbase)
    }

    fn check(bytes: &[u8], root: [u8; 32], coinbase: [u8; 32]) -> Result<(), Rule> {
        PartialTree::read(bytes)?.check(&root, &coinbase)
    }

    #[test]
    fn a_tree_proves_what_it_matches() {
        let (bytes, root, coinbase) = two();
        assert_eq!(check(&bytes, root, coinbase), Ok(()));
        assert_eq!(check(&bytes, root, [4; 32]), Err(Rule::PartialTreeMatch));
        assert_eq!(check(&bytes, [0; 32], coinbase), Err(Rule::MerkleRoot));
    }

    #[test]
    fn wrong_counts_are_refused() {
        let (bytes, root, coinbase) = two();
        for cut in 0..bytes.len() {
            assert_eq!(check(&bytes[..cut], root, coinbase), Err(Rule::PartialTreeSize));
        }
        let edited = |edit: fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            edit(&mut bytes);
            check(&bytes, root, coinbase)
        };
        assert_eq!(edited(|bytes| bytes[0] = 0), Err(Rule::PartialTreeStructure), "no transaction");
        assert_eq!(
            edited(|bytes| bytes[0] = 1),
            Err(Rule::PartialTreeStructure),
            "more hashes than transactions"
        );
        assert_eq!(edited(|bytes| bytes[1] = 0xff), Err(Rule::PartialTreeStructure), "too many transactions");
        assert_eq!(edited(|bytes| bytes.push(0)), Err(Rule::PartialTreeSize));
        let unread_flags = edited(|bytes| {
            let at = bytes.len() - 2;
            bytes[at] = 2;
            bytes.push(0);
        });
        assert_eq!(unread_flags, Err(Rule::PartialTreeStructure));
        let unread_hash = edited(|bytes| *bytes.last_mut().unwrap() = 0);
        assert_eq!(unread_hash, Err(Rule::PartialTreeStructure));
        let twins = edited(|bytes| bytes[5..69].fill(3));
        assert_eq!(twins, Err(Rule::PartialTreeStructure), "equal children hide a second reading");
    }
}
