//! Does a proof of work commit to our chain? Fork-detection data names seven Bitcoin hashes of the chain that its miner
//! built on, 64 heights apart. Data of a block that we do not have, and whose bytes differ from our chain's, was mined on
//! another branch: one that nobody shows us. How to read such data is RSKIP-110; whether to be alarmed is decided here.

use crate::types::{BlockNumber, ForkDetectionData};

const JUMP: u64 = 64;
const COMMITMENTS: usize = 7;
/// Branches of honest miners are shorter: the reference's network has not seen longer ones.
pub const ALARMING: u64 = 10;

/// What fork-detection data says about our chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Every commitment that can be compared is to our chain.
    Agrees,
    /// No commitment is to a height that we have.
    Unknown,
    /// The branch left our chain at or below a height.
    Departs {
        /// Height of the data's block.
        number: BlockNumber,
        /// The lowest height whose commitment is to another block.
        at: BlockNumber,
    },
}

impl Comparison {
    /// Blocks that the branch has for certain since it left our chain.
    #[must_use]
    pub fn length(self) -> u64 {
        match self {
            Self::Departs { number, at } => number.0.saturating_sub(at.0).saturating_add(1),
            Self::Agrees | Self::Unknown => 0,
        }
    }

    /// True for a branch too long to be an accident.
    #[must_use]
    pub fn is_alarming(self) -> bool {
        self.length() > ALARMING
    }
}

/// Height of the block that the data belongs to: it holds the lower 32 bits.
#[must_use]
pub fn number_of(data: &ForkDetectionData) -> BlockNumber {
    let bytes = data.last_chunk::<4>().copied().unwrap_or_default();
    BlockNumber(u32::from_be_bytes(bytes).into())
}

/// Compares the data of a block with our chain. `byte_at` is what data would say of a height of ours
/// ([`super::fork_detection::Mark::bitcoin_hash_byte`]), `None` above the tip.
pub fn compare(data: &ForkDetectionData, byte_at: impl Fn(BlockNumber) -> Option<u8>) -> Comparison {
    let number = number_of(data);
    let newest = number.0.saturating_sub(1) / JUMP * JUMP;
    let heights = std::iter::successors(Some(newest), |height| height.checked_sub(JUMP));
    let (mut compared, mut lowest_wrong) = (false, None);
    for (byte, height) in data.iter().take(COMMITMENTS).zip(heights) {
        let Some(ours) = byte_at(BlockNumber(height)) else { continue };
        compared = true;
        if ours != *byte {
            lowest_wrong = Some(BlockNumber(height));
        }
    }
    match lowest_wrong {
        Some(at) => Comparison::Departs { number, at },
        None if compared => Comparison::Agrees,
        None => Comparison::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{ForkWindow, fork_detection::Mark};

    fn byte(number: u64) -> u8 {
        u8::try_from(number % 251).unwrap()
    }

    /// Data of the block above `best`, mined on a branch that left ours at `fork` (or never).
    fn data(best: u64, fork: u64) -> ForkDetectionData {
        let mark = |number: u64| {
            let byte = if number >= fork { byte(number) ^ 0xff } else { byte(number) };
            Mark { bitcoin_hash_byte: byte, uncle_count: 0 }
        };
        ForkWindow::new(BlockNumber(best), (1..=best).map(mark)).expected().unwrap()
    }

    fn against(tip: u64, data: &ForkDetectionData) -> Comparison {
        compare(data, |number| (number.0 <= tip).then(|| byte(number.0)))
    }

    #[test]
    fn data_of_our_own_chain_agrees_also_when_it_is_ahead_of_us() {
        for best in [449, 1000, 1023, 1024, 1087] {
            assert_eq!(against(1000, &data(best, u64::MAX)), Comparison::Agrees, "{best}");
        }
        assert_eq!(against(100, &data(1000, u64::MAX)), Comparison::Unknown);
    }

    #[test]
    fn a_branch_is_as_long_as_its_lowest_commitment_proves() {
        let found = against(1000, &data(1000, 700));
        assert_eq!(found, Comparison::Departs { number: BlockNumber(1001), at: BlockNumber(704) });
        assert!(found.is_alarming() && found.length() == 298);
        let natural = against(1000, &data(961, 960));
        assert!(!natural.is_alarming() && natural.length() == 3, "{natural:?}");
        assert_eq!(
            against(1000, &data(1000, 999)),
            Comparison::Agrees,
            "nothing commits to the newest blocks"
        );
    }
}
