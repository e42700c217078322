//! Fork-detection data (RSKIP-110): 12 bytes by which a miner commits to the 449 headers below its block.
//!
//! Mirrors `co/rsk/mine/ForkDetectionDataCalculator.java`.

use std::collections::VecDeque;

use crate::{
    codec::sha256::sha256d_header,
    params::FORK_DETECTION_WINDOW,
    types::{BlockNumber, ForkDetectionData, Header},
};

const JUMP: u64 = 64;
const UNCLE_BLOCKS: usize = 32;

/// What the fork-detection data needs to know of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Last byte of the Bitcoin header's hash as displayed.
    pub bitcoin_hash_byte: u8,
    /// Uncles that the header names.
    pub uncle_count: u32,
}

impl Mark {
    /// The mark of a header that was verified before. A header without a Bitcoin header (genesis, or signed below
    /// orchid) has none, and never comes into a window that is looked at.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let hash: Result<&[u8; 80], _> = header.bitcoin_header().try_into();
        let [bitcoin_hash_byte, ..] = hash.map(sha256d_header).unwrap_or_default();
        Self { bitcoin_hash_byte, uncle_count: header.fields().uncle_count }
    }
}

/// The marks of the newest headers of a branch, up to 449 of them. It moves with the tip; on a reorganisation and at
/// start it is read anew from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkWindow {
    best: BlockNumber,
    marks: VecDeque<Mark>,
}

impl ForkWindow {
    /// A window that ends at `best`; `marks` are in ascending order and end with the mark of `best`.
    #[must_use]
    pub fn new(best: BlockNumber, marks: impl IntoIterator<Item = Mark>) -> Self {
        let mut window = Self { best, marks: marks.into_iter().collect() };
        while window.marks.len() > Self::capacity() {
            window.marks.pop_front();
        }
        window
    }

    /// Appends the header above the present end.
    pub fn push(&mut self, mark: Mark) {
        self.best = BlockNumber(self.best.0.saturating_add(1));
        if self.marks.len() >= Self::capacity() {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// The height at which the window ends.
    #[must_use]
    pub fn best(&self) -> BlockNumber {
        self.best
    }

    /// True when it holds enough headers for [`ForkWindow::expected`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.marks.len() >= Self::capacity()
    }

    /// The data that the header above `best` must carry: a byte of seven Bitcoin hashes 64 heights apart, the sum of
    /// the last 32 uncle counts, the height. `None` while the window is not full, or when the reference cannot
    /// compute it either (an uncle count sum that wraps to a negative number).
    #[must_use]
    pub fn expected(&self) -> Option<ForkDetectionData> {
        if !self.is_full() {
            return None;
        }
        let newest_first = |depth: usize| self.marks.iter().rev().nth(depth).copied();
        let mut data = ForkDetectionData::default();
        let (commitments, rest) = data.split_at_mut(7);
        let mut depth = usize::try_from(self.best.0 % JUMP).ok()?;
        for byte in commitments {
            *byte = newest_first(depth)?.bitcoin_hash_byte;
            depth = depth.checked_add(usize::try_from(JUMP).ok()?)?;
        }
        let uncles =
            self.marks.iter().rev().take(UNCLE_BLOCKS).fold(0_i32, |sum, mark| {
                sum.wrapping_add(i32::from_ne_bytes(mark.uncle_count.to_ne_bytes()))
            });
        let uncles = u8::try_from(uncles.min(i32::from(u8::MAX))).ok()?;
        let number = self.best.0.wrapping_add(1).to_be_bytes();
        let (uncle_byte, number_bytes) = rest.split_first_mut()?;
        *uncle_byte = uncles;
        number_bytes.copy_from_slice(number.last_chunk::<4>()?);
        Some(data)
    }

    fn capacity() -> usize {
        usize::try_from(FORK_DETECTION_WINDOW).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64) -> Mark {
        Mark { bitcoin_hash_byte: u8::try_from(number % 251).unwrap(), uncle_count: 1 }
    }

    #[test]
    fn data_names_seven_hashes_the_uncles_and_the_height() {
        let window = ForkWindow::new(BlockNumber(1000), (1..=1000).map(mark));
        // 1000 / 64 * 64 = 960, then every 64 below
        let expected = [960, 896, 832, 768, 704, 640, 576].map(|number| mark(number).bitcoin_hash_byte);
        let data = window.expected().unwrap();
        assert_eq!(data[..7], expected);
        assert_eq!(data[7..], [32, 0, 0, 3, 233]);
    }

    #[test]
    fn pushing_equals_building_anew() {
        let mut window = ForkWindow::new(BlockNumber(448), (1..=448).map(mark));
        assert_eq!(window.expected(), None);
        for number in 449..=1100 {
            window.push(mark(number));
            let anew = ForkWindow::new(BlockNumber(number), (number - 448..=number).map(mark));
            assert_eq!(window, anew);
        }
    }

    #[test]
    fn many_uncles_saturate_and_a_negative_sum_has_no_data() {
        let of = |uncle_count| {
            ForkWindow::new(BlockNumber(449), [Mark { bitcoin_hash_byte: 0, uncle_count }; 449])
        };
        assert_eq!(of(10).expected().map(|data| data[7]), Some(255));
        assert_eq!(of(1 << 26).expected(), None);
    }
}
