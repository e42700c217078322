//! Counted votes. A poll has at most `k` distinct choices (20), so a flat list beats a hash map.
//! Mirrors `utils/bag`.

/// A multiset that remembers how often each element was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bag<T> {
    counts: Vec<(T, u32)>,
    len: u32,
}

impl<T> Default for Bag<T> {
    fn default() -> Self {
        Self { counts: Vec::new(), len: 0 }
    }
}

impl<T: Copy + PartialEq> Bag<T> {
    /// An empty bag.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, element: T) {
        self.add_count(element, 1);
    }

    /// Adds `count`; the total saturates.
    pub fn add_count(&mut self, element: T, count: u32) {
        if count == 0 {
            return;
        }
        match self.counts.iter_mut().find(|(found, _)| *found == element) {
            Some((_, found)) => *found = found.saturating_add(count),
            None => self.counts.push((element, count)),
        }
        self.len = self.len.saturating_add(count);
    }

    /// How often `element` was added.
    #[must_use]
    pub fn count(&self, element: T) -> u32 {
        self.counts.iter().find(|(found, _)| *found == element).map_or(0, |(_, count)| *count)
    }

    /// Elements with multiplicity.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True when nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Distinct elements and their counts, in the order of their first addition.
    pub fn iter(&self) -> impl Iterator<Item = (T, u32)> + '_ {
        self.counts.iter().copied()
    }

    /// Keeps only what `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(T) -> bool) {
        self.counts.retain(|(element, _)| keep(*element));
        self.len = self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count));
    }

    /// Removes everything and keeps the memory.
    pub fn clear(&mut self) {
        self.counts.clear();
        self.len = 0;
    }
}

impl<T: Copy + PartialEq> FromIterator<T> for Bag<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut bag = Self::new();
        for element in elements {
            bag.add(element);
        }
        bag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_retain() {
        let mut bag: Bag<u8> = [1, 2, 2, 3].into_iter().collect();
        bag.add_count(9, 0);
        assert_eq!((bag.len(), bag.count(2), bag.count(9)), (4, 2, 0));
        bag.retain(|element| element != 3);
        assert_eq!(bag.len(), 3);
        assert_eq!(bag.iter().collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    }
}
