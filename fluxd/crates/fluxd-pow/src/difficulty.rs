//! The target of the next PoW block: Digishield, LWMA, LWMA3, the reset after the first fork and the ramp after the
//! second. Mirrors `GetNextWorkRequired` in `src/pow.cpp`, with its 256-bit arithmetic that wraps.

use fluxd_primitives::{CompactTarget, U256};

/// Blocks that LWMA and LWMA3 average over.
const LWMA_WINDOW: i64 = 60;
/// Blocks that Digishield averages over.
const DIGISHIELD_WINDOW: i64 = 17;
/// Blocks whose median makes the median time past.
const MEDIAN_SPAN: usize = 11;
/// Blocks at the end of the history that the rules may look at.
pub const HISTORY: usize = 61;
/// Largest step back in time that LWMA counts, in seconds.
const LWMA_BACKWARD_LIMIT: i64 = 360;
/// Blocks after the end of the first fade that keep the easiest target.
const RESET_BLOCKS: i64 = 61;
/// Blocks after the end of the second fade that ramp towards LWMA3.
const RAMP_BLOCKS: i64 = 64;
/// The ramp adds this many thirty-second parts of the target at its start; it counts down past zero.
const RAMP_STEPS: i64 = 61;

/// What a network says about proof-of-work targets. Heights are `None` where the network has no such fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowRules {
    /// The easiest target.
    pub limit: U256,
    /// Seconds between blocks.
    pub spacing: i64,
    /// Largest change of Digishield's window downwards, in percent.
    pub max_adjust_down: i64,
    /// Largest change of Digishield's window upwards, in percent.
    pub max_adjust_up: i64,
    /// From this parent height on, a block that comes later than twice the spacing may have the easiest target.
    pub min_difficulty_after: Option<u32>,
    /// First height of LWMA.
    pub lwma: Option<u32>,
    /// First height of LWMA3.
    pub lwma3: Option<u32>,
    /// Last height at which the first parameters fade out.
    pub first_fade_end: Option<u32>,
    /// Last height at which the second parameters fade out.
    pub second_fade_end: Option<u32>,
}

/// What the rules read of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFacts {
    /// Header time.
    pub time: u32,
    /// Header target.
    pub bits: CompactTarget,
}

/// The end of a chain: its last blocks, oldest first. It must hold [`HISTORY`] blocks, or all there are.
#[derive(Debug, Clone, Copy)]
pub struct Recent<'a> {
    /// Height of the last block.
    pub height: u32,
    /// The blocks.
    pub blocks: &'a [BlockFacts],
}

impl PowRules {
    /// The target of the block after `recent` with header time `time`; `recent` is `None` for the genesis block.
    #[must_use]
    pub fn next_bits(&self, recent: Option<Recent<'_>>, time: u32) -> CompactTarget {
        let limit_bits = CompactTarget::from_value(self.limit);
        let Some(recent) = recent else {
            return limit_bits;
        };
        let height = i64::from(recent.height);
        if since(self.first_fade_end, height).is_some_and(|past| (0..RESET_BLOCKS).contains(&past)) {
            return limit_bits;
        }
        if let Some(past) = since(self.second_fade_end, height)
            && (0..RAMP_BLOCKS).contains(&past)
        {
            return self.ramp(recent, past);
        }
        if let (Some(from), Some(last)) = (self.min_difficulty_after, recent.blocks.last())
            && recent.height >= from
            && i64::from(time) > i64::from(last.time) + 2 * self.spacing
        {
            return limit_bits;
        }
        if height < DIGISHIELD_WINDOW {
            return limit_bits;
        }
        let next = height + 1;
        if self.lwma.is_none_or(|start| next < i64::from(start)) {
            self.digishield(recent)
        } else if self.lwma3.is_none_or(|start| next < i64::from(start)) {
            self.lwma(recent)
        } else {
            self.lwma3(recent)
        }
    }

    /// LWMA3 made easier by a number of steps that is unsigned in the reference: below zero it is huge.
    fn ramp(&self, recent: Recent<'_>, past: i64) -> CompactTarget {
        let base = self.lwma3(recent).value();
        let steps = wrapping_u32(RAMP_STEPS - past);
        let raised = base.wrapping_add((base >> 5_usize).wrapping_mul(U256::from(steps)));
        CompactTarget::from_value(raised.min(self.limit))
    }

