//! Changing many entries at once: one descent, each touched node written once.

use super::{
    Child, Leaf, Node, Nodes, PLACEHOLDER, WIDTH,
    path::{MAX_NIBBLES, Path, nibble},
};
use crate::types::ssz::{Chunk, sha256};
use std::collections::BTreeMap;

/// What an update leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Root of the tree with the changes.
    pub root: Chunk,
    /// Nodes to write, and to delete where there is none.
    pub writes: BTreeMap<Path, Option<Node>>,
}

/// Sets (or deletes, where there is no value) entries by key. Of several changes of one key the last one counts.
#[must_use]
pub fn update<'a>(
    nodes: &impl Nodes,
    changes: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Update {
    let changes: BTreeMap<Chunk, Option<Chunk>> =
        changes.into_iter().map(|(key, value)| (sha256(key), value.map(sha256))).collect();
    update_hashed(nodes, &changes.into_iter().collect::<Vec<_>>())
}

/// As [`update`] for hashed keys and values, strictly increasing by key.
#[must_use]
pub fn update_hashed(nodes: &impl Nodes, changes: &[(Chunk, Option<Chunk>)]) -> Update {
    let mut work = Work { nodes, writes: BTreeMap::new() };
    let node = work.change(Path::ROOT, changes);
    Update { root: node.map_or(PLACEHOLDER, |node| node.as_child().hash), writes: work.writes }
}

struct Work<'a, N> {
    nodes: &'a N,
    writes: BTreeMap<Path, Option<Node>>,
}

impl<N: Nodes> Work<'_, N> {
    /// Changes the subtree at `path`; gives its node afterwards, which is already noted for writing.
    fn change(&mut self, path: Path, changes: &[(Chunk, Option<Chunk>)]) -> Option<Node> {
        let before = self.nodes.node(&path);
        if changes.is_empty() {
            return before;
        }
        let after = match before.clone() {
            None => self.build(path, &entries(None, changes)),
            Some(Node::Leaf(leaf)) => self.build(path, &entries(Some(leaf), changes)),
            Some(Node::Inner(children)) => self.change_inner(path, *children, changes),
        };
        if after != before {
            self.writes.insert(path, after.clone());
        }
        after
    }

    fn change_inner(
        &mut self,
        path: Path,
        mut children: [Option<Child>; WIDTH],
        changes: &[(Chunk, Option<Chunk>)],
    ) -> Option<Node> {
        for (at, group) in by_nibble(changes, path.len(), |change| &change.0) {
            let child = self.change(path.child(at), group);
            if let Some(slot) = children.get_mut(at) {
                *slot = child.map(|child| child.as_child());
            }
        }
        self.collapse(path, children)
    }

    /// An inner node, or what it amounts to when at most one entry is left below it.
    fn collapse(&mut self, path: Path, children: [Option<Child>; WIDTH]) -> Option<Node> {
        let mut present = children.iter().enumerate().filter_map(|(at, child)| Some((at, (*child)?)));
        match (present.next(), present.next()) {
            (None, _) => None,
            (Some((at, child)), None) if child.is_leaf => {
                let below = path.child(at);
                let leaf = match self.writes.get(&below) {
                    Some(written) => written.clone(),
                    None => self.nodes.node(&below),
                };
                self.writes.insert(below, None);
                leaf
            }
            _ => Some(Node::Inner(Box::new(children))),
        }
    }

    /// A new subtree of these entries, sorted by key. Its own node is noted by the caller.
    fn build(&mut self, path: Path, entries: &[Leaf]) -> Option<Node> {
        match entries {
            [] => None,
            [leaf] => Some(Node::Leaf(*leaf)),
            _ if path.len() >= MAX_NIBBLES => None, // different keys differ within their length
            _ => {
                let mut children = [None; WIDTH];
                for (at, group) in by_nibble(entries, path.len(), |leaf| &leaf.key_hash) {
                    let below = path.child(at);
                    let child = self.build(below, group);
                    if let Some(slot) = children.get_mut(at) {
                        *slot = child.as_ref().map(Node::as_child);
                    }
                    self.writes.insert(below, child);
                }
                Some(Node::Inner(Box::new(children)))
            }
        }
    }
}

/// The entries below a place that had at most one, with the changes made.
fn entries(existing: Option<Leaf>, changes: &[(Chunk, Option<Chunk>)]) -> Vec<Leaf> {
    let mut entries: Vec<Leaf> = changes
        .iter()
        .filter_map(|(key_hash, value)| Some(Leaf { key_hash: *key_hash, value_hash: (*value)? }))
        .collect();
    if let Some(leaf) = existing
        && changes.binary_search_by_key(&leaf.key_hash, |(key_hash, _)| *key_hash).is_err()
    {
        let at = entries.partition_point(|entry| entry.key_hash < leaf.key_hash);
        entries.insert(at, leaf);
    }
    entries
}

/// Splits items sorted by key into runs of equal nibble at a depth.
fn by_nibble<T>(items: &[T], depth: u8, key: impl Fn(&T) -> &Chunk) -> Vec<(usize, &[T])> {
    let same = |a: &T, b: &T| nibble(key(a), depth) == nibble(key(b), depth);
    items.chunk_by(same).filter_map(|group| Some((nibble(key(group.first()?), depth), group))).collect()
}
