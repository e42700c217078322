//! The tree of decisions over the bits of competing ids: a modified Patricia trie whose inner nodes are binary
//! decisions and whose runs of shared bits are unary ones. Mirrors `snow/consensus/snowball/tree.go`.
//!
//! Votes are partitioned in place on their way down, so recording a poll allocates nothing.

use std::fmt;

use avalanche_ids::{
    Id,
    bits::{NUM_BITS, equal_subset, first_difference},
};

use super::instance::{Binary, Rule, Unary};

/// Votes for one choice.
pub type Vote = (Id, u32);

/// Competing choices and how far the decision between them has come.
#[derive(Debug)]
pub struct Tree {
    rule: Rule,
    root: Node,
    should_reset: bool,
}

#[derive(Debug)]
enum Node {
    Unary(Box<UnaryNode>),
    Binary(Box<BinaryNode>),
}

/// A run of bits on which all choices below agree.
#[derive(Debug)]
struct UnaryNode {
    preference: Id,
    /// First bit of the run; the bits before it are assumed decided.
    decided_prefix: usize,
    /// One past the last bit of the run.
    common_prefix: usize,
    snow: Unary,
    /// The subtree missed a poll and must forget its confidence before the next one.
    should_reset: bool,
    child: Option<Node>,
}

/// One bit on which the choices below differ. The arrays are indexed by the value of the bit.
#[derive(Debug)]
struct BinaryNode {
    preferences: [Id; 2],
    bit: usize,
    snow: Binary,
    should_reset: [bool; 2],
    children: [Option<Node>; 2],
}

impl Tree {
    /// A tree with a single choice.
    #[must_use]
    pub fn new(rule: Rule, choice: Id) -> Self {
        Self { rule, root: Node::leaf(choice, 0), should_reset: false }
    }

    /// Adds a choice, unless it was already decided against.
    pub fn add(&mut self, choice: Id) {
        if equal_subset(0, self.root.decided_prefix(), &self.preference(), &choice) {
            self.root.add(choice);
        }
    }

    /// The choice preferred now.
    #[must_use]
    pub fn preference(&self) -> Id {
        self.root.preference(&self.rule)
    }

    /// Counts a poll and says whether it had enough votes. The votes are reordered; each choice occurs once and has
    /// been added.
    pub fn record_poll(&mut self, votes: &mut [Vote]) -> bool {
        let prefix = self.root.decided_prefix();
        let possible = if prefix == 0 {
            votes
        } else {
            let preference = self.preference();
            partition(votes, |choice| equal_subset(0, prefix, &preference, choice)).0
        };
        let reset = std::mem::take(&mut self.should_reset);
        self.root.record_poll(&self.rule, possible, reset)
    }

    /// Notes a poll without enough votes for any choice.
    pub const fn record_unsuccessful_poll(&mut self) {
        self.should_reset = true;
    }

    /// True once a choice is decided.
    #[must_use]
    pub fn finalized(&self) -> bool {
        match &self.root {
            Node::Unary(node) => node.snow.finalized(),
            Node::Binary(node) => node.snow.finalized(),
        }
    }
}

/// The tree in the notation of the reference, one line per node, depth first, zero before one.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.root.dump(&self.rule, 0, &mut out)?;
        f.write_str(out.trim_end_matches('\n'))
    }
}

impl Node {
    fn leaf(choice: Id, decided_prefix: usize) -> Self {
        Self::Unary(Box::new(UnaryNode {
            preference: choice,
            decided_prefix,
            common_prefix: NUM_BITS,
            snow: Unary::default(),
            should_reset: false,
            child: None,
        }))
    }

    fn preference(&self, rule: &Rule) -> Id {
        match self {
            Self::Unary(node) => node.preference,
            Self::Binary(node) => {
                let [zero, one] = &node.preferences;
                if node.snow.preference(rule) { *one } else { *zero }
            }
        }
    }

    fn decided_prefix(&self) -> usize {
        match self {
            Self::Unary(node) => node.decided_prefix,
            Self::Binary(node) => node.bit,
        }
    }

    fn add(&mut self, choice: Id) {
        match self {
            Self::Unary(node) => {
                if let Some(fork) = node.add(choice) {
                    *self = fork;
                }
            }
            Self::Binary(node) => {
                if let Some(child) = pick(&mut node.children, choice.bit(node.bit)) {
                    child.add(choice);
                }
            }
        }
    }

    /// Counts a poll; a node that becomes final gives way to the subtree it decided for.
    fn record_poll(&mut self, rule: &Rule, votes: &mut [Vote], reset: bool) -> bool {
        let (successful, decided) = match self {
            Self::Unary(node) => node.record_poll(rule, votes, reset),
            Self::Binary(node) => node.record_poll(rule, votes, reset),
        };
        if let Some(subtree) = decided {
            *self = subtree;
        }
        successful
    }

    fn dump(&self, rule: &Rule, depth: usize, out: &mut String) -> fmt::Result {
        use fmt::Write;
        for _ in 0..depth {
            out.push_str("    ");
        }
        match self {
            Self::Unary(node) => {
                node.snow.dump(rule, out)?;
                writeln!(out, " Bits = [{}, {})", node.decided_prefix, node.common_prefix)?;
                node.child.iter().try_for_each(|child| child.dump(rule, depth + 1, out))
            }
            Self::Binary(node) => {
                node.snow.dump(rule, out)?;
                writeln!(out, " Bit = {}", node.bit)?;
                node.children.iter().flatten().try_for_each(|child| child.dump(rule, depth + 1, out))
            }
        }
    }
}

