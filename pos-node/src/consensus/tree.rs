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
    /// The block; apart, so that walks over all nodes touch little memory.
    pub block: Box<Block>,
    /// Whether it came in its slot before votes were due.
    pub timely: bool,
    /// Position of the parent; always before the node's own.
    pub parent: Option<usize>,
    /// Position of an ancestor further back, chosen so that any ancestor is found in a number of steps that grows with the
    /// logarithm of its distance; the node's own position at the root.
    jump: usize,
    depth: usize,
    /// Stake behind it and its descendants.
    pub weight: u64,
    /// Child to follow towards the head.
    best_child: Option<usize>,
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
        let (jump, depth) = self.jump_from(parent);
        self.nodes.push(Node {
            block: Box::new(block),
            timely,
            parent,
            jump,
            depth,
            weight: 0,
            best_child: None,
        });
    }

    /// Jump and depth of the next node to be pushed. Two jumps of equal length in a row become one (Myers' skew-binary
    /// pointers).
    fn jump_from(&self, parent: Option<usize>) -> (usize, usize) {
        let of = |position: usize| self.at(position).map(|node| (node.jump, node.depth));
        let Some((at, (jump, depth))) = parent.and_then(|at| Some((at, of(at)?))) else {
            return (self.nodes.len(), 0);
        };
        let (further, middle) = of(jump).unwrap_or((jump, depth));
        let far = of(further).map_or(middle, |(_, depth)| depth);
        let equal = depth.saturating_sub(middle) == middle.saturating_sub(far);
        (if equal { further } else { at }, depth.saturating_add(1))
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
            let parent = node.parent?;
            let jumps = self.at(node.jump).is_some_and(|far| far.block.slot > slot);
            position = if jumps { node.jump } else { parent };
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
    /// child leads where. `is_viable` judges blocks that descend from the final checkpoint: a branch ends, as far as the
    /// head is concerned, at its last viable block.
    pub fn settle(
        &mut self,
        mut deltas: Vec<i128>,
        finalized: Option<(Root, Slot)>,
        is_viable: impl Fn(&Block) -> bool,
    ) {
        for node in &mut self.nodes {
            node.best_child = None;
        }
        for position in (0..self.nodes.len()).rev() {
            let delta = deltas.get(position).copied().unwrap_or(0);
            let Some(node) = self.at(position) else { continue };
            let viable = node.best_child.is_some()
                || is_viable(&node.block) && self.is_on_final_chain(position, finalized);
            let Some(node) = self.nodes.get_mut(position) else { continue };
            if delta != 0 {
                node.weight = u64::try_from(i128::from(node.weight).saturating_add(delta)).unwrap_or(0);
            }
            let (weight, parent) = (node.weight, node.parent);
            let Some(parent) = parent else { continue };
            if let Some(sum) = deltas.get_mut(parent).filter(|_| delta != 0) {
                *sum = sum.saturating_add(delta);
            }
            let rival = self.at(parent).and_then(|node| node.best_child);
            let better = rival.and_then(|rival| self.at(rival)).is_none_or(|rival| {
                let root = |at: usize| self.at(at).map(|node| node.block.root);
                (weight, root(position)) > (rival.weight, Some(rival.block.root))
            });
            if viable
                && better
                && let Some(node) = self.nodes.get_mut(parent)
            {
                node.best_child = Some(position);
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

    /// Whether a block's ancestor at the final slot is the final block. `None` accepts all.
    fn is_on_final_chain(&self, position: usize, finalized: Option<(Root, Slot)>) -> bool {
        finalized.is_none_or(|(root, slot)| {
            self.ancestor(position, slot)
                .and_then(|at| self.at(at))
                .is_some_and(|node| node.block.root == root)
        })
    }

    /// Forgets everything but `root` and its descendants. Gives, for each old position, the new one.
    pub fn prune(&mut self, root: &Root) -> Option<Vec<Option<usize>>> {
        let first = self.position(root)?;
        let mut moved: Vec<Option<usize>> = Vec::with_capacity(self.nodes.len());
        for (position, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            let parent = node.parent.and_then(|parent| moved.get(parent).copied().flatten());
            let keep = position == first || parent.is_some();
            moved.push(keep.then_some(self.nodes.len()));
            if keep {
                node.parent = parent;
                (node.jump, node.depth) = self.jump_from(parent);
                self.nodes.push(node);
            }
        }
        for node in &mut self.nodes {
            node.best_child = node.best_child.and_then(|child| moved.get(child).copied().flatten());
        }
        self.positions = self.nodes.iter().enumerate().map(|(at, node)| (node.block.root, at)).collect();
        Some(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ssz::sha256;
    use proptest::prelude::*;

    fn root(number: usize) -> Root {
        Root(sha256(&number.to_le_bytes()))
    }

    fn block(number: usize, parent: usize, slot: Slot) -> Block {
        let none = Checkpoint { epoch: 0, root: Root::ZERO };
        Block {
            root: root(number),
            parent_root: root(parent),
            slot,
            proposer_index: 0,
            justified: none,
            finalized: none,
            unrealized_justified: none,
            unrealized_finalized: none,
        }
    }

    /// The definition: parent by parent.
    fn walked(tree: &Tree, position: usize, slot: Slot) -> Option<usize> {
        let node = tree.at(position)?;
        if node.block.slot <= slot { Some(position) } else { walked(tree, node.parent?, slot) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn ancestors_found_by_jumps_are_those_found_parent_by_parent(
            parents in proptest::collection::vec((0usize..4, 1u64..4), 1..150),
            pruned in any::<prop::sample::Index>(),
        ) {
            let mut tree = Tree::new(block(0, usize::MAX, 0));
            for (at, (back, ahead)) in parents.iter().enumerate() {
                let parent = at.saturating_sub(*back);
                let slot = tree.get(&root(parent)).expect("a parent").block.slot + ahead;
                tree.push(block(at + 1, parent, slot), true);
            }
            let kept = root(pruned.index(tree.len()));
            for prune in [false, true] {
                if prune {
                    tree.prune(&kept);
                }
                for position in 0..tree.len() {
                    for slot in 0..=tree.at(position).expect("a node").block.slot {
                        prop_assert_eq!(tree.ancestor(position, slot), walked(&tree, position, slot));
                    }
                }
            }
        }
    }
}
