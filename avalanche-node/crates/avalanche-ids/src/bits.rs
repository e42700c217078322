//! Bits of an id, counted from the least significant bit of each byte: the order in which the consensus tree decides.
//! Mirrors `ids/bits.go`.

use crate::{ID_LEN, Id};

/// Bits of an id.
pub const NUM_BITS: usize = ID_LEN * 8;

const WORDS: usize = 4;

impl Id {
    /// Bit `index`; false from [`NUM_BITS`] on.
    #[must_use]
    pub fn bit(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| (byte >> (index % 8)) & 1 == 1)
    }

    fn words(&self) -> [u64; WORDS] {
        let (chunks, _) = self.0.as_chunks::<8>();
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        words
    }
}

/// First bit in `start..stop` at which the ids differ. None when they agree there, the range is empty, or it goes
/// beyond [`NUM_BITS`].
#[must_use]
pub fn first_difference(start: usize, stop: usize, left: &Id, right: &Id) -> Option<usize> {
    if start >= stop || stop > NUM_BITS {
        return None;
    }
    let (left, right) = (left.words(), right.words());
    for (index, (a, b)) in left.into_iter().zip(right).enumerate().skip(start / 64) {
        let base = index * 64;
        let mask = if start > base { u64::MAX << (start - base) } else { u64::MAX };
        let differing = (a ^ b) & mask;
        if differing != 0 {
            let found = base + usize::try_from(differing.trailing_zeros()).unwrap_or(NUM_BITS);
            return (found < stop).then_some(found);
        }
    }
    None
}

/// True when the ids agree on the bits `start..stop`; an empty range agrees, a range beyond [`NUM_BITS`] does not.
#[must_use]
pub fn equal_subset(start: usize, stop: usize, left: &Id, right: &Id) -> bool {
    start >= stop || (stop <= NUM_BITS && first_difference(start, stop, left, right).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_bit_by_bit_in_every_range() {
        let base = Id([0b1010_0101; 32]);
        for flipped in 0..NUM_BITS {
            let mut other = base;
            other.0[flipped / 8] ^= 1 << (flipped % 8);
            for (start, stop) in [(0, 256), (flipped, flipped + 1), (flipped / 2, 256), (0, flipped + 1)] {
                assert_eq!(first_difference(start, stop, &base, &other), Some(flipped));
                assert!(!equal_subset(start, stop, &base, &other));
            }
            assert_eq!(first_difference(flipped + 1, 256, &base, &other), None);
            assert!(equal_subset(0, flipped, &base, &other));
            assert_ne!(base.bit(flipped), other.bit(flipped));
        }
        assert!(equal_subset(5, 5, &base, &Id::EMPTY));
        assert!(!equal_subset(0, 257, &base, &base));
    }
}
