//! Filtered connections (BIP37): the filter a light client loads, and blocks cut down to what it matches. Mirrors
//! `src/bloom.{h,cpp}` and `CMerkleBlock`.

use fluxd_primitives::{
    Block, BlockHeader, DecodeError, OutPoint, Transaction, TxId,
    codec::{Codec, Reader, Writer, put_var_bytes, var_bytes},
};
use fluxd_script::{instruction::instructions, standard::Standard};

use crate::merkle::PartialTree;

/// Most bytes of a filter.
pub const MAX_FILTER_BYTES: usize = 36_000;
/// Most hash functions of a filter.
pub const MAX_HASH_FUNCTIONS: u32 = 50;
/// Most bytes of one item of `filteradd`.
pub const MAX_ITEM_BYTES: usize = 520;

const UPDATE_ALL: u8 = 1;
const UPDATE_P2PUBKEY_ONLY: u8 = 2;
const UPDATE_MASK: u8 = 3;

/// A Bloom filter over the things a light client cares for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The bits.
    pub bits: Vec<u8>,
    /// Hash functions.
    pub functions: u32,
    /// Salt of the hash functions.
    pub tweak: u32,
    /// Whether matched outputs are added: 0 no, 1 all, 2 those to keys and multisig.
    pub flags: u8,
}

impl Filter {
    /// True when it is not larger than the protocol allows.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        self.bits.len() <= MAX_FILTER_BYTES && self.functions <= MAX_HASH_FUNCTIONS
    }

    /// Adds an item.
    pub fn insert(&mut self, item: &[u8]) {
        for function in 0..self.functions {
            if let Some((byte, mask)) = self.place(function, item)
                && let Some(byte) = self.bits.get_mut(byte)
            {
                *byte |= mask;
            }
        }
    }

    /// Whether an item may have been added. A filter without bits matches everything.
    #[must_use]
    pub fn contains(&self, item: &[u8]) -> bool {
        (0..self.functions).all(|function| {
            self.place(function, item)
                .is_none_or(|(byte, mask)| self.bits.get(byte).is_some_and(|bits| bits & mask != 0))
        })
    }

    /// Whether a transaction concerns the owner of the filter. Outputs that match are added, as the flags say, so that
    /// what spends them matches too.
    pub fn matches(&mut self, id: &TxId, transaction: &Transaction) -> bool {
        let mut found = self.contains(&id.0);
        for (index, output) in (0_u32..).zip(&transaction.outputs) {
            let script = output.script_pubkey.as_bytes();
            let matched = pushes(script).any(|data| self.contains(data));
            if !matched {
                continue;
            }
            found = true;
            let to_keys =
                || matches!(Standard::of(script), Some(Standard::PubKey(_) | Standard::MultiSig { .. }));
            let update = match self.flags & UPDATE_MASK {
                UPDATE_ALL => true,
                UPDATE_P2PUBKEY_ONLY => to_keys(),
                _ => false,
            };
            if update {
                self.insert(&OutPoint { txid: *id, index }.to_bytes());
            }
        }
        found
            || transaction.inputs.iter().any(|input| {
                self.contains(&input.prevout.to_bytes())
                    || pushes(input.script_sig.as_bytes()).any(|data| self.contains(data))
            })
    }

    fn place(&self, function: u32, item: &[u8]) -> Option<(usize, u8)> {
        let bits = u32::try_from(self.bits.len()).ok()?.checked_mul(8).filter(|bits| *bits > 0)?;
        let seed = function.wrapping_mul(0xfba4_c795).wrapping_add(self.tweak);
        let bit = murmur3(seed, item) % bits;
        Some((usize::try_from(bit / 8).ok()?, 1 << (bit % 8)))
    }
}

fn pushes(script: &[u8]) -> impl Iterator<Item = &[u8]> {
    instructions(script).map_while(Result::ok).map(|one| one.data).filter(|data| !data.is_empty())
}

impl Codec for Filter {
    const MIN_BYTES: usize = 10;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            bits: var_bytes(reader)?,
            functions: reader.u32_le()?,
            tweak: reader.u32_le()?,
            flags: reader.u8()?,
        })
    }

    fn encode(&self, writer: &mut Writer) {
        put_var_bytes(writer, &self.bits);
        writer.u32_le(self.functions).u32_le(self.tweak).u8(self.flags);
    }
}

/// A block's header with the proof of the transactions that a filter matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleBlock {
    /// The header.
    pub header: BlockHeader,
    /// The matches.
    pub tree: PartialTree,
}

impl MerkleBlock {
    /// The header with the transactions for which `matched` is true.
    #[must_use]
    pub fn new(block: &Block, mut matched: impl FnMut(&TxId, &Transaction) -> bool) -> Self {
        let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
        let marks: Vec<bool> = ids.iter().zip(&block.transactions).map(|(id, tx)| matched(id, tx)).collect();
        Self { header: block.header.clone(), tree: PartialTree::build(&ids, &marks) }
    }
}

impl Codec for MerkleBlock {
    const MIN_BYTES: usize = BlockHeader::MIN_BYTES + PartialTree::MIN_BYTES;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { header: BlockHeader::decode(reader)?, tree: PartialTree::decode(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.header.encode(writer);
        self.tree.encode(writer);
    }
}

/// MurmurHash3, 32 bits.
fn murmur3(seed: u32, bytes: &[u8]) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let little = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    let mut hash = seed;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        hash = (hash ^ scramble(little(word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= scramble(little(words.remainder()));
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published values of the hash function.
    #[test]
    fn the_hash_gives_the_published_values() {
        assert_eq!(murmur3(0, &[]), 0);
        assert_eq!(murmur3(0xfba4_c795, &[]), 0x6a39_6f08);
        assert_eq!(murmur3(0, &[0x00]), 0x514e_28b7);
        assert_eq!(murmur3(0, &[0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66]), 0xb074_502c);
    }

    #[test]
    fn what_was_added_matches_and_other_things_mostly_do_not() {
        let mut filter = Filter { bits: vec![0; 64], functions: 5, tweak: 7, flags: 0 };
        let items: Vec<[u8; 4]> = (0..20_u32).map(u32::to_le_bytes).collect();
        for item in &items {
            filter.insert(item);
        }
        assert!(items.iter().all(|item| filter.contains(item)));
        let wrong = (1000..2000_u32).filter(|n| filter.contains(&n.to_le_bytes())).count();
        assert!(wrong < 20, "{wrong}");
        assert!(Filter { bits: Vec::new(), functions: 3, tweak: 0, flags: 0 }.contains(b"anything"));
    }
}
