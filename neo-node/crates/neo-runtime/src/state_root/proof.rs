//! Proofs: the nodes on the way from the root to a value, each by its bytes. Mirrors `GetProof` and `VerifyProof` of
//! the C# trie.

use std::collections::{BTreeMap, BTreeSet};

use neo_base::UInt256;

use super::{
    node::{Node, NodeError, nibbles, node_hash},
    trie::{NodeSource, Trie, TrieError},
};

/// The nodes that prove `key` under `root`, root first; `None` when the key is not there.
///
/// # Errors
/// The key is out of bounds, or the store is damaged.
pub fn prove(root: UInt256, key: &[u8], source: &impl NodeSource) -> Result<Option<Vec<Vec<u8>>>, TrieError> {
    let seen = std::cell::RefCell::new(Vec::new());
    let record = |hash: &UInt256| {
        let bytes = source.node(hash)?;
        seen.borrow_mut().push(bytes.clone());
        Some(bytes)
    };
    let found = Trie::new(root, record).get(key)?;
    Ok(found.map(|_| seen.into_inner()))
}

/// The value that the nodes prove for `key` under `root`; `None` when they prove that there is none.
///
/// Nodes may come in any order; nodes beside the way prove nothing and do no harm.
///
/// # Errors
/// A node on the way is missing or malformed.
pub fn verify(root: UInt256, key: &[u8], nodes: &[Vec<u8>]) -> Result<Option<Box<[u8]>>, TrieError> {
    let by_hash: BTreeMap<UInt256, &Vec<u8>> = nodes.iter().map(|bytes| (node_hash(bytes), bytes)).collect();
    Trie::new(root, |hash: &UInt256| by_hash.get(hash).map(|bytes| (*bytes).clone())).get(key)
}

/// A key and its value.
pub type Entry = (Vec<u8>, Box<[u8]>);

/// All entries below `root` whose key begins with `prefix`, in order of the key; `limit` bounds their number.
///
/// # Errors
/// The store is damaged, or holds a key of an odd number of nibbles.
pub fn find(
    root: UInt256,
    prefix: &[u8],
    limit: usize,
    source: &impl NodeSource,
) -> Result<Vec<Entry>, TrieError> {
    let mut found = Vec::new();
    if root != UInt256::ZERO {
        let mut walk =
            Walk { prefix: nibbles(prefix), limit, source, found: &mut found, open: BTreeSet::new() };
        walk.enter(&Node::Hash(root), &mut Vec::new())?;
    }
    Ok(found)
}

struct Walk<'a, S> {
    prefix: Vec<u8>,
    limit: usize,
    source: &'a S,
    found: &'a mut Vec<Entry>,
    /// Nodes between the root and here, against a damaged store that refers in a circle.
    open: BTreeSet<UInt256>,
}

impl<S: NodeSource> Walk<'_, S> {
    fn enter(&mut self, node: &Node, path: &mut Vec<u8>) -> Result<(), TrieError> {
        let shorter = path.len().min(self.prefix.len());
        if self.found.len() >= self.limit || path.get(..shorter) != self.prefix.get(..shorter) {
            return Ok(());
        }
        match node {
            Node::Empty => {}
            Node::Hash(hash) => {
                let bytes = self.source.node(hash).ok_or(TrieError::Missing(*hash))?;
                let node = Node::decode(&bytes, *hash)
                    .map_err(|source| TrieError::Damaged { hash: *hash, source })?;
                if !self.open.insert(*hash) {
                    return Err(TrieError::Damaged { hash: *hash, source: NodeError::Child });
                }
                self.enter(&node, path)?;
                self.open.remove(hash);
            }
            Node::Leaf(body) if path.len() >= self.prefix.len() => {
                self.found.push((from_nibbles(path), body.content.clone()));
            }
            Node::Leaf(_) => {}
            Node::Extension(body) => {
                let length = path.len();
                path.extend_from_slice(&body.content.0);
                self.enter(&body.content.1, path)?;
                path.truncate(length);
            }
            Node::Branch(body) => {
                // The value that ends here has the shortest key, so it comes first.
                let (children, value) = body.content.split_at(super::node::VALUE);
                value.iter().try_for_each(|value| self.enter(value, path))?;
                for (nibble, child) in (0_u8..).zip(children) {
                    path.push(nibble);
                    self.enter(child, path)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }
}

fn from_nibbles(path: &[u8]) -> Vec<u8> {
    path.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| (byte << 4) | nibble)).collect()
}
