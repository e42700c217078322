//! Proofs that a list of entries is everything the tree has between two keys: what a node that joins by state asks for,
//! piece by piece.
//!
//! The proof is the walk from the root along both ends of the range, halves first to last. Of each subtree that is not
//! wholly inside the range it says what it is; those wholly inside are recomputed from the entries.

use super::{
    Child, Leaf, Node, Nodes, PLACEHOLDER, inner_hash,
    path::{Path, bit},
    subtree_hash,
};
use crate::types::{
    codec::{DecodeError, Result, Wire},
    primitives::List,
    ssz::Chunk,
};
use shared_vendor::bytes::{Reader, Writer};

/// Most steps of a proof: both ends of the range go down at most 256 levels, with a neighbour at each.
pub const MAX_STEPS: usize = 4 * 257;
/// Depth below which there is nothing.
const MAX_DEPTH: usize = 256;

/// What a subtree is that is not wholly inside the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It has no entry.
    Empty,
    /// It has one entry, outside of the range.
    Leaf(Leaf),
    /// It is outside of the range and has several entries.
    Inner(Chunk),
    /// It is partly inside; its halves follow.
    Split,
}

impl Wire for Part {
    const MIN_BYTES: usize = 4;

    fn put(&self, out: &mut Writer) {
        match self {
            Self::Empty => 0u32.put(out),
            Self::Leaf(leaf) => {
                1u32.put(out);
                leaf.key_hash.put(out);
                leaf.value_hash.put(out);
            }
            Self::Inner(hash) => {
                2u32.put(out);
                hash.put(out);
            }
            Self::Split => 3u32.put(out),
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        match input.u32_le()? {
            0 => Ok(Self::Empty),
            1 => Ok(Self::Leaf(Leaf { key_hash: Wire::take(input)?, value_hash: Wire::take(input)? })),
            2 => Ok(Self::Inner(Wire::take(input)?)),
            3 => Ok(Self::Split),
            tag => Err(DecodeError::Tag { kind: "Part", tag }),
        }
    }
}

/// The walk along both ends of a range.
pub type RangeProof = List<Part, MAX_STEPS>;

/// Why entries are not all there is in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The entries are not strictly increasing, or not within the range.
    #[error("entries out of order or range")]
    Order,
    /// The proof has too few or too many steps, or one that cannot be at its place.
    #[error("malformed proof")]
    Malformed,
    /// The hashes do not lead to the root.
    #[error("proof does not lead to the root")]
    Root,
}

/// Both ends, inclusive.
type Range = (Chunk, Chunk);

/// The proof for all entries from `first` to `last`, both included.
#[must_use]
pub fn prove(nodes: &impl Nodes, first: &Chunk, last: &Chunk) -> RangeProof {
    let mut parts = Vec::new();
    walk(nodes, &Place::Node(Path::ROOT), [0; 32], 0, &(*first, *last), &mut parts);
    List::new(parts).unwrap_or_default()
}

/// Checks that `leaves`, strictly increasing, are all entries from `first` to `last` of the tree with this root.
///
/// # Errors
/// What is wrong.
pub fn verify(
    root: &Chunk,
    first: &Chunk,
    last: &Chunk,
    leaves: &[Leaf],
    proof: &RangeProof,
) -> std::result::Result<(), RangeError> {
    let ordered = leaves.is_sorted_by(|a, b| a.key_hash < b.key_hash);
    let bounded = leaves.first().is_none_or(|leaf| leaf.key_hash >= *first)
        && leaves.last().is_none_or(|leaf| leaf.key_hash <= *last);
    if first > last || !ordered || !bounded {
        return Err(RangeError::Order);
    }
    let mut parts = proof.iter();
    let whole = rebuild(&mut parts, [0; 32], 0, &(*first, *last), leaves)?;
    if parts.next().is_some() {
        return Err(RangeError::Malformed);
    }
    if whole.hash() == *root { Ok(()) } else { Err(RangeError::Root) }
}

/// Where the prover is: at a stored node, or at some of an inner node's children.
enum Place {
    Node(Path),
    Children { path: Path, children: Box<[Option<Child>; super::WIDTH]>, from: usize, to: usize },
}

impl Place {
    fn part(&self, nodes: &impl Nodes) -> (Part, Option<(Self, Self)>) {
        match self {
            Self::Node(path) => match nodes.node(path) {
                None => (Part::Empty, None),
                Some(Node::Leaf(leaf)) => (Part::Leaf(leaf), None),
                Some(Node::Inner(children)) => {
                    Self::Children { path: *path, children, from: 0, to: super::WIDTH }.part(nodes)
                }
            },
            Self::Children { path, children, from, to } => {
                let range = children.get(*from..*to).unwrap_or_default();
                if to - from == 1 {
                    return Self::Node(path.child(*from)).part(nodes);
                }
                let mut present = (*from..*to).zip(range).filter_map(|(at, child)| Some((at, (*child)?)));
                match (present.next(), present.next()) {
                    (None, _) => (Part::Empty, None),
                    (Some((at, child)), None) if child.is_leaf => Self::Node(path.child(at)).part(nodes),
                    _ => {
                        let middle = from.midpoint(*to);
                        let half =
                            |from, to| Self::Children { path: *path, children: children.clone(), from, to };
                        (Part::Inner(subtree_hash(range)), Some((half(*from, middle), half(middle, *to))))
                    }
                }
            }
        }
    }
}

