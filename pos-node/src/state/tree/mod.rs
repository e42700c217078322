//! The application tree: a sparse Merkle tree over hashed keys whose root depends on nothing but the set of entries.
//! Roots and proofs equal those of the Jellyfish Merkle tree (crate `jmt`) with SHA-256; nodes are kept by path and
//! overwritten, so there are no versions to prune.
//!
//! A subtree without entries hashes to a placeholder, one with a single entry to that entry's leaf hash, any other to
//! the hash of its two halves. Four binary levels are stored as one [`Node`].

pub mod path;
pub mod proof;
pub mod range;
pub mod update;

use crate::types::{
    codec::{DecodeError, Result, Wire},
    ssz::Chunk,
};
use path::Path;
use sha2::{Digest, Sha256};
use shared_vendor::bytes::{Reader, Writer};
use std::collections::BTreeMap;

/// Hash of an empty subtree.
pub const PLACEHOLDER: Chunk = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
const LEAF_TAG: &[u8] = b"JMT::LeafNode";
/// The missing letter is the reference's.
const INTERNAL_TAG: &[u8] = b"JMT::IntrnalNode";

/// Children of a stored inner node.
pub const WIDTH: usize = 16;

/// An entry: hashes of key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of the key: the entry's place in the tree.
    pub key_hash: Chunk,
    /// SHA-256 of the value.
    pub value_hash: Chunk,
}

impl Leaf {
    /// Hash of the entry.
    #[must_use]
    pub fn hash(&self) -> Chunk {
        Sha256::new()
            .chain_update(LEAF_TAG)
            .chain_update(self.key_hash)
            .chain_update(self.value_hash)
            .finalize()
            .into()
    }
}

/// A child of an inner node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Hash of the child's subtree.
    pub hash: Chunk,
    /// Whether the subtree is a single entry.
    pub is_leaf: bool,
}

/// A stored node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// The only entry below its path.
    Leaf(Leaf),
    /// Several entries.
    Inner(Box<[Option<Child>; WIDTH]>),
}

impl Node {
    /// How the node appears in its parent.
    #[must_use]
    pub fn as_child(&self) -> Child {
        match self {
            Self::Leaf(leaf) => Child { hash: leaf.hash(), is_leaf: true },
            Self::Inner(children) => Child { hash: subtree_hash(children.as_slice()), is_leaf: false },
        }
    }
}

impl Wire for Node {
    const MIN_BYTES: usize = 4 + WIDTH;

    fn put(&self, out: &mut Writer) {
        match self {
            Self::Leaf(leaf) => {
                0u32.put(out);
                leaf.key_hash.put(out);
                leaf.value_hash.put(out);
            }
            Self::Inner(children) => {
                1u32.put(out);
                for child in children.iter() {
                    child.map(|child| (child.hash, child.is_leaf)).put(out);
                }
            }
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        match input.u32_le()? {
            0 => Ok(Self::Leaf(Leaf { key_hash: Wire::take(input)?, value_hash: Wire::take(input)? })),
            1 => {
                let mut children = [None; WIDTH];
                for child in &mut children {
                    let taken: Option<(Chunk, bool)> = Wire::take(input)?;
                    *child = taken.map(|(hash, is_leaf)| Child { hash, is_leaf });
                }
                Ok(Self::Inner(Box::new(children)))
            }
            tag => Err(DecodeError::Tag { kind: "Node", tag }),
        }
    }
}

/// Where nodes are found by path.
pub trait Nodes {
    /// The node at a path.
    fn node(&self, path: &Path) -> Option<Node>;
}

/// Nodes in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryNodes(pub BTreeMap<Path, Node>);

impl Nodes for MemoryNodes {
    fn node(&self, path: &Path) -> Option<Node> {
        self.0.get(path).cloned()
    }
}

impl MemoryNodes {
    /// Applies the changes of an update.
    pub fn apply(&mut self, writes: BTreeMap<Path, Option<Node>>) {
        for (path, node) in writes {
            match node {
                Some(node) => self.0.insert(path, node),
                None => self.0.remove(&path),
            };
        }
    }
}

/// Root of the tree that `nodes` holds.
#[must_use]
pub fn root(nodes: &impl Nodes) -> Chunk {
    nodes.node(&Path::ROOT).map_or(PLACEHOLDER, |node| node.as_child().hash)
}

fn inner_hash(left: &Chunk, right: &Chunk) -> Chunk {
    Sha256::new().chain_update(INTERNAL_TAG).chain_update(left).chain_update(right).finalize().into()
}

/// Hash of a power-of-two range of an inner node's children.
fn subtree_hash(children: &[Option<Child>]) -> Chunk {
    let mut present = children.iter().flatten();
    match (present.next(), present.next()) {
        (None, _) => PLACEHOLDER,
        (Some(child), None) if child.is_leaf || children.len() == 1 => child.hash,
        _ => {
            let (left, right) = children.split_at(children.len() / 2);
            inner_hash(&subtree_hash(left), &subtree_hash(right))
        }
    }
}
