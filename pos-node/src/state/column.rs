//! One field of the state as an array in pieces that clones of the state share until one of them writes to them. Every
//! piece keeps its Merkle root until it is written to, and so does the whole array, so roots cost what changed.

use crate::types::ssz::{self, Chunk, TreeHash, mix_in_length};
use rayon::prelude::*;
use std::{
    ops::Index,
    sync::{Arc, OnceLock},
};

/// Leaves of a piece: a power of two, so that a piece is a subtree.
const PIECE_LEAVES: usize = 64;
/// Fewest pieces whose roots are worth more than one thread.
const WORTHWHILE: usize = 16;

#[derive(Debug)]
struct Piece<T> {
    items: Vec<T>,
    root: OnceLock<Chunk>,
}

impl<T: Clone> Clone for Piece<T> {
    /// A copy is made to be written to, so it has no root.
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), root: OnceLock::new() }
    }
}

#[derive(Debug)]
struct Pieces<T> {
    pieces: Vec<Arc<Piece<T>>>,
    /// The root over all pieces with the most leaves it was asked for.
    root: OnceLock<(usize, Chunk)>,
}

impl<T> Clone for Pieces<T> {
    fn clone(&self) -> Self {
        Self { pieces: self.pieces.clone(), root: OnceLock::new() }
    }
}

/// An array with cheap clones.
#[derive(Debug, Clone)]
pub struct Column<T> {
    inner: Arc<Pieces<T>>,
    len: usize,
}

impl<T: TreeHash> Column<T> {
    /// Items of a piece; the last one may have fewer.
    pub const PIECE: usize = PIECE_LEAVES * T::PER_CHUNK;

    /// Number of items.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item at a position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.inner.pieces.get(index / Self::PIECE)?.items.get(index % Self::PIECE)
    }

    /// The item at a protocol index (validator, or position in a ring).
    #[must_use]
    pub fn at(&self, index: u64) -> Option<&T> {
        self.get(usize::try_from(index).ok()?)
    }

    /// Every item in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.inner.pieces.iter().flat_map(|piece| piece.items.iter())
    }

    /// The pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[T]> {
        self.inner.pieces.iter().map(|piece| piece.items.as_slice())
    }

    /// Whether the piece at a position takes the same memory in both: then it is equal.
    #[must_use]
    pub fn shares_piece(&self, other: &Self, at: usize) -> bool {
        match (self.inner.pieces.get(at), other.inner.pieces.get(at)) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            _ => false,
        }
    }

    /// Whether both take the same memory: then they are equal.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Root of the array as a vector of its own length.
    #[must_use]
    pub fn vector_root(&self) -> Chunk {
        self.tree_root_within(self.len)
    }

    /// Root of the array as a list of at most `limit` items.
    #[must_use]
    pub fn list_root(&self, limit: usize) -> Chunk {
        mix_in_length(&self.tree_root_within(limit), self.len)
    }

    fn tree_root_within(&self, limit: usize) -> Chunk {
        let leaves = limit.div_ceil(T::PER_CHUNK);
        let compute = || match self.inner.pieces.as_slice() {
            [] => ssz::merkleize(Vec::new(), leaves),
            [only] if leaves <= PIECE_LEAVES => ssz::merkleize(T::leaves(&only.items), leaves),
            pieces => {
                let root = |piece: &Arc<Piece<T>>| {
                    *piece.root.get_or_init(|| ssz::merkleize(T::leaves(&piece.items), PIECE_LEAVES))
                };
                let unknown: Vec<&Arc<Piece<T>>> =
                    pieces.iter().filter(|piece| piece.root.get().is_none()).collect();
                if unknown.len() >= WORTHWHILE {
                    unknown.into_par_iter().for_each(|piece| _ = root(piece));
                }
                ssz::merkleize_above(pieces.iter().map(root).collect(), PIECE_LEAVES, leaves)
            }
        };
        let (computed_for, root) = self.inner.root.get_or_init(|| (leaves, compute()));
        if *computed_for == leaves { *root } else { compute() }
    }
}

impl<T: TreeHash + Clone> Column<T> {
    fn pieces_mut(&mut self) -> &mut Vec<Arc<Piece<T>>> {
        let inner = Arc::make_mut(&mut self.inner);
        inner.root.take();
        &mut inner.pieces
    }

    fn piece_mut(&mut self, at: usize) -> Option<&mut Vec<T>> {
        let piece = Arc::make_mut(self.pieces_mut().get_mut(at)?);
        piece.root.take();
        Some(&mut piece.items)
    }

