//! Root of the hashes of a block. Mirrors `Cryptography/MerkleTree.cs`.

use neo_crypto::hash::hash256;

use crate::hash::UInt256;

/// Pairs are hashed with Hash256, an odd last one is paired with itself; zero for no hashes, the hash itself for one.
#[must_use]
pub fn merkle_root(hashes: &[UInt256]) -> UInt256 {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(pair).collect();
    }
    level.first().copied().unwrap_or(UInt256::ZERO)
}

fn pair(nodes: &[UInt256]) -> UInt256 {
    let mut bytes = [0; 64];
    for (half, node) in bytes.chunks_exact_mut(32).zip(nodes.iter().chain(nodes.last())) {
        half.copy_from_slice(node.as_bytes());
    }
    UInt256(hash256(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_node_is_paired_with_itself() {
        let leaf = |n| UInt256([n; 32]);
        assert_eq!(merkle_root(&[]), UInt256::ZERO);
        assert_eq!(merkle_root(&[leaf(7)]), leaf(7));
        assert_eq!(
            merkle_root(&[leaf(1), leaf(2), leaf(3)]),
            merkle_root(&[leaf(1), leaf(2), leaf(3), leaf(3)])
        );
        assert_ne!(merkle_root(&[leaf(1), leaf(2)]), merkle_root(&[leaf(2), leaf(1)]));
    }
}
