//! Proofs that an entry is in the tree with a value, or that a key is not.

use super::{
    Child, Leaf, Node, Nodes, PLACEHOLDER, inner_hash,
    path::{Path, bit, nibble},
    subtree_hash,
};
use crate::types::{
    codec::container,
    primitives::{List, Root},
    ssz::{Chunk, sha256},
};

/// Most siblings of a proof: one per bit of a key hash.
pub const MAX_SIBLINGS: usize = 256;

container! {
    /// The way from one place of the tree to its root.
    plain struct Proof {
        /// The only entry at that place, as hashes of key and value; none when the place is empty.
        leaf: Option<(Root, Root)>,
        /// Hashes of the other halves, from the place up to the root.
        siblings: List<Root, MAX_SIBLINGS>,
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry shown is not the one asked for, or none is shown.
    #[error("proof is for another entry")]
    OtherEntry,
    /// The entry shown has another value.
    #[error("proof is for another value")]
    OtherValue,
    /// The key is in the tree.
    #[error("the key is present")]
    Present,
    /// The entry shown lies elsewhere than the key would.
    #[error("the entry shown is not where the key would be")]
    Elsewhere,
    /// The hashes do not lead to the root.
    #[error("proof does not lead to the root")]
    Root,
}

impl Proof {
    /// Checks that `key` has `value`, or is absent where there is none, in the tree with this root.
    ///
    /// # Errors
    /// What the proof lacks.
    pub fn verify(&self, root: &Chunk, key: &[u8], value: Option<&[u8]>) -> Result<(), ProofError> {
        let key_hash = sha256(key);
        let leaf = self.leaf.map(|(key, value)| Leaf { key_hash: key.0, value_hash: value.0 });
        match (value, &leaf) {
            (Some(value), Some(leaf)) if leaf.key_hash == key_hash => {
                if leaf.value_hash != sha256(value) {
                    return Err(ProofError::OtherValue);
                }
            }
            (Some(_), _) => return Err(ProofError::OtherEntry),
            (None, Some(leaf)) if leaf.key_hash == key_hash => return Err(ProofError::Present),
            (None, Some(leaf)) => {
                let shares = |depth| bit(&leaf.key_hash, depth) == bit(&key_hash, depth);
                if !(0..self.siblings.len()).all(shares) {
                    return Err(ProofError::Elsewhere);
                }
            }
            (None, None) => {}
        }
        let mut hash = leaf.map_or(PLACEHOLDER, |leaf| leaf.hash());
        for (depth, sibling) in (0..self.siblings.len()).rev().zip(&self.siblings) {
            hash = if bit(&key_hash, depth) {
                inner_hash(&sibling.0, &hash)
            } else {
                inner_hash(&hash, &sibling.0)
            };
        }
        if hash == *root { Ok(()) } else { Err(ProofError::Root) }
    }
}

/// The proof for a key, present or not.
#[must_use]
pub fn prove(nodes: &impl Nodes, key: &[u8]) -> Proof {
    let key_hash = sha256(key);
    let mut siblings = Vec::new();
    let leaf = descend(nodes, &key_hash, &mut siblings);
    siblings.reverse();
    Proof {
        leaf: leaf.map(|leaf| (Root(leaf.key_hash), Root(leaf.value_hash))),
        siblings: List::new(siblings).unwrap_or_default(),
    }
}

fn descend(nodes: &impl Nodes, key_hash: &Chunk, siblings: &mut Vec<Root>) -> Option<Leaf> {
    let mut path = Path::ROOT;
    loop {
        let children = match nodes.node(&path)? {
            Node::Leaf(leaf) => return Some(leaf),
            Node::Inner(children) => children,
        };
        let wanted = nibble(key_hash, path.len());
        let mut range: &[Option<Child>] = children.as_slice();
        let mut first = 0;
        while range.len() > 1 {
            let mut present = range.iter().enumerate().filter_map(|(at, child)| Some((at, (*child)?)));
            match (present.next(), present.next()) {
                (None, _) => return None,
                (Some((at, child)), None) if child.is_leaf => {
                    return match nodes.node(&path.child(first + at))? {
                        Node::Leaf(leaf) => Some(leaf),
                        Node::Inner(_) => None,
                    };
                }
                _ => {}
            }
            let half = range.len() / 2;
            let (left, right) = range.split_at(half);
            if wanted >= first + half {
                siblings.push(Root(subtree_hash(left)));
                (range, first) = (right, first + half);
            } else {
                siblings.push(Root(subtree_hash(right)));
                range = left;
            }
        }
        path = path.child(wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The root by its definition, from all entries sorted by key hash.
    fn naive_root(entries: &[Leaf], depth: usize) -> Chunk {
        match entries {
            [] => PLACEHOLDER,
            [leaf] => leaf.hash(),
            _ => {
                let split = entries.partition_point(|leaf| !bit(&leaf.key_hash, depth));
                let (left, right) = entries.split_at(split);
                inner_hash(&naive_root(left, depth + 1), &naive_root(right, depth + 1))
            }
        }
    }

    type Batch = Vec<(u8, Option<u8>)>;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn batches_give_the_root_of_the_set_and_every_key_can_be_proven(
            batches in proptest::collection::vec(
                proptest::collection::vec((any::<u8>(), proptest::option::weighted(0.6, any::<u8>())), 0..60),
                1..6,
            ),
        ) {
            let batches: Vec<Batch> = batches;
            let mut nodes = MemoryNodes::default();
            let mut entries: BTreeMap<u8, u8> = BTreeMap::new();
            for batch in &batches {
                let keys: Vec<([u8; 1], Option<[u8; 1]>)> =
                    batch.iter().map(|(key, value)| ([*key], value.map(|value| [value]))).collect();
                let update = update::update(
                    &nodes,
                    keys.iter().map(|(key, value)| (key.as_slice(), value.as_ref().map(|value| value.as_slice()))),
                );
                for (key, value) in batch {
                    match value {
                        Some(value) => entries.insert(*key, *value),
                        None => entries.remove(key),
                    };
                }
                let mut leaves: Vec<Leaf> = entries
                    .iter()
                    .map(|(key, value)| Leaf { key_hash: sha256(&[*key]), value_hash: sha256(&[*value]) })
                    .collect();
                leaves.sort_by_key(|leaf| leaf.key_hash);
                prop_assert_eq!(update.root, naive_root(&leaves, 0));
                nodes.apply(update.writes);
                prop_assert_eq!(root(&nodes), update.root);
            }
            let root = root(&nodes);
            for key in 0..=255u8 {
                let proof = prove(&nodes, &[key]);
                let value = entries.get(&key).map(|value| [*value]);
                prop_assert_eq!(proof.verify(&root, &[key], value.as_ref().map(|value| value.as_slice())), Ok(()));
                prop_assert!(proof.verify(&root, &[key], Some(&[1, 2])).is_err());
            }
            // nothing is left behind: the nodes are those of a tree built at once
            let all: Vec<([u8; 1], [u8; 1])> = entries.iter().map(|(key, value)| ([*key], [*value])).collect();
            let mut fresh = MemoryNodes::default();
            let once = update::update(&fresh, all.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))));
            fresh.apply(once.writes);
            prop_assert_eq!(fresh, nodes);
        }
    }
}
