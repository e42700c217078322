//! Is a receipt the one of a transaction in a block? Walks the Unitrie nodes of a proof from the block's receipts root.
//!
//! The proof is that of `rsk_getTransactionReceiptNodesByHash`: messages of the nodes on the way, leaf first. Mirrors
//! the trie built by `BlockHashesHelper.calculateReceiptsTrieRoot`.

use crate::codec::{
    keccak::keccak256,
    rlp::Encoder,
    unitrie::{Child, Node, NodeError, Value, bits},
};

/// Why a proof does not show what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There are no nodes.
    #[error("the proof has no nodes")]
    Empty,
    /// More nodes than the way to any index has.
    #[error("the proof has more than {} nodes", MAX_NODES)]
    TooLong,
    /// A node's bytes cannot be read.
    #[error("node {depth} is malformed")]
    Node {
        /// 0 for the root.
        depth: usize,
        /// Why.
        #[source]
        error: NodeError,
    },
    /// The last node does not hash to the root of the block.
    #[error("the root node does not have the stated root hash")]
    Root,
    /// A node is not the child that its parent names.
    #[error("node {0} is not the child that the node above names")]
    Child(usize),
    /// The way leaves the key of the transaction's index.
    #[error("node {0} is not on the way to the transaction's index")]
    Path(usize),
    /// The way ends elsewhere than the nodes.
    #[error("the proof does not end at the receipt")]
    End,
    /// The leaf holds another receipt.
    #[error("the leaf holds another receipt")]
    Receipt,
}

/// An RLP-encoded index has at most 9 bytes, and each node decides at least one bit.
const MAX_NODES: usize = 73;

/// Checks that `receipt` (RLP) is the receipt of transaction `index` under `receipts_root`; `nodes` are leaf first.
///
/// # Errors
/// The first step of the way that is wrong.
pub fn verify_receipt(
    receipts_root: &[u8; 32],
    index: u64,
    receipt: &[u8],
    nodes: &[impl AsRef<[u8]>],
) -> Result<(), ProofError> {
    if nodes.len() > MAX_NODES {
        return Err(ProofError::TooLong);
    }
    let root = nodes.last().ok_or(ProofError::Empty)?.as_ref();
    if keccak256(&[root]) != *receipts_root {
        return Err(ProofError::Root);
    }
    let mut key = Encoder::new();
    key.u64(index);
    let mut key_bits = bits(key.as_slice());
    let mut expected = None;
    let mut from_root = nodes.iter().rev().enumerate().peekable();
    while let Some((depth, message)) = from_root.next() {
        let message = message.as_ref();
        let is_named = match expected {
            None => true,
            Some(Child::Hash(hash)) => keccak256(&[message]) == *hash,
            Some(Child::Embedded(embedded)) => message == embedded,
        };
        if !is_named {
            return Err(ProofError::Child(depth));
        }
        let node = Node::decode(message).map_err(|error| ProofError::Node { depth, error })?;
        if !node.path().all(|bit| key_bits.next() == Some(bit)) {
            return Err(ProofError::Path(depth));
        }
        expected = match key_bits.next() {
            Some(bit) => Some(if bit { node.right } else { node.left }.ok_or(ProofError::Path(depth))?),
            None if from_root.peek().is_some() => return Err(ProofError::End),
            None => return check_value(node.value, receipt),
        };
    }
    Err(ProofError::End)
}

fn check_value(value: Value<'_>, receipt: &[u8]) -> Result<(), ProofError> {
    let same = match value {
        Value::None => false,
        Value::Short(value) => value == receipt,
        Value::Long { hash, len } => {
            usize::try_from(len).is_ok_and(|len| len == receipt.len()) && keccak256(&[receipt]) == *hash
        }
    };
    if same { Ok(()) } else { Err(ProofError::Receipt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie of two receipts: index 0 (key 0x80) embedded on the right, index 1 (key 0x01) by hash on the left.
    fn two() -> ([u8; 32], Vec<u8>, Vec<u8>, Vec<u8>) {
        let leaf = |path: u8, receipt: &[u8]| [&[0x50, 6, path][..], receipt].concat();
        let (first, second) = (leaf(0, b"first"), leaf(0b0000_0010, b"second receipt"));
        let mut root = vec![0b0100_1101];
        root.extend(keccak256(&[&second]));
        root.push(u8::try_from(first.len()).unwrap());
        root.extend(&first);
        root.push(9);
        (keccak256(&[&root]), root, first, second)
    }

    #[test]
    fn receipts_are_proven_by_hash_and_embedded() {
        let (hash, root, first, second) = two();
        assert_eq!(verify_receipt(&hash, 0, b"first", &[&first, &root]), Ok(()));
        assert_eq!(verify_receipt(&hash, 1, b"second receipt", &[&second, &root]), Ok(()));
    }

    #[test]
    fn every_wrong_step_has_its_error() {
        let (hash, root, first, second) = two();
        let none: [&[u8]; 0] = [];
        assert_eq!(verify_receipt(&hash, 0, b"first", &none), Err(ProofError::Empty));
        assert_eq!(verify_receipt(&hash, 0, b"first", &vec![&root; 74]), Err(ProofError::TooLong));
        assert_eq!(verify_receipt(&hash, 0, b"first", &[&root, &first]), Err(ProofError::Root));
        assert_eq!(verify_receipt(&hash, 0, b"first", &[&second, &root]), Err(ProofError::Child(1)));
        assert_eq!(verify_receipt(&hash, 1, b"first", &[&first, &root]), Err(ProofError::Child(1)));
        assert_eq!(verify_receipt(&hash, 2, b"second receipt", &[&second, &root]), Err(ProofError::Path(1)));
        assert_eq!(verify_receipt(&hash, 0, b"first", &[&root]), Err(ProofError::End));
        assert_eq!(verify_receipt(&hash, 0, b"first", &[&first, &first, &root]), Err(ProofError::End));
        assert_eq!(verify_receipt(&hash, 0, b"other", &[&first, &root]), Err(ProofError::Receipt));
        let no_node = vec![0xff];
        let error = NodeError::Version(3);
        assert_eq!(
            verify_receipt(&keccak256(&[&no_node]), 0, b"", &[&no_node]),
            Err(ProofError::Node { depth: 0, error })
        );
    }
}