impl UnaryNode {
    /// Adds a choice; answers the fork that takes this node's place, if there is one.
    fn add(&mut self, choice: Id) -> Option<Node> {
        if self.snow.finalized() {
            return None;
        }
        match first_difference(self.decided_prefix, self.common_prefix, &self.preference, &choice) {
            Some(index) => self.split(index, choice),
            None => {
                if let Some(child) = &mut self.child {
                    child.add(choice);
                }
                None
            }
        }
    }

    /// Splits the run at bit `index`, where `choice` differs from the preference.
    fn split(&mut self, index: usize, choice: Id) -> Option<Node> {
        let (first, last) = (self.decided_prefix, self.common_prefix - 1);
        let bit = self.preference.bit(index);
        let other = Node::leaf(choice, index + 1);
        let mut fork = BinaryNode {
            preferences: by_bit(bit, self.preference, choice),
            bit: index,
            snow: self.snow.extend(bit),
            should_reset: [self.should_reset; 2],
            children: [None, None],
        };
        if index == last {
            let new = self.child.is_some().then_some(other);
            fork.children = by_bit(bit, self.child.take(), new);
        } else {
            let below = Self { decided_prefix: index + 1, child: self.child.take(), ..*self };
            fork.children = by_bit(bit, Some(Node::Unary(Box::new(below))), Some(other));
        }
        let fork = Node::Binary(Box::new(fork));
        if index == first {
            return Some(fork);
        }
        // The bits before the fork stay with this node. Split in the middle, it has not missed any poll itself.
        self.should_reset &= index == last;
        self.common_prefix = index;
        self.child = Some(fork);
        None
    }

    fn record_poll(&mut self, rule: &Rule, votes: &mut [Vote], reset: bool) -> (bool, Option<Node>) {
        if reset {
            self.snow.record_unsuccessful_poll();
            self.should_reset = true;
        }
        let count = total(votes);
        if count < rule.params.alpha_preference {
            self.snow.record_unsuccessful_poll();
            self.should_reset = true;
            return (false, None);
        }
        self.snow.record_poll(rule, count);
        if let Some(child) = &mut self.child {
            child.record_poll(rule, votes, self.should_reset);
            if self.snow.finalized() {
                return (true, self.child.take());
            }
            self.preference = child.preference(rule);
        }
        self.should_reset = false;
        (true, None)
    }
}

impl BinaryNode {
    fn record_poll(&mut self, rule: &Rule, votes: &mut [Vote], reset: bool) -> (bool, Option<Node>) {
        let (ones, zeros) = partition(votes, |choice| choice.bit(self.bit));
        let bit = total(ones) >= rule.params.alpha_preference;
        let chosen = if bit { ones } else { zeros };
        if reset {
            self.snow.record_unsuccessful_poll();
            *pick(&mut self.should_reset, bit) = true;
        }
        *pick(&mut self.should_reset, !bit) = true;
        let count = total(chosen);
        if count < rule.params.alpha_preference {
            self.snow.record_unsuccessful_poll();
            *pick(&mut self.should_reset, bit) = true;
            return (false, None);
        }
        self.snow.record_poll(rule, count, bit);
        let reset = std::mem::take(pick(&mut self.should_reset, bit));
        let child = pick(&mut self.children, bit);
        if let Some(node) = child {
            node.record_poll(rule, chosen, reset);
            if self.snow.finalized() {
                return (true, child.take());
            }
            *pick(&mut self.preferences, bit) = node.preference(rule);
        }
        (true, None)
    }
}

/// `at_bit` where the bit is, `other` opposite.
fn by_bit<T>(bit: bool, at_bit: T, other: T) -> [T; 2] {
    if bit { [other, at_bit] } else { [at_bit, other] }
}

const fn pick<T>(pair: &mut [T; 2], bit: bool) -> &mut T {
    let [zero, one] = pair;
    if bit { one } else { zero }
}

fn total(votes: &[Vote]) -> u32 {
    votes.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// Reorders the votes: those that `accept` takes first.
fn partition(votes: &mut [Vote], accept: impl Fn(&Id) -> bool) -> (&mut [Vote], &mut [Vote]) {
    let mut accepted = 0;
    for index in 0..votes.len() {
        if votes.get(index).is_some_and(|(choice, _)| accept(choice)) {
            votes.swap(index, accepted);
            accepted += 1;
        }
    }
    votes.split_at_mut(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{Flavor, Params};

    fn id(first: u8) -> Id {
        let mut id = Id::EMPTY;
        id.0[0] = first;
        id
    }

    #[test]
    fn the_lowest_bit_of_the_first_byte_decides_first() {
        let params = Params { k: 1, alpha_preference: 1, alpha_confidence: 1, beta: 1, ..Params::default() };
        let mut tree = Tree::new(Rule { flavor: Flavor::Snowflake, params }, id(0b10));
        tree.add(id(0b01));
        tree.add(id(0b11));
        assert!(
            tree.to_string()
                .starts_with("SF(Confidence = [0], Finalized = false, SL(Preference = 0)) Bit = 0")
        );
        assert!(tree.record_poll(&mut [(id(0b01), 1)]));
        assert_eq!(tree.preference(), id(0b01));
        assert!(tree.record_poll(&mut [(id(0b01), 1)]));
        assert!(tree.finalized());
    }
}
