//! Append-only commitment trees and witnesses in the form the C++ node stores: the two last leaves and the complete
//! left subtrees above them. Mirrors `src/flux/IncrementalMerkleTree.{hpp,cpp}`.

use std::{collections::VecDeque, sync::OnceLock};

use fluxd_primitives::{
    Codec, Hash256,
    codec::{MAX_SIZE, ReadError, Reader, Writer, compact_size, put_compact_size, put_list},
};
use sha2::block_api::compress256;

/// Depth of the Sprout tree.
pub const SPROUT_DEPTH: usize = 29;
/// Depth of the Sapling tree.
pub const SAPLING_DEPTH: usize = 32;
/// Depth up to which empty roots are computed.
const MAX_DEPTH: usize = 32;

/// State of SHA-256 before its first block.
const SHA256_INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// How a tree hashes.
pub trait TreeHash {
    /// The parent of two nodes; `level` is 0 above the leaves.
    fn combine(level: usize, left: &Hash256, right: &Hash256) -> Hash256;

    /// The root of a subtree of that depth without leaves.
    fn empty_root(depth: usize) -> Hash256;
}

/// The SHA-256 compression function, of Sprout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sprout {}

/// Pedersen hashes, of Sapling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sapling {}

impl TreeHash for Sprout {
    fn combine(_level: usize, left: &Hash256, right: &Hash256) -> Hash256 {
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(left.0.iter().chain(&right.0)) {
            *to = *from;
        }
        let mut state = SHA256_INITIAL;
        compress256(&mut state, &[block]);
        let mut out = [0; 32];
        for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Hash256(out)
    }

    fn empty_root(depth: usize) -> Hash256 {
        static ROOTS: OnceLock<Vec<Hash256>> = OnceLock::new();
        empty_root_of::<Self>(&ROOTS, Hash256::ZERO, depth)
    }
}

impl TreeHash for Sapling {
    fn combine(level: usize, left: &Hash256, right: &Hash256) -> Hash256 {
        Hash256(sapling_crypto::merkle_hash(level, &left.0, &right.0))
    }

    fn empty_root(depth: usize) -> Hash256 {
        static ROOTS: OnceLock<Vec<Hash256>> = OnceLock::new();
        let mut uncommitted = Hash256::ZERO;
        uncommitted.0[0] = 1;
        empty_root_of::<Self>(&ROOTS, uncommitted, depth)
    }
}

fn empty_root_of<H: TreeHash>(roots: &OnceLock<Vec<Hash256>>, leaf: Hash256, depth: usize) -> Hash256 {
    let roots = roots.get_or_init(|| {
        let mut roots = vec![leaf];
        for level in 0..MAX_DEPTH {
            let below = roots.last().copied().unwrap_or(leaf);
            roots.push(H::combine(level, &below, &below));
        }
        roots
    });
    roots.get(depth).copied().unwrap_or(leaf)
}

/// Why a tree could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Every leaf is taken.
    #[error("tree is full")]
    Full,
    /// A witness or a last leaf of a tree that has none.
    #[error("tree has no leaf")]
    Empty,
    /// Stored bytes that no tree has.
    #[error("tree is malformed")]
    Malformed,
    /// Stored bytes that end too early.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The Sprout note commitment tree.
pub type SproutTree = Tree<Sprout, SPROUT_DEPTH>;
/// The Sapling note commitment tree.
pub type SaplingTree = Tree<Sapling, SAPLING_DEPTH>;

/// An append-only tree of 2^`DEPTH` leaves.
#[derive(Debug)]
pub struct Tree<H, const DEPTH: usize> {
    left: Option<Hash256>,
    right: Option<Hash256>,
    /// Complete left subtrees, from the level above the leaves upwards.
    parents: Vec<Option<Hash256>>,
    hash: std::marker::PhantomData<H>,
}

impl<H, const DEPTH: usize> Clone for Tree<H, DEPTH> {
    fn clone(&self) -> Self {
        Self { left: self.left, right: self.right, parents: self.parents.clone(), hash: self.hash }
    }
}

impl<H, const DEPTH: usize> Default for Tree<H, DEPTH> {
    fn default() -> Self {
        Self { left: None, right: None, parents: Vec::new(), hash: std::marker::PhantomData }
    }
}

impl<H, const DEPTH: usize> PartialEq for Tree<H, DEPTH> {
    fn eq(&self, other: &Self) -> bool {
        (self.left, self.right, &self.parents) == (other.left, other.right, &other.parents)
    }
}

impl<H, const DEPTH: usize> Eq for Tree<H, DEPTH> {}

impl<H: TreeHash, const DEPTH: usize> Tree<H, DEPTH> {
    /// Leaves that are taken.
    #[must_use]
    pub fn size(&self) -> u64 {
        let leaves = u64::from(self.left.is_some()) + u64::from(self.right.is_some());
        let above = self.parents.iter().zip(1_u32..).filter(|(parent, _)| parent.is_some());
        above.fold(leaves, |size, (_, level)| {
            size.saturating_add(1_u64.checked_shl(level).unwrap_or(u64::MAX))
        })
    }

