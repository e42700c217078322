//! Sampling by weight without replacement of weight units. The draws are part of the protocol (proposer schedule), so
//! the order of every draw matters. Mirrors `utils/sampler/{rand,uniform_replacer,weighted_heap}.go`.

use std::{cmp::Reverse, collections::HashMap};

use crate::prng::Source;

/// A number in `0..=max`.
pub fn uint64_inclusive(source: &mut impl Source, max: u64) -> u64 {
    const LOWER_HALF: u64 = u64::MAX >> 1;
    let Some(count) = max.checked_add(1) else { return source.next_u64() };
    if max & count == 0 {
        return source.next_u64() & max;
    }
    if max > LOWER_HALF {
        loop {
            let value = source.next_u64();
            if value <= max {
                return value;
            }
        }
    }
    let limit = LOWER_HALF - (1 << 63) % count;
    loop {
        let value = source.next_u64() & LOWER_HALF;
        if value <= limit {
            return value % count;
        }
    }
}

/// Draws distinct numbers below a length: a shuffle of `0..length` whose swaps are made as they are needed.
#[derive(Debug, Clone, Default)]
struct UniformReplacer {
    length: u64,
    moved: HashMap<u64, u64>,
    draws: u64,
}

impl UniformReplacer {
    fn next(&mut self, source: &mut impl Source) -> Option<u64> {
        let max = self.length.checked_sub(1)?.checked_sub(self.draws)?;
        let draw = uint64_inclusive(source, max) + self.draws;
        let drawn = self.moved.get(&draw).copied().unwrap_or(draw);
        let last = self.moved.get(&self.draws).copied().unwrap_or(self.draws);
        self.moved.insert(draw, last);
        self.draws += 1;
        Some(drawn)
    }
}

/// The total weight does not fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("total weight overflows")]
pub struct WeightOverflow;

#[derive(Debug, Clone, Copy)]
struct Element {
    weight: u64,
    cumulative: u64,
    index: usize,
}

/// Samples indices by weight; one index can come up as often as it has weight units.
#[derive(Debug, Clone)]
pub struct WeightedSampler {
    heap: Vec<Element>,
    total: u64,
}

impl WeightedSampler {
    /// A sampler over `weights`.
    ///
    /// # Errors
    /// Their sum overflows.
    pub fn new(weights: impl IntoIterator<Item = u64>) -> Result<Self, WeightOverflow> {
        let mut heap: Vec<_> = weights
            .into_iter()
            .enumerate()
            .map(|(index, weight)| Element { weight, cumulative: weight, index })
            .collect();
        let total = heap
            .iter()
            .try_fold(0_u64, |sum, element| sum.checked_add(element.weight))
            .ok_or(WeightOverflow)?;
        heap.sort_unstable_by_key(|element| (Reverse(element.weight), element.index));
        for child in (1..heap.len()).rev() {
            let cumulative = heap[child].cumulative;
            heap[(child - 1) >> 1].cumulative += cumulative; // bounded by the total
        }
        Ok(Self { heap, total })
    }

    /// The sum of all weights.
    #[must_use]
    pub const fn total_weight(&self) -> u64 {
        self.total
    }

    /// Draws `count` indices; None when there are fewer weight units.
    pub fn sample(&self, source: &mut impl Source, count: usize) -> Option<Vec<usize>> {
        let mut units = UniformReplacer { length: self.total, ..UniformReplacer::default() };
        (0..count).map(|_| units.next(source).and_then(|unit| self.owner_of(unit))).collect()
    }

    /// The index that owns a weight unit, in the order of the heap.
    fn owner_of(&self, mut unit: u64) -> Option<usize> {
        let mut at = 0;
        loop {
            let element = self.heap.get(at)?;
            if unit < element.weight {
                return Some(element.index);
            }
            unit -= element.weight;
            at = at * 2 + 1;
            let left = self.heap.get(at)?.cumulative;
            if left <= unit {
                unit -= left;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Mt19937;

    #[test]
    fn sampling_everything_draws_each_unit_once() {
        let weights = [3, 0, 5, 1];
        let sampler = WeightedSampler::new(weights).unwrap();
        let drawn = sampler.sample(&mut Mt19937::new(1), 9).unwrap();
        for (index, weight) in weights.into_iter().enumerate() {
            assert_eq!(
                drawn.iter().filter(|found| **found == index).count(),
                usize::try_from(weight).unwrap()
            );
        }
        assert_eq!(sampler.sample(&mut Mt19937::new(1), 10), None);
    }

    #[test]
    fn overflowing_weights_are_refused() {
        assert_eq!(WeightedSampler::new([u64::MAX, 1]).err(), Some(WeightOverflow));
    }
}
