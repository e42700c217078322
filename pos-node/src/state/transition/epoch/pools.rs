//! Share pools at the end of an epoch: the operator's commission (step 6), deposits (step 7), releases of unbonding
//! shares (step 8). Deposits mirror `process_pending_deposits` of `specs/fulu/beacon-chain.md`; shares are this chain's
//! own. Rounding is always down and stays with the pool.

use super::{
    super::super::{
        AppWrites, PendingDeposit, Pool, State, Unbonding,
        math::{mul_div, mul_div_u64},
    },
    Registrations,
};
use crate::types::{
    params::{Governed, Params},
    primitives::{Address, Nano, ValidatorIndex},
};

/// Most entries of the unbonding list released per epoch.
const MAX_RELEASES: usize = 1024;
/// Shares per nano above which a pool has lost so much that it mints no more.
const MAX_SHARES_PER_NANO: u128 = 1 << 20;
/// Parts that commissions are counted in.
const BPS: u64 = 10_000;

/// Mints new shares to operators for their part of the epoch's net rewards. `penalties` is what the flags and
/// inactivity took from each validator.
pub fn process_commission(state: &mut State, penalties: &[Nano]) {
    let cap = state.params.get(Governed::CommissionCapBps);
    let mut pools = state.pools.clone();
    for (index, (sum, penalty)) in (0..).zip(state.reward_accum.iter().zip(penalties)) {
        let Some(pool) = state.pools.at(index).copied() else { continue };
        let net = sum.saturating_sub(*penalty);
        let balance = state.balances.at(index).copied().unwrap_or(0);
        let commission = mul_div_u64(net, u64::from(pool.commission_bps).min(cap), BPS).unwrap_or(0);
        let slashed = state.validators.slashed.at(index).copied().unwrap_or(true);
        if commission == 0
            || slashed
            || commission.saturating_mul(2) > balance
            || pool.total_shares == 0
            || is_ruined(&pool, balance)
        {
            continue;
        }
        let rest = u128::from(balance - commission);
        let minted = mul_div(u128::from(commission), pool.total_shares, rest).unwrap_or(0);
        if let Some(pool) = pools.at_mut(index) {
            pool.operator_shares = pool.operator_shares.saturating_add(minted);
            pool.total_shares = pool.total_shares.saturating_add(minted);
        }
    }
    state.pools = pools;
    if state.reward_accum.iter().any(|sum| *sum != 0) {
        state.reward_accum = vec![0; state.reward_accum.len()].into();
    }
}

/// Applies queued deposits within the churn; those to leaving validators go to the back of the queue.
pub fn process_pending_deposits(
    state: &mut State,
    params: &Params,
    registrations: &impl Registrations,
    writes: &mut AppWrites,
) {
    let next_epoch = state.current_epoch(params).saturating_add(1);
    let available =
        state.deposit_balance_to_consume.saturating_add(state.activation_exit_churn_limit(params));
    let finalized_slot = params.start_slot(state.finality.finalized.epoch);
    let limit = usize::try_from(params.max_pending_deposits_per_epoch).unwrap_or(usize::MAX);
    let queue = state.pending_deposits.clone();
    let (mut taken, mut used) = (0usize, 0u64);
    let mut postponed = Vec::new();
    let mut out_of_churn = false;
    for deposit in queue.iter() {
        if deposit.slot > finalized_slot || taken >= limit {
            break;
        }
        let validator =
            state.validators.index_of(&deposit.pubkey).and_then(|index| state.validators.get(index));
        match validator {
            Some(validator) if validator.withdrawable_epoch < next_epoch => {
                apply_deposit(state, params, deposit, registrations, writes);
            }
            Some(validator) if validator.exit_epoch != u64::MAX => postponed.push(*deposit),
            _ => {
                let after = used.saturating_add(deposit.amount);
                if after > available {
                    out_of_churn = true;
                    break;
                }
                used = after;
                apply_deposit(state, params, deposit, registrations, writes);
            }
        }
        taken += 1;
    }
    if taken > 0 {
        let kept = queue.iter().skip(taken).copied();
        state.pending_deposits = kept.chain(postponed).collect::<Vec<_>>().into();
    }
    state.deposit_balance_to_consume = if out_of_churn { available - used } else { 0 };
}