    /// The leaf that was appended last.
    ///
    /// # Errors
    /// [`TreeError::Empty`].
    pub fn last(&self) -> Result<Hash256, TreeError> {
        self.right.or(self.left).ok_or(TreeError::Empty)
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// [`TreeError::Full`].
    pub fn append(&mut self, leaf: Hash256) -> Result<(), TreeError> {
        if self.is_complete(DEPTH) {
            return Err(TreeError::Full);
        }
        let (Some(left), Some(right)) = (self.left, self.right) else {
            let slot = if self.left.is_none() { &mut self.left } else { &mut self.right };
            *slot = Some(leaf);
            return Ok(());
        };
        let mut combined = H::combine(0, &left, &right);
        (self.left, self.right) = (Some(leaf), None);
        for (parent, level) in self.parents.iter_mut().zip(1..) {
            match parent.take() {
                Some(subtree) => combined = H::combine(level, &subtree, &combined),
                None => {
                    *parent = Some(combined);
                    return Ok(());
                }
            }
        }
        self.parents.push(Some(combined));
        Ok(())
    }

    /// The root; leaves that are not taken count as uncommitted.
    #[must_use]
    pub fn root(&self) -> Hash256 {
        self.root_with(DEPTH, VecDeque::new())
    }

    /// A witness of the last leaf, to be kept up to date with [`Witness::append`].
    #[must_use]
    pub fn witness(&self) -> Witness<H, DEPTH> {
        Witness { tree: self.clone(), filled: Vec::new(), cursor: None, cursor_depth: 0 }
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_vec()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// Too short, left over bytes, or a form that no tree has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut reader = Reader::new(bytes);
        let left = read_optional(&mut reader)?;
        let right = read_optional(&mut reader)?;
        let claimed = compact_size(&mut reader).map_err(|_| TreeError::Malformed)?;
        let count = reader.count(claimed, MAX_SIZE, 1)?;
        let parents: Vec<_> = (0..count).map(|_| read_optional(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        let sound = parents.len() < DEPTH
            && parents.last() != Some(&None)
            && (left.is_some() || (right.is_none() && parents.is_empty()));
        if sound { Ok(Self { left, right, parents, ..Self::default() }) } else { Err(TreeError::Malformed) }
    }

    fn encode(&self, writer: &mut Writer) {
        put_optional(writer, self.left);
        put_optional(writer, self.right);
        put_compact_size(writer, self.parents.len());
        for parent in &self.parents {
            put_optional(writer, *parent);
        }
    }

    fn is_complete(&self, depth: usize) -> bool {
        self.left.is_some()
            && self.right.is_some()
            && self.parents.len() + 1 == depth
            && self.parents.iter().all(Option::is_some)
    }

    /// The root of the lowest `depth` levels, with nodes that are not known taken from `fillers` or empty.
    fn root_with(&self, depth: usize, mut fillers: VecDeque<Hash256>) -> Hash256 {
        let mut filler = |level| fillers.pop_front().unwrap_or_else(|| H::empty_root(level));
        let left = self.left.unwrap_or_else(|| filler(0));
        let right = self.right.unwrap_or_else(|| filler(0));
        let mut root = H::combine(0, &left, &right);
        for level in 1..depth.max(self.parents.len() + 1) {
            root = match self.parents.get(level - 1).copied().flatten() {
                Some(subtree) => H::combine(level, &subtree, &root),
                None => H::combine(level, &root, &filler(level)),
            };
        }
        root
    }

    /// The level of the next subtree that a witness of this tree needs, after it has `filled` of them.
    fn next_depth(&self, filled: usize) -> usize {
        let mut skip = filled;
        let open = [self.left, self.right]
            .into_iter()
            .map(|leaf| (leaf, 0))
            .chain(self.parents.iter().copied().zip(1..));
        for (node, level) in open {
            if node.is_none() {
                match skip.checked_sub(1) {
                    Some(left) => skip = left,
                    None => return level,
                }
            }
        }
        self.parents.len() + 1 + skip
    }
}

/// Proof that a leaf is in the tree, growing with the tree.
#[derive(Debug)]
pub struct Witness<H, const DEPTH: usize> {
    tree: Tree<H, DEPTH>,
    filled: Vec<Hash256>,
    cursor: Option<Tree<H, DEPTH>>,
    cursor_depth: usize,
}

impl<H, const DEPTH: usize> Clone for Witness<H, DEPTH> {
    fn clone(&self) -> Self {
        Self {
            tree: self.tree.clone(),
            filled: self.filled.clone(),
            cursor: self.cursor.clone(),
            cursor_depth: self.cursor_depth,
        }
    }
}

/// The siblings from the leaf to the root, and the place of the leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerklePath {
    /// Siblings, lowest first.
    pub siblings: Vec<Hash256>,
    /// Index of the leaf.
    pub position: u64,
}

impl MerklePath {
    /// The form that proofs take: siblings from the root downwards, then the position.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        put_compact_size(&mut writer, self.siblings.len());
        for sibling in self.siblings.iter().rev() {
            put_compact_size(&mut writer, sibling.0.len());
            writer.put(&sibling.0);
        }
        writer.u64_le(self.position);
        writer.into_vec()
    }
}

impl<H: TreeHash, const DEPTH: usize> Witness<H, DEPTH> {
    /// The leaf that is witnessed.
    ///
    /// # Errors
    /// [`TreeError::Empty`]: the witness was made before any leaf.
    pub fn element(&self) -> Result<Hash256, TreeError> {
        self.tree.last()
    }