fn walk(
    nodes: &impl Nodes,
    place: &Place,
    prefix: Chunk,
    depth: usize,
    range: &Range,
    parts: &mut Vec<Part>,
) {
    let overlap = overlap(&prefix, depth, range);
    if overlap == Overlap::Inside {
        return;
    }
    let (part, halves) = place.part(nodes);
    match (part, halves) {
        (Part::Leaf(leaf), _) if overlap == Overlap::Partly && is_within(&leaf.key_hash, range) => {
            // an entry of the range that is alone in a subtree reaching beyond it: lead down to where it is inside
            parts.push(Part::Split);
            let right = bit(&leaf.key_hash, depth);
            for half in [false, true] {
                let prefix = with_bit(prefix, depth, half);
                if half == right {
                    walk(nodes, place, prefix, depth + 1, range, parts);
                } else if self::overlap(&prefix, depth + 1, range) != Overlap::Inside {
                    parts.push(Part::Empty);
                }
            }
        }
        (Part::Inner(_), Some((left, right))) if overlap == Overlap::Partly => {
            parts.push(Part::Split);
            walk(nodes, &left, with_bit(prefix, depth, false), depth + 1, range, parts);
            walk(nodes, &right, with_bit(prefix, depth, true), depth + 1, range, parts);
        }
        (part, _) => parts.push(part),
    }
}

/// What a subtree amounts to.
enum Sub {
    Empty,
    Leaf(Chunk),
    Inner(Chunk),
}

impl Sub {
    const fn hash(&self) -> Chunk {
        match self {
            Self::Empty => PLACEHOLDER,
            Self::Leaf(hash) | Self::Inner(hash) => *hash,
        }
    }

    fn of_halves(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Empty, Self::Leaf(hash)) | (Self::Leaf(hash), Self::Empty) => Self::Leaf(hash),
            (left, right) => Self::Inner(inner_hash(&left.hash(), &right.hash())),
        }
    }
}

fn rebuild<'a>(
    parts: &mut impl Iterator<Item = &'a Part>,
    prefix: Chunk,
    depth: usize,
    range: &Range,
    leaves: &[Leaf],
) -> std::result::Result<Sub, RangeError> {
    let overlap = overlap(&prefix, depth, range);
    if overlap == Overlap::Inside {
        return Ok(of_leaves(leaves, depth));
    }
    let outside = overlap == Overlap::Outside;
    match parts.next().ok_or(RangeError::Malformed)? {
        Part::Empty if leaves.is_empty() => Ok(Sub::Empty),
        Part::Leaf(leaf)
            if leaves.is_empty() && !is_within(&leaf.key_hash, range) && has_prefix(leaf, &prefix, depth) =>
        {
            Ok(Sub::Leaf(leaf.hash()))
        }
        Part::Inner(hash) if outside => Ok(Sub::Inner(*hash)),
        Part::Split if !outside && depth < MAX_DEPTH => {
            let middle = leaves.partition_point(|leaf| !bit(&leaf.key_hash, depth));
            let (left, right) = leaves.split_at(middle);
            let left = rebuild(parts, with_bit(prefix, depth, false), depth + 1, range, left)?;
            let right = rebuild(parts, with_bit(prefix, depth, true), depth + 1, range, right)?;
            Ok(Sub::of_halves(left, right))
        }
        _ => Err(RangeError::Malformed),
    }
}

