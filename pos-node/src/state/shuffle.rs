//! Drawing committees and proposers: the swap-or-not shuffle and stake-weighted sampling. Mirrors
//! `compute_shuffled_index`, `compute_committee` of `specs/phase0/beacon-chain.md` and `compute_proposer_index` of
//! `specs/electra/beacon-chain.md`.

use crate::types::{primitives::ValidatorIndex, ssz::sha256};

/// Largest random number that a candidate's effective balance is compared with.
const MAX_RANDOM_VALUE: u128 = u16::MAX as u128;
/// Most blocks of 256 positions whose hashes are kept while positions are drawn.
const MAX_SHARED_BLOCKS: usize = 256;

/// Where the shuffle of `count` items sends position `index`; `None` when there is no such position.
#[must_use]
pub fn shuffled_index(index: usize, count: usize, seed: &[u8; 32], rounds: u64) -> Option<usize> {
    if index >= count {
        return None;
    }
    let mut index = index;
    for round in rounds_of(rounds) {
        let flip = (pivot(seed, round, count).checked_add(count)?.checked_sub(index)?) % count;
        let position = index.max(flip);
        if source_bit(&source(seed, round, position), position) {
            index = flip;
        }
    }
    Some(index)
}

/// A shuffle of which several single positions are asked: hashes that they share are computed once.
struct Positions<'a> {
    seed: &'a [u8; 32],
    count: usize,
    pivots: Vec<usize>,
    /// Hashes by round and block of 256 positions; empty when there are so many blocks that few would be used twice.
    sources: Vec<Option<[u8; 32]>>,
}

impl<'a> Positions<'a> {
    fn new(count: usize, seed: &'a [u8; 32], rounds: u64) -> Self {
        let pivots: Vec<usize> = rounds_of(rounds).map(|round| pivot(seed, round, count)).collect();
        let blocks = count.div_ceil(256);
        let kept = if blocks <= MAX_SHARED_BLOCKS { blocks.saturating_mul(pivots.len()) } else { 0 };
        Self { seed, count, pivots, sources: vec![None; kept] }
    }

    /// As [`shuffled_index`].
    fn at(&mut self, index: usize) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        let blocks = self.count.div_ceil(256);
        let mut index = index;
        for (round, pivot) in (0u8..).zip(&self.pivots) {
            let flip = (pivot.checked_add(self.count)?.checked_sub(index)?) % self.count;
            let position = index.max(flip);
            let source = match self.sources.get_mut(usize::from(round) * blocks + position / 256) {
                Some(kept) => *kept.get_or_insert_with(|| source(self.seed, round, position)),
                None => source(self.seed, round, position),
            };
            if source_bit(&source, position) {
                index = flip;
            }
        }
        Some(index)
    }
}

/// Shuffles a whole list: the item at `i` of the result is the one at `shuffled_index(i)` of the input. One hash per
/// 256 items and round instead of one per item.
pub fn shuffle<T>(items: &mut [T], seed: &[u8; 32], rounds: u64) {
    let count = items.len();
    if count < 2 {
        return;
    }
    for round in rounds_of(rounds).rev() {
        let pivot = pivot(seed, round, count);
        swap_mirrored(items, 0, pivot, seed, round);
        swap_mirrored(items, pivot + 1, count - 1, seed, round);
    }
}

/// One round on the positions `first..=last`, each paired with its mirror image.
fn swap_mirrored<T>(items: &mut [T], first: usize, last: usize, seed: &[u8; 32], round: u8) {
    let mut block = None;
    let (mut low, mut high) = (first, last);
    while low < high {
        let bits = match block {
            Some((number, bits)) if number == high / 256 => bits,
            _ => {
                let bits = source(seed, round, high);
                block = Some((high / 256, bits));
                bits
            }
        };
        if source_bit(&bits, high) {
            items.swap(low, high);
        }
        low += 1;
        high -= 1;
    }
}

/// Bounds of slice `index` when `len` items are split evenly into `count` slices.
#[must_use]
pub const fn committee_bounds(len: usize, index: usize, count: usize) -> (usize, usize) {
    (len * index / count, len * (index + 1) / count)
}

/// Draws one of `indices` with probability proportional to its effective balance; `None` when there is none to draw.
#[must_use]
pub fn proposer_index(
    indices: &[ValidatorIndex],
    effective_balance: impl Fn(ValidatorIndex) -> u64,
    seed: &[u8; 32],
    rounds: u64,
    max_effective_balance: u64,
) -> Option<ValidatorIndex> {
    if indices.iter().all(|index| effective_balance(*index) == 0) {
        return None;
    }
    let mut positions = Positions::new(indices.len(), seed, rounds);
    let mut random = [0; 32];
    for draw in 0usize.. {
        let offset = draw % 16;
        if offset == 0 {
            let block = u64::try_from(draw / 16).ok()?;
            random = sha256(&[seed.as_slice(), &block.to_le_bytes()].concat());
        }
        let at = positions.at(draw % indices.len())?;
        let candidate = *indices.get(at)?;
        let value = random.as_chunks::<2>().0.get(offset).map(|pair| u16::from_le_bytes(*pair))?;
        if u128::from(effective_balance(candidate)) * MAX_RANDOM_VALUE
            >= u128::from(max_effective_balance) * u128::from(value)
        {
            return Some(candidate);
        }
    }
    None
}

fn rounds_of(rounds: u64) -> std::ops::Range<u8> {
    0..u8::try_from(rounds).unwrap_or(u8::MAX)
}

fn pivot(seed: &[u8; 32], round: u8, count: usize) -> usize {
    let mut input = [0; 33];
    for (to, from) in input.iter_mut().zip(seed.iter().chain([&round])) {
        *to = *from;
    }
    let digest = sha256(&input);
    let number = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    number.checked_rem(count).and_then(|pivot| usize::try_from(pivot).ok()).unwrap_or(0)
}

fn source(seed: &[u8; 32], round: u8, position: usize) -> [u8; 32] {
    let block = u32::try_from(position / 256).expect("registries are far below 2^40 validators");
    let mut input = [0; 37];
    for (to, from) in input.iter_mut().zip(seed.iter().chain([&round]).chain(&block.to_le_bytes())) {
        *to = *from;
    }
    sha256(&input)
}

fn source_bit(source: &[u8; 32], position: usize) -> bool {
    source.get(position % 256 / 8).is_some_and(|byte| byte >> (position % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn whole_lists_and_several_positions_are_shuffled_as_single_ones(
            count in 0usize..700,
            seed in any::<[u8; 32]>(),
            rounds in 0u64..91,
        ) {
            let mut list: Vec<usize> = (0..count).collect();
            shuffle(&mut list, &seed, rounds);
            let single: Vec<_> =
                (0..count).filter_map(|at| shuffled_index(at, count, &seed, rounds)).collect();
            prop_assert_eq!(&list, &single);
            let mut positions = Positions::new(count, &seed, rounds);
            let shared: Vec<_> = (0..count).filter_map(|at| positions.at(at)).collect();
            prop_assert_eq!(shared, single);
        }
    }

    #[test]
    fn nobody_is_drawn_from_nobody_or_from_validators_without_stake() {
        assert_eq!(proposer_index(&[], |_| 1, &[0; 32], 10, 32), None);
        assert_eq!(proposer_index(&[1, 2], |_| 0, &[0; 32], 10, 32), None);
    }
}