    /// Tells the witness of a leaf that was appended to the tree.
    ///
    /// # Errors
    /// [`TreeError::Full`].
    pub fn append(&mut self, leaf: Hash256) -> Result<(), TreeError> {
        if let Some(cursor) = &mut self.cursor {
            cursor.append(leaf)?;
            if cursor.is_complete(self.cursor_depth) {
                self.filled.push(cursor.root_with(self.cursor_depth, VecDeque::new()));
                self.cursor = None;
            }
            return Ok(());
        }
        self.cursor_depth = self.tree.next_depth(self.filled.len());
        if self.cursor_depth >= DEPTH {
            return Err(TreeError::Full);
        }
        if self.cursor_depth == 0 {
            self.filled.push(leaf);
        } else {
            let mut cursor = Tree::default();
            cursor.append(leaf)?;
            self.cursor = Some(cursor);
        }
        Ok(())
    }

    /// The root of the tree with everything that was appended.
    #[must_use]
    pub fn root(&self) -> Hash256 {
        self.tree.root_with(DEPTH, self.partial_path())
    }

    /// The path of the leaf.
    ///
    /// # Errors
    /// [`TreeError::Empty`]: the witness was made before any leaf.
    pub fn path(&self) -> Result<MerklePath, TreeError> {
        let left = self.tree.left.ok_or(TreeError::Empty)?;
        let mut fillers = self.partial_path();
        let mut filler = |level| fillers.pop_front().unwrap_or_else(|| H::empty_root(level));
        let mut siblings = vec![if self.tree.right.is_some() { left } else { filler(0) }];
        for level in 1..DEPTH {
            let subtree = self.tree.parents.get(level - 1).copied().flatten();
            siblings.push(subtree.unwrap_or_else(|| filler(level)));
        }
        Ok(MerklePath { siblings, position: self.tree.size().saturating_sub(1) })
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.tree.encode(&mut writer);
        put_list(&mut writer, &self.filled);
        match &self.cursor {
            None => {
                writer.u8(0);
            }
            Some(cursor) => {
                writer.u8(1);
                cursor.encode(&mut writer);
            }
        }
        writer.into_vec()
    }

    fn partial_path(&self) -> VecDeque<Hash256> {
        let cursor = self.cursor.as_ref().map(|cursor| cursor.root_with(self.cursor_depth, VecDeque::new()));
        self.filled.iter().copied().chain(cursor).collect()
    }
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<Hash256>, TreeError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Ok(Some(Hash256(reader.array()?))),
        _ => Err(TreeError::Malformed),
    }
}

fn put_optional(writer: &mut Writer, node: Option<Hash256>) {
    writer.u8(u8::from(node.is_some()));
    if let Some(node) = node {
        node.encode(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_roots_are_those_of_the_reference() {
        let sprout = "59d2cde5e65c1414c32ba54f0fe4bdb3d67618125286e6a191317917c812c6d7";
        let sapling = "3e49b5f954aa9d3545bc6c37744661eea48d7c34e3000d82b7f0010c30f4c2fb";
        assert_eq!(SproutTree::default().root().to_string(), sprout);
        assert_eq!(SaplingTree::default().root().to_string(), sapling);
    }

    #[test]
    fn malformed_trees_are_refused() {
        let leaf = "0155b852781b9995a44c939b64e441ae2724b96f99c8f4fb9a141cfc9842c4b0e3";
        for text in
            [format!("{leaf}000100"), format!("00{leaf}00"), format!("000001{leaf}"), format!("{leaf}0002")]
        {
            let bytes = shared_vendor::hex::decode(&text).expect("hexadecimal text");
            assert!(SproutTree::from_bytes(&bytes).is_err(), "{text}");
        }
        let mut tree = Tree::<Sprout, 4>::default();
        for _ in 0..16 {
            tree.append(Hash256::ZERO).expect("room for sixteen");
        }
        assert_eq!(tree.append(Hash256::ZERO), Err(TreeError::Full));
        assert_eq!(Tree::<Sprout, 4>::from_bytes(&tree.to_bytes()), Ok(tree));
    }
}