    /// The item at a protocol index, for writing.
    pub fn at_mut(&mut self, index: u64) -> Option<&mut T> {
        let index = usize::try_from(index).ok().filter(|index| *index < self.len)?;
        self.piece_mut(index / Self::PIECE)?.get_mut(index % Self::PIECE)
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        if self.len.is_multiple_of(Self::PIECE) {
            self.pieces_mut().push(Arc::new(Piece { items: Vec::new(), root: OnceLock::new() }));
        }
        if let Some(last) = self.piece_mut(self.len / Self::PIECE) {
            last.push(item);
            self.len = self.len.saturating_add(1);
        }
    }
}

impl<T: TreeHash + Clone + PartialEq> Column<T> {
    /// Replaces every item by what `new` makes of its index and value. Pieces in which nothing changes are not copied.
    pub fn update(&mut self, mut new: impl FnMut(u64, &T) -> T) {
        let mut index = 0u64;
        for at in 0..self.inner.pieces.len() {
            let Some(piece) = self.inner.pieces.get(at) else { break };
            let items: Vec<T> = piece
                .items
                .iter()
                .map(|item| {
                    let item = new(index, item);
                    index = index.saturating_add(1);
                    item
                })
                .collect();
            if items != piece.items
                && let Some(old) = self.piece_mut(at)
            {
                *old = items;
            }
        }
    }
}

impl<T: TreeHash> Default for Column<T> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl<T: TreeHash> From<Vec<T>> for Column<T> {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T: TreeHash> FromIterator<T> for Column<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let (mut pieces, mut len) = (Vec::new(), 0usize);
        loop {
            let piece: Vec<T> = items.by_ref().take(Self::PIECE).collect();
            if piece.is_empty() {
                break;
            }
            len = len.saturating_add(piece.len());
            pieces.push(Arc::new(Piece { items: piece, root: OnceLock::new() }));
        }
        Self { inner: Arc::new(Pieces { pieces, root: OnceLock::new() }), len }
    }
}

impl<T: TreeHash + PartialEq> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        let same_piece =
            |(at, (own, others)): (usize, (&[T], &[T]))| self.shares_piece(other, at) || own == others;
        self.len == other.len && self.pieces().zip(other.pieces()).enumerate().all(same_piece)
    }
}

impl<T: TreeHash + Eq> Eq for Column<T> {}

impl<T: TreeHash> Index<usize> for Column<T> {
    type Output = T;

    /// For tests and other places where the index is known to be good.
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("index within the array")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Change {
        Set(u64, u64),
        Push(u64),
        Update(u64),
        Restore,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0u64..900, any::<u64>()).prop_map(|(at, value)| Change::Set(at, value)),
            any::<u64>().prop_map(Change::Push),
            (1u64..9).prop_map(Change::Update),
            Just(Change::Restore),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_written_values_and_roots_are_those_of_a_plain_array(
            mut plain in proptest::collection::vec(any::<u64>(), 0..800),
            changes in proptest::collection::vec(change(), 1..20),
        ) {
            let mut column: Column<u64> = plain.clone().into();
            let mut kept = (column.clone(), plain.clone());
            for change in changes {
                match change {
                    Change::Set(at, value) => {
                        if let (Some(item), Some(own)) = (plain.get_mut(at as usize), column.at_mut(at)) {
                            (*item, *own) = (value, value);
                        }
                    }
                    Change::Push(value) => {
                        plain.push(value);
                        column.push(value);
                    }
                    Change::Update(every) => {
                        let new = |at: u64, value: &u64| if at.is_multiple_of(every) { value.wrapping_add(at) } else { *value };
                        plain = (0..).zip(&plain).map(|(at, value)| new(at, value)).collect();
                        column.update(new);
                    }
                    Change::Restore => {
                        std::mem::swap(&mut kept.0, &mut column);
                        std::mem::swap(&mut kept.1, &mut plain);
                    }
                }
                prop_assert_eq!(column.iter().copied().collect::<Vec<_>>(), plain.clone());
                prop_assert_eq!(column.list_root(1 << 18), ssz::list_root(&plain, 1 << 18));
                prop_assert_eq!(column.vector_root(), ssz::vector_root(&plain));
                prop_assert_eq!(&column, &Column::from(plain.clone()));
            }
            prop_assert_eq!(kept.0.list_root(1 << 18), ssz::list_root(&kept.1, 1 << 18));
        }
    }
}
