//! The staking reward. Mirrors `vms/platformvm/reward`; the order of the divisions is consensus.

use avalanche_utils::upgrade::Fork;
use ruint::aliases::U512;

/// Denominator of all shares and rates.
pub const PERCENT_DENOMINATOR: u64 = 1_000_000;

const NANOS: u64 = 1_000_000_000;
/// Lowest rate that ACP-285 moves to, in millionths.
const HELICON_MIN_CONSUMPTION_RATE: u64 = 75_000;
/// Time in which it moves there, in nanoseconds.
const HELICON_REDUCTION_PERIOD: u64 = 90 * 24 * 3600 * NANOS;

/// Parameters of a network's or subnet's rewards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Rate of a stake over the whole minting period, in millionths.
    pub max_consumption_rate: u64,
    /// Rate of the shortest stake, in millionths.
    pub min_consumption_rate: u64,
    /// Longest stake, in nanoseconds.
    pub minting_period: u64,
    /// Units that can ever be.
    pub supply_cap: u64,
}

impl Config {
    /// The primary network's, on every network.
    #[must_use]
    pub const fn primary_network() -> Self {
        Self {
            max_consumption_rate: 120_000,
            min_consumption_rate: 100_000,
            minting_period: 365 * 24 * 3600 * NANOS,
            supply_cap: 720_000_000_000_000_000,
        }
    }

    /// The reward of `amount` staked for `duration` nanoseconds when `supply` units exist. Configurations have a
    /// minting period and chains a supply; without one of them the result is the remaining supply.
    #[must_use]
    pub fn calculate(&self, duration: u64, amount: u64, supply: u64) -> u64 {
        let big = |value: u64| U512::from(value);
        let remaining = self.supply_cap.wrapping_sub(supply);
        let (duration, period) = (big(duration), big(self.minting_period));
        let spread = big(self.max_consumption_rate.wrapping_sub(self.min_consumption_rate));
        let rate = spread * duration + big(self.min_consumption_rate) * period;
        (big(remaining) * rate * big(amount) * duration)
            .checked_div(period * big(PERCENT_DENOMINATOR))
            .and_then(|reward| reward.checked_div(big(supply)))
            .and_then(|reward| reward.checked_div(period))
            .and_then(|reward| u64::try_from(reward).ok())
            .map_or(remaining, |reward| reward.min(remaining))
    }

    /// The reward for a stake of whole seconds; see [`Config::calculate`].
    #[must_use]
    pub fn calculate_seconds(&self, seconds: u64, amount: u64, supply: u64) -> u64 {
        self.calculate(seconds.saturating_mul(NANOS), amount, supply)
    }

    /// The configuration of a network for a primary network stake that starts at `start`, Unix seconds.
    #[must_use]
    pub fn for_primary(config: &crate::config::Config, start: u64) -> Self {
        let helicon = u64::try_from(config.upgrades.time(Fork::Helicon)).unwrap_or(0);
        config.staking.rewards.at_stake_start(start.saturating_mul(NANOS), helicon.checked_mul(NANOS))
    }

    /// The configuration for a primary network stake that starts at `start`, both in nanoseconds since the epoch
    /// (ACP-285). `helicon` is None where the upgrade is not scheduled.
    #[must_use]
    pub fn at_stake_start(self, start: u64, helicon: Option<u64>) -> Self {
        let Some(elapsed) = helicon.and_then(|helicon| start.checked_sub(helicon)) else { return self };
        let (min, target) = (self.min_consumption_rate, HELICON_MIN_CONSUMPTION_RATE);
        if min == target || self.max_consumption_rate < target {
            return self;
        }
        let full = min.abs_diff(target);
        let change = if elapsed < HELICON_REDUCTION_PERIOD {
            let ramped = u128::from(full) * u128::from(elapsed) / u128::from(HELICON_REDUCTION_PERIOD);
            u64::try_from(ramped).unwrap_or(full)
        } else {
            full
        };
        let min_consumption_rate = if min < target { min + change } else { min - change };
        Self { min_consumption_rate, ..self }
    }
}

/// Splits an amount: the part of `shares` millionths (at most all of them), rounded up, and the rest.
#[must_use]
pub fn split(total: u64, shares: u32) -> (u64, u64) {
    let rest_shares = PERCENT_DENOMINATOR.saturating_sub(u64::from(shares));
    let rest = match rest_shares.checked_mul(total) {
        Some(product) => product / PERCENT_DENOMINATOR,
        None => rest_shares * (total / PERCENT_DENOMINATOR),
    };
    (total - rest, rest)
}