    fn digishield(&self, recent: Recent<'_>) -> CompactTarget {
        let blocks = recent.blocks;
        let window = usize::try_from(DIGISHIELD_WINDOW).unwrap_or(usize::MAX);
        let Some(start) = blocks.len().checked_sub(window) else {
            return CompactTarget::from_value(self.limit);
        };
        let total = sum(blocks.iter().skip(start).map(|block| block.bits.value()));
        let average = divide(total, DIGISHIELD_WINDOW);

        let goal = DIGISHIELD_WINDOW * self.spacing;
        let seen = median_time(blocks) - median_time(blocks.get(..start).unwrap_or_default());
        let damped = goal + (seen - goal) / 4;
        let least = goal * (100 - self.max_adjust_up) / 100;
        let most = goal * (100 + self.max_adjust_down) / 100;
        let span = damped.max(least).min(most);
        let target = divide(average, goal).wrapping_mul(U256::from(wrapping_u32(span)));
        CompactTarget::from_value(target.min(self.limit))
    }

    fn lwma(&self, recent: Recent<'_>) -> CompactTarget {
        let weight_sum = self.weight_sum();
        let (mut weighted, mut targets) = (0_i64, U256::ZERO);
        for (weight, before, block) in window(recent.blocks) {
            let seen = i64::from(block.time) - i64::from(before.time);
            let solve_time = seen.min(6 * self.spacing).max(-LWMA_BACKWARD_LIMIT);
            weighted += solve_time * weight;
            targets = targets.wrapping_add(divide(block.bits.value(), weight_sum * LWMA_WINDOW));
        }
        let weighted = weighted.max(weight_sum / 10);
        CompactTarget::from_value(multiply(targets, weighted).min(self.limit))
    }

    fn lwma3(&self, recent: Recent<'_>) -> CompactTarget {
        if i64::from(recent.height) < LWMA_WINDOW {
            return CompactTarget::from_value(self.limit);
        }
        let weight_sum = self.weight_sum();
        let (mut weighted, mut targets, mut last_target) = (0_i64, U256::ZERO, U256::ZERO);
        let mut last_time = window(recent.blocks).next().map_or(0, |(_, before, _)| i64::from(before.time));
        for (weight, _, block) in window(recent.blocks) {
            let time = i64::from(block.time).max(last_time + 1);
            weighted += (time - last_time).min(6 * self.spacing) * weight;
            last_time = time;
            last_target = block.bits.value();
            targets = targets.wrapping_add(divide(last_target, weight_sum * LWMA_WINDOW));
        }
        let most = divide(multiply(last_target, 150), 100);
        let least = divide(multiply(last_target, 67), 100);
        let target = multiply(targets, weighted).min(most).max(least).min(self.limit);
        CompactTarget::from_value(target)
    }

    fn weight_sum(&self) -> i64 {
        LWMA_WINDOW * (LWMA_WINDOW + 1) * self.spacing / 2
    }
}

/// The median time past: the middle of the last eleven header times.
#[must_use]
pub fn median_time(blocks: &[BlockFacts]) -> i64 {
    let mut times: Vec<u32> = blocks.iter().rev().take(MEDIAN_SPAN).map(|block| block.time).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().map_or(0, i64::from)
}

/// The last sixty blocks with their weights (1 for the oldest) and their parents.
fn window(blocks: &[BlockFacts]) -> impl Iterator<Item = (i64, &BlockFacts, &BlockFacts)> {
    let start = blocks.len().saturating_sub(HISTORY);
    let tail = blocks.get(start..).unwrap_or_default();
    tail.windows(2).zip(1..).filter_map(|(pair, weight)| match pair {
        [before, block] => Some((weight, before, block)),
        _ => None,
    })
}

fn since(end: Option<u32>, height: i64) -> Option<i64> {
    end.map(|end| height - i64::from(end))
}

fn sum(values: impl Iterator<Item = U256>) -> U256 {
    values.fold(U256::ZERO, |total, value| total.wrapping_add(value))
}

fn divide(value: U256, divisor: i64) -> U256 {
    value.checked_div(U256::from(divisor.unsigned_abs())).unwrap_or(U256::ZERO)
}

fn multiply(value: U256, factor: i64) -> U256 {
    value.wrapping_mul(U256::from(factor.unsigned_abs()))
}

/// The low 32 bits, as a signed number is passed where the reference takes an unsigned one.
fn wrapping_u32(value: i64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or_default()
}
