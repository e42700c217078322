//! Which blocks can hardly be undone, judged by Bitcoin work: every block of the network is merged-mined, so the
//! difficulty of the blocks above a block is the number of Bitcoin hashes that an attacker would have to spend again.
//!
//! Work is counted in units of the hardest block of the stretch above, so a difficulty that is being driven down (late
//! timestamps lower it by a 400th a block) does not make blocks settle sooner: such a stretch sums up to 400 of its
//! hardest block at most. The reference has no such tags; its bridge waits for a number of blocks.

use crate::types::{BlockNumber, Difficulty};

/// How much work, in blocks of the greatest difficulty, must lie above a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// For the tag `safe`.
    pub safe: u64,
    /// For the tag `finalized`.
    pub finalized: u64,
}

/// The highest blocks that enough work lies above; genesis, or the lowest known block, while there is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The tag `safe`.
    pub safe: BlockNumber,
    /// The tag `finalized`.
    pub finalized: BlockNumber,
    /// Hashes that lie above the finalized block.
    pub work: Difficulty,
}

/// A stretch is not looked at further down than so many times the blocks that equal difficulty would need.
const PATIENCE: u64 = 4;

/// Walks down a chain. `descending` are heights and total difficulties from the best block on; `None` when it is empty.
pub fn settle(
    descending: impl IntoIterator<Item = (BlockNumber, Difficulty)>,
    thresholds: Thresholds,
) -> Option<Settled> {
    let mut blocks = descending.into_iter();
    let (tip, tip_total) = blocks.next()?;
    let most = thresholds.finalized.max(thresholds.safe).saturating_mul(PATIENCE);
    let (mut hardest, mut above, mut last) = (Difficulty::ZERO, tip_total, tip);
    let mut safe = (thresholds.safe == 0).then_some(tip);
    let work = |total: Difficulty| Difficulty(tip_total.0.saturating_sub(total.0));
    let enough = |total: Difficulty, hardest: Difficulty, units: u64| {
        let needed = Difficulty::from_u64(units).0.saturating_mul(hardest.0);
        work(total).0 >= needed
    };
    for (number, total) in blocks {
        // What the block above added.
        hardest = hardest.max(Difficulty(above.0.saturating_sub(total.0)));
        (above, last) = (total, number);
        if safe.is_none() && enough(total, hardest, thresholds.safe) {
            safe = Some(number);
        }
        if let Some(safe) = safe
            && enough(total, hardest, thresholds.finalized)
        {
            return Some(Settled { safe, finalized: number, work: work(total) });
        }
        if tip.0.saturating_sub(number.0) >= most {
            return Some(Settled {
                safe: safe.unwrap_or_default(),
                finalized: BlockNumber(0),
                work: work(total),
            });
        }
    }
    Some(Settled { safe: safe.unwrap_or(last), finalized: last, work: work(above) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { safe: 10, finalized: 100 };

    /// A chain whose blocks have these difficulties from height 1 on.
    fn chain(difficulties: &[u64]) -> Vec<(BlockNumber, Difficulty)> {
        let mut total = Difficulty::from_u64(1);
        let mut blocks = vec![(BlockNumber(0), total)];
        for (number, difficulty) in (1..).zip(difficulties) {
            total = total.checked_add(Difficulty::from_u64(*difficulty)).unwrap();
            blocks.push((BlockNumber(number), total));
        }
        blocks.reverse();
        blocks
    }

    fn heights(difficulties: &[u64]) -> (u64, u64) {
        let settled = settle(chain(difficulties), THRESHOLDS).unwrap();
        (settled.safe.0, settled.finalized.0)
    }

    #[test]
    fn at_equal_difficulty_work_counts_blocks() {
        assert_eq!(heights(&[7; 1000]), (990, 900));
        assert_eq!(heights(&[7; 50]), (40, 0));
        assert_eq!(heights(&[]), (0, 0));
        assert_eq!(settle([], THRESHOLDS), None);
    }

    #[test]
    fn a_difficulty_that_is_driven_down_settles_nothing_sooner() {
        let mut difficulties = vec![1_000_000; 2000];
        let falling = std::iter::successors(Some(997_500), |difficulty: &u64| Some(difficulty * 399 / 400));
        difficulties.extend(falling.take(3000));
        let settled = settle(chain(&difficulties), Thresholds { safe: 100, finalized: 1000 }).unwrap();
        assert!(settled.safe.0 < 4900, "{settled:?}");
        // The 3,000 blocks are worth 400 of the first: 600 more are wanted, all below the fall.
        assert!((1395..1403).contains(&settled.finalized.0), "{settled:?}");
        let mut hard_at_last = vec![1; 200];
        hard_at_last.extend([1000; 10]);
        assert_eq!(heights(&hard_at_last).0, 200);
    }

    #[test]
    fn only_the_stretch_above_is_looked_at_and_not_without_end() {
        let mut difficulties = vec![1_000_000];
        difficulties.extend([1; 5000]);
        assert_eq!(heights(&difficulties), (4991, 4901));
        difficulties.push(1_000_000);
        assert_eq!(heights(&difficulties), (0, 0));
    }
}
