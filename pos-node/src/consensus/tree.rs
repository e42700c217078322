//! The tree of blocks since finality, in one array in order of arrival, with the weight of every block. One pass from
//! the youngest to the oldest block settles weights, viability and best children together, so nothing is carried over
//! that could be stale. Mirrors `filter_block_tree` and `get_weight` of `specs/phase0/fork-choice.md`.

use crate::types::{
    operation::Checkpoint,
    primitives::{Root, Slot, ValidatorIndex},
};
use std::collections::BTreeMap;

/// What the fork choice must know of a block that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its root.
    pub root: Root,
    /// Its parent's root.
    pub parent_root: Root,
    /// Its slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// Justified checkpoint of its state.
    pub justified: Checkpoint,
    /// Final checkpoint of its state.
    pub finalized: Checkpoint,
    /// Justified checkpoint that its state would have at the end of its epoch.
    pub unrealized_justified: Checkpoint,
    /// Final checkpoint that its state would have at the end of its epoch.
    pub unrealized_finalized: Checkpoint,
}

/// A block in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The block.
    pub block: Block,
    /// Whether it came in its slot before votes were due.
    pub timely: bool,
    /// Position of the parent; always before the node's own.
    pub parent: Option<usize>,
    /// Stake behind it and its descendants.
    pub weight: u64,
    /// Child to follow towards the head.
    best_child: Option<usize>,
    has_child: bool,
    viable: bool,
}

/// The blocks since the oldest one kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
    positions: BTreeMap<Root, usize>,
}

impl Tree {
    /// A tree of one block.
    #[must_use]
    pub fn new(anchor: Block) -> Self {
        let mut tree = Self::default();
        tree.push(anchor, false);
        tree
    }

    /// Number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every block, parents first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator {
        self.nodes.iter()
    }

    /// Position of a block.
    #[must_use]
    pub fn position(&self, root: &Root) -> Option<usize> {
        self.positions.get(root).copied()
    }

    /// The node at a position.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<&Node> {
        self.nodes.get(position)
    }

    /// The node of a block.
    #[must_use]
    pub fn get(&self, root: &Root) -> Option<&Node> {
        self.at(self.position(root)?)
    }

    /// Appends a block; its parent is in the tree unless the tree is empty.
    pub fn push(&mut self, block: Block, timely: bool) {
        let parent = self.position(&block.parent_root);
        self.positions.insert(block.root, self.nodes.len());
        self.nodes.push(Node {
            block,
            timely,
            parent,
            weight: 0,
            best_child: None,
            has_child: false,
            viable: false,
        });
    }

    /// The last block of a chain at or before `slot`; `None` when the tree does not reach back so far.
    #[must_use]
    pub fn ancestor(&self, position: usize, slot: Slot) -> Option<usize> {
        let mut position = position;
        loop {
            let node = self.at(position)?;
            if node.block.slot <= slot {
                return Some(position);
            }
            position = node.parent?;
        }
    }

    /// Root of the last block of a chain at or before `slot`.
    #[must_use]
    pub fn ancestor_root(&self, root: &Root, slot: Slot) -> Option<Root> {
        let position = self.ancestor(self.position(root)?, slot)?;
        self.at(position).map(|node| node.block.root)
    }

    /// Whether `ancestor` is `root` or before it on the same chain.
    #[must_use]
    pub fn is_ancestor(&self, root: &Root, ancestor: &Root) -> bool {
        self.get(ancestor).is_some_and(|node| self.ancestor_root(root, node.block.slot) == Some(*ancestor))
    }

    /// Blocks from the child of `from` to `to`, oldest first; empty when `from` is not before `to` on its chain.
    #[must_use]
    pub fn path(&self, from: &Root, to: &Root) -> Vec<Root> {
        let mut path = Vec::new();
        let mut next = self.position(to);
        while let Some(node) = next.and_then(|position| self.at(position)) {
            if node.block.root == *from {
                path.reverse();
                return path;
            }
            path.push(node.block.root);
            next = node.parent;
        }
        Vec::new()
    }

    /// Adds `deltas` (one per position) to the weights of the blocks and all their ancestors, and settles again which
    /// child leads where. `leaf_is_viable` judges blocks without children that descend from the final checkpoint.
    pub fn settle(
        &mut self,
        mut deltas: Vec<i128>,
        finalized: Option<(Root, Slot)>,
        leaf_is_viable: impl Fn(&Block) -> bool,
    ) {
        let final_chain = self.final_chain(finalized);
        for node in &mut self.nodes {
            (node.best_child, node.has_child) = (None, false);
        }
        for position in (0..self.nodes.len()).rev() {
            let delta = deltas.get(position).copied().unwrap_or(0);
            let on_final_chain = final_chain.get(position).copied().unwrap_or(false);
            let Some(node) = self.nodes.get_mut(position) else { continue };
            node.weight = u64::try_from(i128::from(node.weight).saturating_add(delta)).unwrap_or(0);
            node.viable = if node.has_child {
                node.best_child.is_some()
            } else {
                on_final_chain && leaf_is_viable(&node.block)
            };
            let (viable, rank, parent) = (node.viable, (node.weight, node.block.root), node.parent);
            let Some(parent) = parent else { continue };
            if let Some(sum) = deltas.get_mut(parent) {
                *sum = sum.saturating_add(delta);
            }
            let rival = self.at(parent).and_then(|node| node.best_child).and_then(|best| self.at(best));
            let better = rival.is_none_or(|rival| rank > (rival.weight, rival.block.root));
            if let Some(node) = self.nodes.get_mut(parent) {
                node.has_child = true;
                if viable && better {
                    node.best_child = Some(position);
                }
            }
        }
    }

    /// The block that following best children from `root` ends at.
    #[must_use]
    pub fn head_from(&self, root: &Root) -> Option<Root> {
        let mut node = self.get(root)?;
        while let Some(best) = node.best_child.and_then(|best| self.at(best)) {
            node = best;
        }
        Some(node.block.root)
    }

    /// For each block, whether its ancestor at the final slot is the final block. `None` accepts all.
    fn final_chain(&self, finalized: Option<(Root, Slot)>) -> Vec<bool> {
        let Some((root, slot)) = finalized else { return vec![true; self.nodes.len()] };
        let mut on_chain: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            on_chain.push(if node.block.slot <= slot {
                node.block.root == root
            } else {
                node.parent.and_then(|parent| on_chain.get(parent)).copied().unwrap_or(false)
            });
        }
        on_chain
    }

    /// Forgets everything but `root` and its descendants. Gives, for each old position, the new one.
    pub fn prune(&mut self, root: &Root) -> Option<Vec<Option<usize>>> {
        let first = self.position(root)?;
        let mut moved: Vec<Option<usize>> = Vec::with_capacity(self.nodes.len());
        let mut kept = Vec::new();
        for (position, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            let parent = node.parent.and_then(|parent| moved.get(parent).copied().flatten());
            let keep = position == first || parent.is_some();
            moved.push(keep.then_some(kept.len()));
            if keep {
                node.parent = parent;
                kept.push(node);
            }
        }
        for node in &mut kept {
            node.best_child = node.best_child.and_then(|child| moved.get(child).copied().flatten());
        }
        self.positions = kept.iter().enumerate().map(|(at, node)| (node.block.root, at)).collect();
        self.nodes = kept;
        Some(moved)
    }
}
