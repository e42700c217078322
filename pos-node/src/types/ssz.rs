//! Merkle roots of values (SSZ `hash_tree_root`): 32-byte chunks, zero padding to a power of two, lengths mixed into
//! lists. Mirrors `ssz/simple-serialize.md` of the consensus specification. There is no SSZ byte encoding here: bytes
//! are the business of [`super::codec`].

use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A leaf or node of a Merkle tree.
pub type Chunk = [u8; 32];

/// Deepest tree any type needs (lists of 2^40 items).
const MAX_DEPTH: usize = 48;

static ZERO_HASHES: LazyLock<[Chunk; MAX_DEPTH + 1]> = LazyLock::new(|| {
    let mut zeros = [[0; 32]; MAX_DEPTH + 1];
    let mut last = [0; 32];
    for zero in zeros.iter_mut().skip(1) {
        last = hash_pair(&last, &last);
        *zero = last;
    }
    zeros
});

/// A value with a Merkle root.
pub trait TreeHash: Sized + Send + Sync {
    /// How many items share one chunk in a list or vector; 1 for everything but basic types.
    const PER_CHUNK: usize = 1;

    /// The root of the value.
    fn tree_root(&self) -> Chunk;

    /// The leaves of a list or vector of such values.
    fn leaves(items: &[Self]) -> Vec<Chunk> {
        items.iter().map(Self::tree_root).collect()
    }
}

/// SHA-256 of two nodes.
#[must_use]
pub fn hash_pair(left: &Chunk, right: &Chunk) -> Chunk {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Chunk {
    Sha256::digest(bytes).into()
}

/// Root of a tree over `leaves`, padded with zero chunks to the power of two at or above `limit`.
///
/// `leaves` beyond `limit` cannot occur: the types that call this bound their length.
#[must_use]
pub fn merkleize(leaves: Vec<Chunk>, limit: usize) -> Chunk {
    merkleize_above(leaves, 1, limit)
}

/// As [`merkleize`] where `nodes` are the roots of full subtrees of `width` leaves each, a power of two.
#[must_use]
pub fn merkleize_above(mut nodes: Vec<Chunk>, width: usize, limit: usize) -> Chunk {
    let level = usize::try_from(width.max(1).trailing_zeros()).unwrap_or(0);
    let leaves = nodes.len().saturating_mul(width);
    let depth =
        usize::try_from(limit.max(leaves).max(1).next_power_of_two().trailing_zeros()).unwrap_or(MAX_DEPTH);
    if nodes.is_empty() {
        return ZERO_HASHES.get(depth).copied().unwrap_or_default();
    }
    for zero in ZERO_HASHES.iter().take(depth).skip(level) {
        let pairs = nodes.len().div_ceil(2);
        for at in 0..pairs {
            let left = nodes.get(2 * at).copied().unwrap_or(*zero);
            let right = nodes.get(2 * at + 1).copied().unwrap_or(*zero);
            if let Some(parent) = nodes.get_mut(at) {
                *parent = hash_pair(&left, &right);
            }
        }
        nodes.truncate(pairs);
    }
    nodes.first().copied().unwrap_or_default()
}

/// Root of a container from the roots of its fields.
#[must_use]
pub fn container_root(fields: &[Chunk]) -> Chunk {
    merkleize(fields.to_vec(), fields.len())
}

/// Root of a list of at most `limit` items.
#[must_use]
pub fn list_root<T: TreeHash>(items: &[T], limit: usize) -> Chunk {
    mix_in_length(&merkleize(T::leaves(items), limit.div_ceil(T::PER_CHUNK)), items.len())
}

/// Root of a vector of exactly `items.len()` items.
#[must_use]
pub fn vector_root<T: TreeHash>(items: &[T]) -> Chunk {
    merkleize(T::leaves(items), items.len().div_ceil(T::PER_CHUNK))
}

/// Root of a bit list from its packed bits (no delimiter bit).
#[must_use]
pub fn bitlist_root(bytes: &[u8], bits: usize, limit: usize) -> Chunk {
    mix_in_length(&merkleize(pack(bytes), limit.div_ceil(256)), bits)
}

/// Splits bytes into chunks, the last one padded with zeros.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<Chunk> {
    bytes
        .chunks(32)
        .map(|part| {
            let mut chunk = [0; 32];
            for (to, from) in chunk.iter_mut().zip(part) {
                *to = *from;
            }
            chunk
        })
        .collect()
}

/// Whether `branch` leads from `leaf` at position `index` of level `depth` to `root`.
/// Mirrors `is_valid_merkle_branch` of `specs/phase0/beacon-chain.md`.
#[must_use]
pub fn is_valid_branch(leaf: &Chunk, branch: &[Chunk], depth: usize, index: u64, root: &Chunk) -> bool {
    let Some(branch) = branch.get(..depth) else { return false };
    let mut node = *leaf;
    let mut position = index;
    for sibling in branch {
        node = if position & 1 == 1 { hash_pair(sibling, &node) } else { hash_pair(&node, sibling) };
        position >>= 1;
    }
    node == *root
}

/// Root of a list from that of its items and their number.
#[must_use]
pub fn mix_in_length(root: &Chunk, len: usize) -> Chunk {
    let len = u64::try_from(len).expect("a length in memory fits 64 bits");
    hash_pair(root, &len.tree_root())
}

macro_rules! basic {
    ($($ty:ty),*) => {$(
        impl TreeHash for $ty {
            const PER_CHUNK: usize = 32 / size_of::<$ty>();

            fn tree_root(&self) -> Chunk {
                let mut chunk = [0; 32];
                for (to, from) in chunk.iter_mut().zip(self.to_le_bytes()) {
                    *to = from;
                }
                chunk
            }

            fn leaves(items: &[Self]) -> Vec<Chunk> {
                let mut chunks = vec![[0; 32]; items.len().div_ceil(Self::PER_CHUNK)];
                for (chunk, items) in chunks.iter_mut().zip(items.chunks(Self::PER_CHUNK)) {
                    for (slot, item) in chunk.chunks_exact_mut(size_of::<$ty>()).zip(items) {
                        slot.copy_from_slice(&item.to_le_bytes());
                    }
                }
                chunks
            }
        }
    )*};
}
basic!(u8, u16, u32, u64, u128);

impl TreeHash for bool {
    fn tree_root(&self) -> Chunk {
        u8::from(*self).tree_root()
    }
}

impl<const N: usize> TreeHash for [u8; N] {
    fn tree_root(&self) -> Chunk {
        merkleize(pack(self), N.div_ceil(32))
    }
}
