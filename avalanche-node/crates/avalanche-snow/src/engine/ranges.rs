//! Heights that were fetched, as disjoint ranges. Mirrors `snow/engine/snowman/bootstrap/interval/tree.go`.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// A set of heights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Upper bounds by lower bounds; neither overlapping nor adjacent.
    ranges: BTreeMap<u64, u64>,
    len: u64,
}

impl Ranges {
    /// Heights in the set.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True without heights.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when the height is in the set.
    #[must_use]
    pub fn contains(&self, height: u64) -> bool {
        self.ranges.range(..=height).next_back().is_some_and(|(_, upper)| height <= *upper)
    }

    /// Adds a height; false when it was there.
    pub fn add(&mut self, height: u64) -> bool {
        if self.contains(height) {
            return false;
        }
        let below = height.checked_sub(1).and_then(|below| self.ranges.range(..=below).next_back());
        let lower = below.filter(|(_, upper)| upper.checked_add(1) == Some(height)).map(|(lower, _)| *lower);
        let above = height.checked_add(1).and_then(|above| self.ranges.remove(&above));
        self.ranges.insert(lower.unwrap_or(height), above.unwrap_or(height));
        self.len = self.len.saturating_add(1);
        true
    }

    /// Removes all heights up to this one.
    pub fn remove_through(&mut self, height: u64) {
        let above = height.checked_add(1).map(|above| self.ranges.split_off(&above)).unwrap_or_default();
        let cut = self.ranges.last_key_value().map(|(_, upper)| *upper).filter(|upper| *upper > height);
        self.ranges = above;
        if let (Some(upper), Some(lower)) = (cut, height.checked_add(1)) {
            self.ranges.insert(lower, upper);
        }
        self.len = self.ranges.iter().fold(0, |sum: u64, (lower, upper)| {
            sum.saturating_add(upper.saturating_sub(*lower).saturating_add(1))
        });
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.ranges.iter().map(|(lower, upper)| *lower..=*upper)
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<T: IntoIterator<Item = u64>>(heights: T) -> Self {
        let mut ranges = Self::default();
        for height in heights {
            ranges.add(height);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_the_lower_end_can_be_cut() {
        let mut ranges: Ranges = [5, 7, 6, 1, 5, 0, u64::MAX].into_iter().collect();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0..=1, 5..=7, u64::MAX..=u64::MAX]);
        assert_eq!(ranges.len(), 6);
        assert!(ranges.contains(6) && !ranges.contains(4));
        ranges.remove_through(5);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [6..=7, u64::MAX..=u64::MAX]);
        assert_eq!(ranges.len(), 3);
        ranges.remove_through(u64::MAX);
        assert!(ranges.is_empty());
    }
}
