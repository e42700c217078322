//! Application states of blocks that are not folded into the database: each block's changes lie over its parent's,
//! down to the database. One index over all layers answers a read with one look-up, however many layers there are.

use crate::{
    state::{
        app::{Store, overlay::Changes},
        tree::{Node, Nodes, path::Path},
    },
    storage::{Database, FoldedState, batch::Writes},
    types::{
        codec::{decode, encode},
        primitives::Root,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

/// Most bytes of an encoded tree node: its tag and 16 children.
const MAX_NODE_BYTES: usize = 4 + 16 * 34;

/// Versions of one entry, oldest first: number of the layer and what it wrote.
type Versions<T> = Vec<(u64, Option<T>)>;

/// A layer belongs to a run of layers of one chain with consecutive numbers, of which each lies over the one before.
#[derive(Debug)]
struct Layer {
    number: u64,
    /// Number of the first layer of its run.
    first: u64,
    /// The block whose layer is under the run.
    under: Root,
    keys: Vec<Vec<u8>>,
    paths: Vec<Path>,
}

/// All layers.
#[derive(Debug, Default)]
pub struct Layers {
    next: u64,
    by_block: BTreeMap<Root, Layer>,
    values: HashMap<Vec<u8>, Versions<Vec<u8>>>,
    nodes: HashMap<Path, Versions<Node>>,
}

impl Layers {
    /// Puts a block's changes over its parent's.
    pub fn push(&mut self, root: Root, parent: Root, changes: Changes) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let (first, under) = match self.by_block.get(&parent) {
            Some(below) if below.number.checked_add(1) == Some(number) => (below.first, below.under),
            _ => (number, parent),
        };
        let (mut keys, mut paths) = (Vec::new(), Vec::new());
        for (key, value) in changes.values {
            self.values.entry(key.clone()).or_default().push((number, value));
            keys.push(key);
        }
        for (path, node) in changes.nodes {
            self.nodes.entry(path).or_default().push((number, node));
            paths.push(path);
        }
        self.by_block.insert(root, Layer { number, first, under, keys, paths });
    }

    /// Number of layers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_block.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_block.is_empty()
    }

    /// Entries and nodes of a block's layer.
    #[must_use]
    pub fn size(&self, root: &Root) -> usize {
        self.by_block.get(root).map_or(0, |layer| layer.keys.len().saturating_add(layer.paths.len()))
    }

    /// Forgets a block's layer.
    pub fn forget(&mut self, root: &Root) {
        self.take(root);
    }

    /// Takes a layer out, as rows for the database. It must lie directly over the database.
    pub fn take(&mut self, root: &Root) -> (Writes, Writes) {
        let Some(layer) = self.by_block.remove(root) else { return Default::default() };
        let (mut values, mut nodes) = (Vec::with_capacity(layer.keys.len()), Vec::new());
        for key in layer.keys {
            if let Some(value) = remove(&mut self.values, &key, layer.number) {
                values.push((key, value));
            }
        }
        for path in layer.paths {
            if let Some(node) = remove(&mut self.nodes, &path, layer.number) {
                nodes.push((path.to_bytes(), node.as_ref().map(encode)));
            }
        }
        (values, nodes)
    }

    /// The application state of a block whose layer, or whose changes in the database, are known.
    #[must_use]
    pub fn view<'a, D>(&'a self, base: &'a D, root: &Root) -> View<'a, D> {
        let mut runs = Vec::new();
        let mut next = self.by_block.get(root);
        while let Some(layer) = next {
            runs.push(layer.first..=layer.number);
            next = self.by_block.get(&layer.under);
        }
        runs.reverse();
        View { base, layers: self, runs }
    }
}

/// The tree of the state on disk.
pub struct Base<'a, D>(pub &'a D);

impl<D: FoldedState> Nodes for Base<'_, D> {
    fn node(&self, path: &Path) -> Option<Node> {
        self.0.node(&path.to_bytes()).and_then(|bytes| decode(&bytes, MAX_NODE_BYTES).ok())
    }
}

/// Changes as rows for the database.
#[must_use]
pub fn rows(changes: Changes) -> (Writes, Writes) {
    let nodes = changes.nodes.into_iter().map(|(path, node)| (path.to_bytes(), node.as_ref().map(encode)));
    (changes.values.into_iter().collect(), nodes.collect())
}

fn remove<K: std::hash::Hash + Eq, T>(
    index: &mut HashMap<K, Versions<T>>,
    key: &K,
    number: u64,
) -> Option<Option<T>> {
    let versions = index.get_mut(key)?;
    let at = versions.iter().position(|(version, _)| *version == number)?;
    let (_, value) = versions.remove(at);
    if versions.is_empty() {
        index.remove(key);
    }
    Some(value)
}

/// The application state of one block.
#[derive(Debug)]
pub struct View<'a, D> {
    base: &'a D,
    layers: &'a Layers,
    /// Numbers of the layers of the block's chain, increasing. Those of layers that were taken out may be among them.
    runs: Vec<RangeInclusive<u64>>,
}

impl<D> View<'_, D> {
    fn newest<'v, T>(&self, versions: &'v Versions<T>) -> Option<&'v Option<T>> {
        let of_chain = |(number, _): &&(u64, Option<T>)| {
            let at = self.runs.partition_point(|run| run.end() < number);
            self.runs.get(at).is_some_and(|run| run.contains(number))
        };
        versions.iter().rev().find(of_chain).map(|(_, value)| value)
    }
}

impl<D: Database> Store for View<'_, D> {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.layers.values.get(key).and_then(|versions| self.newest(versions)) {
            Some(value) => value.clone(),
            None => self.base.value(key),
        }
    }

    fn node(&self, path: &Path) -> Option<Node> {
        match self.layers.nodes.get(path).and_then(|versions| self.newest(versions)) {
            Some(node) => node.clone(),
            None => Base(self.base).node(path),
        }
    }
}