fn of_leaves(leaves: &[Leaf], depth: usize) -> Sub {
    match leaves {
        [] => Sub::Empty,
        [leaf] => Sub::Leaf(leaf.hash()),
        _ => {
            let middle = leaves.partition_point(|leaf| !bit(&leaf.key_hash, depth));
            let (left, right) = leaves.split_at(middle);
            Sub::of_halves(of_leaves(left, depth + 1), of_leaves(right, depth + 1))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    Outside,
    Partly,
    Inside,
}

/// How the keys that begin with `depth` bits of `prefix` (the rest of which is zero) lie to the range.
fn overlap(prefix: &Chunk, depth: usize, (first, last): &Range) -> Overlap {
    let mut end = *prefix;
    for (at, byte) in end.iter_mut().enumerate() {
        let fixed = depth.saturating_sub(at * 8).min(8);
        *byte |= u8::try_from(0xffu32 >> fixed).unwrap_or(0);
    }
    if end < *first || prefix > last {
        Overlap::Outside
    } else if prefix >= first && end <= *last {
        Overlap::Inside
    } else {
        Overlap::Partly
    }
}

fn is_within(key_hash: &Chunk, (first, last): &Range) -> bool {
    first <= key_hash && key_hash <= last
}

fn has_prefix(leaf: &Leaf, prefix: &Chunk, depth: usize) -> bool {
    (0..depth).all(|at| bit(&leaf.key_hash, at) == bit(prefix, at))
}

fn with_bit(mut prefix: Chunk, depth: usize, one: bool) -> Chunk {
    if one && let Some(byte) = prefix.get_mut(depth / 8) {
        *byte |= 0x80 >> (depth % 8);
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MemoryNodes, root, update::update_hashed},
        *,
    };
    use crate::types::{
        codec::{decode, encode},
        ssz::sha256,
    };
    use proptest::prelude::*;

    fn leaf(seed: u16) -> Leaf {
        Leaf { key_hash: sha256(&seed.to_le_bytes()), value_hash: sha256(&[1]) }
    }

    fn tree(seeds: &[u16]) -> (MemoryNodes, Vec<Leaf>) {
        let mut leaves: Vec<Leaf> = seeds.iter().map(|seed| leaf(*seed)).collect();
        leaves.sort_by_key(|leaf| leaf.key_hash);
        leaves.dedup();
        let changes: Vec<_> = leaves.iter().map(|leaf| (leaf.key_hash, Some(leaf.value_hash))).collect();
        let mut nodes = MemoryNodes::default();
        let update = update_hashed(&nodes, &changes);
        nodes.apply(update.writes);
        (nodes, leaves)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn a_range_is_proven_and_nothing_can_be_left_out_added_or_changed(
            seeds in proptest::collection::vec(0u16..2000, 0..60),
            ends in (any::<u16>(), any::<u16>()),
            at_entries in any::<bool>(),
            pick in any::<prop::sample::Index>(),
        ) {
            let (nodes, leaves) = tree(&seeds);
            let root = root(&nodes);
            let end = |seed: u16| match leaves.get(usize::from(seed) % leaves.len().max(1)) {
                Some(leaf) if at_entries => leaf.key_hash,
                _ => sha256(&[seed.to_le_bytes(), seed.to_be_bytes()].concat()),
            };
            let (a, b) = (end(ends.0), end(ends.1));
            let (first, last) = (a.min(b), a.max(b));
            let inside: Vec<Leaf> = leaves.iter().filter(|leaf| is_within(&leaf.key_hash, &(first, last))).copied().collect();
            let proof = prove(&nodes, &first, &last);
            prop_assert_eq!(verify(&root, &first, &last, &inside, &proof), Ok(()));
            prop_assert_eq!(&decode::<RangeProof>(&encode(&proof), 1 << 20).expect("its own encoding"), &proof);
            if !inside.is_empty() {
                let at = pick.index(inside.len());
                let mut missing = inside.clone();
                missing.remove(at);
                prop_assert!(verify(&root, &first, &last, &missing, &proof).is_err());
                let mut changed = inside.clone();
                changed[at].value_hash = [7; 32];
                prop_assert!(verify(&root, &first, &last, &changed, &proof).is_err());
            }
            let extra = Leaf { key_hash: first, value_hash: [3; 32] };
            if inside.iter().all(|leaf| leaf.key_hash != first) {
                let added: Vec<Leaf> = std::iter::once(extra).chain(inside.iter().copied()).collect();
                prop_assert!(verify(&root, &first, &last, &added, &proof).is_err());
            }
            if !proof.is_empty() {
                let mut parts = proof.into_vec();
                let at = pick.index(parts.len());
                let old = parts[at];
                for new in [Part::Empty, Part::Split, Part::Inner([9; 32]), Part::Leaf(leaf(2001))] {
                    parts[at] = new;
                    let changed = List::new(parts.clone()).expect("as long");
                    prop_assert!(new == old || verify(&root, &first, &last, &inside, &changed).is_err());
                }
            }
        }
    }

    #[test]
    fn the_whole_tree_needs_no_steps_and_an_empty_one_has_none() {
        let (nodes, leaves) = tree(&[1, 2, 3, 4, 5]);
        let proof = prove(&nodes, &[0; 32], &[0xff; 32]);
        assert!(proof.is_empty());
        assert_eq!(verify(&root(&nodes), &[0; 32], &[0xff; 32], &leaves, &proof), Ok(()));
        assert_eq!(verify(&PLACEHOLDER, &[0; 32], &[0xff; 32], &[], &List::empty()), Ok(()));
        assert_eq!(verify(&PLACEHOLDER, &[1; 32], &[0; 32], &[], &List::empty()), Err(RangeError::Order));
    }
}
