//! The price of gas from block to block (EIP-1559) and what a transaction pays. Prices are nano per 1000 gas.

use crate::types::params::Params;

/// Gas that a price is per.
const GAS_PER_PRICE: u128 = 1000;

/// The price of the block after one with this price and use; not below `minimum`.
#[must_use]
pub fn next_base_fee(params: &Params, minimum: u64, base_fee: u64, gas_limit: u64, gas_used: u64) -> u64 {
    let target = gas_limit.checked_div(params.elasticity).unwrap_or(0);
    let step = |distance: u64| {
        let change = u128::from(base_fee) * u128::from(distance);
        let change = change.checked_div(u128::from(target)).unwrap_or(0);
        let change = change.checked_div(u128::from(params.base_fee_change_denominator)).unwrap_or(0);
        u64::try_from(change).unwrap_or(u64::MAX)
    };
    let next = match gas_used.checked_sub(target) {
        Some(0) => base_fee,
        Some(above) => base_fee.saturating_add(step(above).max(1)),
        None => base_fee.saturating_sub(step(target - gas_used)),
    };
    next.max(minimum)
}

/// What gas costs at a price, rounded up; `None` above the largest amount.
#[must_use]
pub fn cost_up(gas: u64, price: u64) -> Option<u64> {
    u64::try_from((u128::from(gas) * u128::from(price)).div_ceil(GAS_PER_PRICE)).ok()
}

/// What gas costs at a price, rounded down; `None` above the largest amount.
#[must_use]
pub fn cost_down(gas: u64, price: u64) -> Option<u64> {
    u64::try_from(u128::from(gas) * u128::from(price) / GAS_PER_PRICE).ok()
}
