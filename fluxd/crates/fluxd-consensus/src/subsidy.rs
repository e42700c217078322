//! Money that a block creates and who must be paid from it. Mirrors `GetBlockSubsidy`, `GetFluxnodeSubsidy` and the
//! funding rules in `src/main.cpp`.

use fluxd_fluxnode::Tier;
use fluxd_primitives::{Amount, COIN};

use crate::{
    params::{Funding, Params},
    upgrades::Upgrade,
};

/// Subsidy before the first halving, in zatoshi.
const POW_SUBSIDY: i64 = 150 * COIN;
/// Subsidy of the first block, in zatoshi.
const PREMINE: i64 = 13_020_000 * COIN;
/// Halvings after which the subsidy stays; the third was cancelled.
const MAX_HALVINGS: i64 = 2;

/// What the block at a height creates.
#[must_use]
pub fn block_subsidy(params: &Params, height: u32) -> Amount {
    let h = i64::from(height);
    if params.pon.is_active(height) {
        let reductions =
            ((h - params.pon.activation) / params.pon_reduction_interval).min(params.pon_max_reductions);
        return Amount::from_zat((0..reductions).fold(params.pon_subsidy * COIN, |zat, _| zat * 9 / 10));
    }
    let ramp = params.slow_start;
    Amount::from_zat(if height == 1 {
        PREMINE
    } else if h < ramp / 2 {
        POW_SUBSIDY / ramp * h
    } else if h < ramp {
        POW_SUBSIDY / ramp * (h + 1)
    } else {
        POW_SUBSIDY >> ((h - ramp / 2) / params.halving_interval).min(MAX_HALVINGS)
    })
}

/// What the block at a height pays to the node of a tier.
///
/// Before proof of node the reference multiplies floating-point numbers and truncates. The factors are eightieths, so
/// an exact product is either whole or at least an eightieth away from the next whole number, which is more than the
/// rounding errors of any subsidy: whole-number division gives the same.
#[must_use]
pub fn node_share(params: &Params, height: u32, tier: Tier) -> Amount {
    let subsidy = block_subsidy(params, height).zat();
    if params.pon.is_active(height) {
        return Amount::from_zat(subsidy * pon_share(tier) / 28);
    }
    let doubled = if params.upgrades.is_active(Upgrade::Flux, height) { 2 } else { 1 };
    Amount::from_zat(subsidy * pow_eightieths(tier) * doubled / 80)
}

/// What is left of a PoN subsidy when all three tiers are paid; the coinbase must pay at least this to the
/// development fund.
#[must_use]
pub fn dev_fund_minimum(params: &Params, height: u32) -> Amount {
    let shares: i64 = Tier::ALL.iter().map(|tier| node_share(params, height, *tier).zat()).sum();
    Amount::from_zat(block_subsidy(params, height).zat() - shares)
}

/// The payments of the rebrand that the coinbase at a height must contain, on top of its subsidy.
pub fn fundings(params: &Params, height: u32) -> impl Iterator<Item = &Funding> {
    [&params.exchange_fund, &params.foundation_fund, &params.swap_pool]
        .into_iter()
        .filter(move |funding| funding.heights.contains(&height))
}

/// Share of a PoW subsidy before the rebrand, in eightieths: 3.75 %, 6.25 % and 15 %.
fn pow_eightieths(tier: Tier) -> i64 {
    match tier {
        Tier::Cumulus => 3,
        Tier::Nimbus => 5,
        Tier::Stratus => 12,
    }
}

/// Share of a PoN subsidy, in twenty-eighths: 1, 3.5 and 9 of 14.
fn pon_share(tier: Tier) -> i64 {
    match tier {
        Tier::Cumulus => 2,
        Tier::Nimbus => 7,
        Tier::Stratus => 18,
    }
}
