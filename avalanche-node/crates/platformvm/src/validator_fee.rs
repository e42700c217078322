//! What validators of L1s pay by the second (ACP-77). Mirrors `vms/platformvm/validators/fee`.

use avalanche_vm::gas::{add_over_time, price, sub_over_time};

/// Parameters of the fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Most validators that can be active.
    pub capacity: u64,
    /// Active validators at which the price stays.
    pub target: u64,
    /// Lowest price of a second, in nAVAX.
    pub min_price: u64,
    /// Excess that multiplies the price by e.
    pub excess_conversion_constant: u64,
}

/// Active validators and the excess over the target so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Active validators.
    pub current: u64,
    /// Validator-seconds above the target.
    pub excess: u64,
}

impl State {
    /// The state `seconds` later.
    #[must_use]
    pub const fn advance_time(self, target: u64, seconds: u64) -> Self {
        let excess = if self.current < target {
            sub_over_time(self.excess, target - self.current, seconds)
        } else {
            add_over_time(self.excess, self.current - target, seconds)
        };
        Self { excess, ..self }
    }

    /// What one validator pays for the next `seconds`; saturates.
    #[must_use]
    pub fn cost_of(mut self, config: &Config, seconds: u64) -> u64 {
        if self.current == config.target {
            return self.price(config).saturating_mul(seconds);
        }
        let mut cost = 0_u64;
        for second in 0..seconds {
            self = self.advance_time(config.target, 1);
            if self.excess == 0 {
                // It stays at zero: the rest costs the lowest price.
                return cost.saturating_add(config.min_price.saturating_mul(seconds - second));
            }
            cost = cost.saturating_add(self.price(config));
        }
        cost
    }

    /// For how many seconds funds last, at most `max_seconds`.
    #[must_use]
    pub fn seconds_remaining(mut self, config: &Config, max_seconds: u64, mut funds: u64) -> u64 {
        if config.min_price == 0 {
            return max_seconds;
        }
        if self.current == config.target {
            return funds
                .checked_div(self.price(config))
                .map_or(max_seconds, |seconds| seconds.min(max_seconds));
        }
        for second in 0..max_seconds {
            self = self.advance_time(config.target, 1);
            if self.excess == 0 {
                return second.saturating_add(funds / config.min_price).min(max_seconds);
            }
            match funds.checked_sub(self.price(config)) {
                Some(left) => funds = left,
                None => return second,
            }
        }
        max_seconds
    }

    fn price(self, config: &Config) -> u64 {
        price(config.min_price, self.excess, config.excess_conversion_constant)
    }
}
