//! The difficulty that a header must state, and the target that a difficulty stands for.
//!
//! Mirrors `co/rsk/core/DifficultyCalculator.java` and `co/rsk/util/DifficultyUtils.java`.

use ruint::{Uint, aliases::U256};

use crate::{
    params::{Params, Rskip},
    types::{BlockNumber, Difficulty, Timestamp},
};

/// What the difficulty of a header depends on besides its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Height of the header.
    pub number: BlockNumber,
    /// Time of the header.
    pub timestamp: Timestamp,
    /// Uncles that the header names.
    pub uncle_count: u32,
}

/// Seconds without a block after which the difficulty falls to the minimum, until RSKIP-97.
const RESET_SECONDS: i64 = 600;

/// The difficulty that the child of a parent with this difficulty and time must state.
#[must_use]
pub fn expected(params: &Params, parent: Difficulty, parent_time: Timestamp, child: &Child) -> Difficulty {
    let minimum = params.minimum_difficulty_at(child.number);
    let (time, parent_time) = (child.timestamp.signed(), parent_time.signed());
    if !params.is_active(Rskip::R97, child.number) && time >= parent_time.wrapping_add(RESET_SECONDS) {
        return minimum;
    }
    let delta = time.wrapping_sub(parent_time);
    // 32-bit arithmetic that wraps, as the reference computes it.
    let uncles = i32::from_ne_bytes(child.uncle_count.to_ne_bytes());
    let interval = i64::from(uncles.wrapping_add(1).wrapping_mul(params.block_interval));
    if delta < 0 || interval == delta {
        return parent;
    }
    let step = quotient(parent.0, params.difficulty_divisor_at(child.number));
    let moved = if interval > delta { parent.0.saturating_add(step) } else { parent.0.saturating_sub(step) };
    Difficulty(minimum.0.max(moved))
}

fn quotient(value: U256, divisor: u64) -> U256 {
    match u128::try_from(value) {
        Ok(small) => U256::from(small / u128::from(divisor)),
        Err(_) => value / U256::from(divisor),
    }
}

/// Is a hash, taken as a little-endian number, at most 2^256 / max(difficulty, 3)?
#[must_use]
pub fn meets_target(hash: &[u8; 32], difficulty: Difficulty) -> bool {
    let hash = U256::from_le_bytes(*hash);
    let difficulty = difficulty.0.max(U256::from(3));
    // hash <= floor(2^256 / difficulty) exactly when hash * difficulty <= 2^256
    let product: Uint<512, 8> = hash.widening_mul(difficulty);
    product <= Uint::<512, 8>::from(1) << 256
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn difficulties_below_three_count_as_three() {
        let third = (U256::MAX / U256::from(3)).to_le_bytes::<32>(); // (2^256 - 1) / 3 is 2^256 / 3 rounded down
        let above = (U256::MAX / U256::from(3) + U256::from(1)).to_le_bytes::<32>();
        for difficulty in [0, 1, 2, 3] {
            assert!(meets_target(&third, Difficulty::from_u64(difficulty)));
            assert!(!meets_target(&above, Difficulty::from_u64(difficulty)));
        }
    }

    #[test]
    fn the_dividend_is_two_to_the_256_not_one_less() {
        let half = U256::from(1_u64).wrapping_shl(254).to_le_bytes::<32>();
        assert!(meets_target(&half, Difficulty::from_u64(4)));
    }

    proptest! {
        #[test]
        fn the_product_test_equals_the_division(hash in any::<[u8; 32]>(), difficulty in 3_u64.., shift in 0_usize..256) {
            let hash = (U256::from_le_bytes(hash) >> shift).to_le_bytes::<32>();
            let target: Uint<512, 8> = (Uint::<512, 8>::from(1) << 256) / Uint::<512, 8>::from(difficulty);
            let by_division = Uint::<512, 8>::from(U256::from_le_bytes(hash)) <= target;
            prop_assert_eq!(meets_target(&hash, Difficulty::from_u64(difficulty)), by_division);
        }
    }
}