/// Counts one deposit: the validator is made from its registration if it is new; shares go to the delegator.
fn apply_deposit(
    state: &mut State,
    params: &Params,
    deposit: &PendingDeposit,
    registrations: &impl Registrations,
    writes: &mut AppWrites,
) {
    let index = match state.validators.index_of(&deposit.pubkey) {
        Some(index) => index,
        None => {
            let Some(registration) = registrations.registration(&deposit.pubkey) else {
                credit(deposit.delegator, deposit.amount, writes);
                return;
            };
            let increment = params.effective_balance_increment;
            let validator = registration.validator(deposit.pubkey, deposit.amount, increment);
            let index = u64::try_from(state.validators.len()).expect("a length in memory fits 64 bits");
            state.push_validator(&validator, 0, registration.pool());
            index
        }
    };
    let balance = state.balances.at(index).copied().unwrap_or(0);
    let owner = state.validators.owner.at(index).copied().unwrap_or_default();
    let Some(pool) = state.pools.at_mut(index) else { return };
    let minted = match pool.total_shares {
        0 => u128::from(deposit.amount),
        _ if is_ruined(pool, balance) => 0,
        total => mul_div(u128::from(deposit.amount), total, u128::from(balance)).unwrap_or(0),
    };
    if minted == 0 {
        credit(deposit.delegator, deposit.amount, writes);
        return;
    }
    pool.total_shares = pool.total_shares.saturating_add(minted);
    if deposit.delegator == owner {
        pool.operator_shares = pool.operator_shares.saturating_add(minted);
    } else {
        writes.positions.push((index, deposit.delegator, minted));
    }
    state.increase_balance(index, deposit.amount);
}

/// Pays out the first shares that are due, or moves them on to another pool's queue.
pub fn process_unbondings(state: &mut State, params: &Params, writes: &mut AppWrites) {
    let next_epoch = state.current_epoch(params).saturating_add(1);
    let mut kept = Vec::new();
    let mut released = 0usize;
    let list = state.unbondings.clone();
    for entry in list.iter() {
        if released < MAX_RELEASES && is_due(state, entry, next_epoch) {
            released += 1;
            release(state, entry, writes);
        } else {
            kept.push(*entry);
        }
    }
    if released > 0 {
        state.unbondings = kept.into();
    }
}

fn is_due(state: &State, entry: &Unbonding, next_epoch: u64) -> bool {
    let held_until = match state.validators.get(entry.validator) {
        Some(validator) if validator.slashed => validator.withdrawable_epoch,
        _ => 0,
    };
    entry.release_epoch.max(held_until) <= next_epoch
}

fn release(state: &mut State, entry: &Unbonding, writes: &mut AppWrites) {
    let balance = state.balances.at(entry.validator).copied().unwrap_or(0);
    let Some(pool) = state.pools.at_mut(entry.validator) else { return };
    let amount = mul_div(entry.shares, u128::from(balance), pool.total_shares)
        .and_then(|amount| u64::try_from(amount).ok())
        .unwrap_or(0);
    pool.total_shares = pool.total_shares.saturating_sub(entry.shares);
    let amount = state.decrease_balance(entry.validator, amount);
    match redelegation_target(state, entry.redelegate_to) {
        Some(pubkey) if amount > 0 => state.pending_deposits.push(PendingDeposit {
            pubkey,
            delegator: entry.delegator,
            amount,
            slot: state.slot,
        }),
        _ => credit(entry.delegator, amount, writes),
    }
}

/// Key of the pool to join, unless that validator is leaving or slashed.
fn redelegation_target(state: &State, to: ValidatorIndex) -> Option<crate::types::primitives::PublicKey> {
    let target = state.validators.get(to)?;
    (!target.slashed && !state.validators.is_exiting(to)).then_some(target.pubkey)
}

fn credit(account: Address, amount: Nano, writes: &mut AppWrites) {
    if amount > 0 {
        writes.credits.push((account, amount));
    }
}

/// Whether a pool has lost so much that its shares are too many for its amount.
fn is_ruined(pool: &Pool, balance: Nano) -> bool {
    pool.total_shares > u128::from(balance) * MAX_SHARES_PER_NANO
}
