//! Gas: four dimensions of work merged by weights, a bucket of capacity, and a price exponential in the excess over the
//! target. Mirrors `vms/components/gas` (ACP-103).

use ruint::aliases::U256;

/// How much of each kind of work, or its weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dimensions {
    /// Bytes.
    pub bandwidth: u64,
    /// Database reads.
    pub db_read: u64,
    /// Database writes and deletions.
    pub db_write: u64,
    /// Microseconds of computation.
    pub compute: u64,
}

/// Gas does not fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("gas overflows")]
pub struct GasOverflow;

impl Dimensions {
    /// The order of the reference's array.
    #[must_use]
    pub const fn new(bandwidth: u64, db_read: u64, db_write: u64, compute: u64) -> Self {
        Self { bandwidth, db_read, db_write, compute }
    }

    /// The sum.
    ///
    /// # Errors
    /// A dimension overflows.
    pub fn checked_add(self, other: Self) -> Result<Self, GasOverflow> {
        let add = |a: u64, b: u64| a.checked_add(b).ok_or(GasOverflow);
        Ok(Self {
            bandwidth: add(self.bandwidth, other.bandwidth)?,
            db_read: add(self.db_read, other.db_read)?,
            db_write: add(self.db_write, other.db_write)?,
            compute: add(self.compute, other.compute)?,
        })
    }

    /// Gas under these weights.
    ///
    /// # Errors
    /// It overflows.
    pub fn to_gas(self, weights: Self) -> Result<u64, GasOverflow> {
        [
            (self.bandwidth, weights.bandwidth),
            (self.db_read, weights.db_read),
            (self.db_write, weights.db_write),
            (self.compute, weights.compute),
        ]
        .into_iter()
        .try_fold(0_u64, |sum, (amount, weight)| sum.checked_add(amount.checked_mul(weight)?))
        .ok_or(GasOverflow)
    }
}

/// Parameters of a chain's gas market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Weights of the dimensions.
    pub weights: Dimensions,
    /// Gas the bucket holds.
    pub max_capacity: u64,
    /// Gas that flows into the bucket each second.
    pub max_per_second: u64,
    /// Gas per second at which the price stays.
    pub target_per_second: u64,
    /// Lowest price of a unit, in nAVAX.
    pub min_price: u64,
    /// Excess that multiplies the price by e.
    pub excess_conversion_constant: u64,
}

impl Config {
    /// The P-chain's market since Etna, on every network.
    #[must_use]
    pub const fn p_chain() -> Self {
        Self {
            weights: Dimensions::new(1, 1_000, 1_000, 4),
            max_capacity: 1_000_000,
            max_per_second: 100_000,
            target_per_second: 50_000,
            min_price: 1,
            excess_conversion_constant: 2_164_043,
        }
    }

    /// Price of a unit at an excess.
    #[must_use]
    pub fn price(&self, excess: u64) -> u64 {
        price(self.min_price, excess, self.excess_conversion_constant)
    }
}

/// The bucket and the excess.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Gas that can be consumed now.
    pub capacity: u64,
    /// Gas consumed above the target so far.
    pub excess: u64,
}
avalanche_codec::wire_struct!(State { capacity, excess });

/// A block wants more gas than the bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("insufficient capacity ({capacity}) for gas ({gas})")]
pub struct InsufficientCapacity {
    /// What there is.
    pub capacity: u64,
    /// What was wanted.
    pub gas: u64,
}

impl State {
    /// The state `seconds` later.
    #[must_use]
    pub fn advance_time(self, config: &Config, seconds: u64) -> Self {
        Self {
            capacity: add_over_time(self.capacity, config.max_per_second, seconds).min(config.max_capacity),
            excess: sub_over_time(self.excess, config.target_per_second, seconds),
        }
    }

    /// The state after consuming gas; the excess saturates.
    ///
    /// # Errors
    /// The bucket holds less.
    pub const fn consume(self, gas: u64) -> Result<Self, InsufficientCapacity> {
        match self.capacity.checked_sub(gas) {
            Some(capacity) => Ok(Self { capacity, excess: self.excess.saturating_add(gas) }),
            None => Err(InsufficientCapacity { capacity: self.capacity, gas }),
        }
    }
}

/// `amount + rate * seconds`, saturating.
#[must_use]
pub const fn add_over_time(amount: u64, rate: u64, seconds: u64) -> u64 {
    amount.saturating_add(rate.saturating_mul(seconds))
}

/// `amount - rate * seconds`, not below zero.
#[must_use]
pub const fn sub_over_time(amount: u64, rate: u64, seconds: u64) -> u64 {
    amount.saturating_sub(rate.saturating_mul(seconds))
}

/// `min_price * e^(excess / constant)` by the truncated series the protocol fixes; saturates at the largest price. A
/// constant of zero, which no configuration has, gives the largest price.
#[must_use]
pub fn price(min_price: u64, excess: u64, constant: u64) -> u64 {
    if constant == 0 {
        return u64::MAX;
    }
    let (numerator, denominator) = (U256::from(excess), U256::from(constant));
    let max_output = denominator * U256::from(u64::MAX);
    let mut output = U256::ZERO;
    let mut term = U256::from(min_price) * denominator;
    let mut index = U256::ONE;
    while !term.is_zero() {
        output += term;
        if output >= max_output {
            return u64::MAX;
        }
        term = term * numerator / denominator / index;
        index += U256::ONE;
    }
    u64::try_from(output / denominator).unwrap_or(u64::MAX)
}
