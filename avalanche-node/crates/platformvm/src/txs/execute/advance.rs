//! What the passage of time changes: stakers come and go, registrations become void, fees are charged.
//! Mirrors `vms/platformvm/txs/executor/state_changes.go` and `state/chain_time_helpers.go`.

use std::sync::Arc;

use avalanche_utils::upgrade::Fork;

use super::{ExecError, SYNC_BOUND, potential_reward};
use crate::{
    config::Config,
    state::{Draft, L1Validator, Priority, Staker},
    validator_fee,
};

/// Checks the time of a new block: not before the parent's, not far ahead of the clock, not behind a change of stakers.
///
/// # Errors
/// The rule that is broken.
pub fn verify_new_chain_time(
    config: &Config,
    time: u64,
    now: u64,
    parent: &Draft<'_>,
) -> Result<(), ExecError> {
    if time < parent.timestamp() {
        return Err(ExecError::EarlierThanParent(time));
    }
    if time > now.saturating_add(SYNC_BOUND) {
        return Err(ExecError::BeyondSyncBound(time));
    }
    if time > next_change_time(config, parent, time)? {
        return Err(ExecError::AfterStakerChange(time));
    }
    Ok(())
}

/// The next time at which a staker comes or goes or an L1 validator runs out of funds, at most `limit`.
///
/// # Errors
/// A state that contradicts itself.
pub fn next_change_time(config: &Config, draft: &Draft<'_>, limit: u64) -> Result<u64, ExecError> {
    let mut next = limit;
    if let Some(staker) = draft.current_stakers().next() {
        next = next.min(staker.next_time);
    }
    if let Some(staker) = draft.pending_stakers().next() {
        next = next.min(staker.next_time);
    }
    let Some(first) = draft.active_l1_validators().next() else { return Ok(next) };
    let scalars = draft.scalars();
    let funds = first.end_accumulated_fee.checked_sub(scalars.accrued_fees).ok_or(ExecError::Corruption)?;
    let max_seconds = next.saturating_sub(scalars.timestamp);
    let fees = validator_fee::State { current: scalars.active_l1, excess: scalars.l1_excess };
    let seconds = fees.seconds_remaining(&config.validator_fee, max_seconds, funds);
    Ok(next.min(scalars.timestamp.saturating_add(seconds)))
}

/// The time of a block built at `now` on a state, and whether the next change of stakers holds it back.
///
/// # Errors
/// A state that contradicts itself.
pub fn next_block_time(config: &Config, draft: &Draft<'_>, now: u64) -> Result<(u64, bool), ExecError> {
    let time = now.max(draft.timestamp());
    let next = next_change_time(config, draft, time.saturating_add(1))?;
    let capped = time >= next;
    Ok((if capped { next } else { time }, capped))
}

/// Moves the chain's time. True when validators changed.
///
/// # Errors
/// A state that contradicts itself.
pub fn advance_time(config: &Config, draft: &mut Draft<'_>, time: u64) -> Result<bool, ExecError> {
    let mut changed = promote(config, draft, time)?;
    let ended: Vec<_> = draft
        .current_stakers()
        .take_while(|staker| staker.end <= time && staker.priority == Priority::PermissionedValidatorCurrent)
        .cloned()
        .collect();
    // Those that were just promoted have not ended; what is left is as it was before.
    for staker in ended {
        draft.delete_current_validator(&staker)?;
        changed = true;
    }
    if config.is_active(Fork::Etna, time) {
        draft.remove_expiries_until(time);
        let seconds = time.saturating_sub(draft.timestamp());
        let fee_state = draft.scalars().fee_state.advance_time(&config.gas, seconds);
        draft.scalars_mut().fee_state = fee_state;
        changed |= charge_l1_validators(config, draft, seconds)?;
    }
    draft.scalars_mut().timestamp = time;
    Ok(changed)
}

/// Makes pending stakers current. Rewards follow the order of stakers; then validators come before delegators.
fn promote(config: &Config, draft: &mut Draft<'_>, time: u64) -> Result<bool, ExecError> {
    let pending: Vec<Arc<Staker>> =
        draft.pending_stakers().take_while(|staker| staker.start <= time).cloned().collect();
    let mut promoted = Vec::with_capacity(pending.len());
    for staker in pending {
        let mut current =
            Staker { next_time: staker.end, priority: staker.priority.current(), ..Staker::clone(&staker) };
        if staker.priority != Priority::PermissionedValidatorPending {
            let supply = draft.supply(staker.subnet).ok_or(ExecError::NotTransformed(staker.subnet))?;
            let seconds = staker.end.saturating_sub(staker.start);
            let (start, weight) = (staker.start, staker.weight);
            current.potential_reward =
                potential_reward(config, draft, staker.subnet, start, seconds, weight, supply)?;
            let supply = supply.checked_add(current.potential_reward).ok_or(ExecError::Overflow)?;
            draft.set_supply(staker.subnet, supply);
        }
        promoted.push((staker, Arc::new(current)));
    }
    for (pending, current) in promoted.iter().filter(|(pending, _)| pending.priority.is_validator()) {
        draft.put_current_validator(Arc::clone(current))?;
        draft.delete_pending(pending);
    }
    for (pending, current) in promoted.iter().filter(|(pending, _)| !pending.priority.is_validator()) {
        draft.put_current_delegator(Arc::clone(current))?;
        draft.delete_pending(pending);
    }
    Ok(!promoted.is_empty())
}

fn charge_l1_validators(config: &Config, draft: &mut Draft<'_>, seconds: u64) -> Result<bool, ExecError> {
    let scalars = *draft.scalars();
    let fees = validator_fee::State { current: scalars.active_l1, excess: scalars.l1_excess };
    let cost = fees.cost_of(&config.validator_fee, seconds);
    let accrued = scalars.accrued_fees.checked_add(cost).ok_or(ExecError::Overflow)?;
    let broke: Vec<_> = draft
        .active_l1_validators()
        .take_while(|validator| validator.end_accumulated_fee <= accrued)
        .collect();
    let changed = deactivate(draft, broke)?;
    let scalars = draft.scalars_mut();
    scalars.l1_excess = fees.advance_time(config.validator_fee.target, seconds).excess;
    scalars.accrued_fees = accrued;
    Ok(changed)
}

/// Stops L1 validators that cannot pay the next second. True when there were any.
///
/// # Errors
/// A state that contradicts itself.
pub fn deactivate_low_balances(config: &Config, draft: &mut Draft<'_>) -> Result<bool, ExecError> {
    let scalars = *draft.scalars();
    let fees = validator_fee::State { current: scalars.active_l1, excess: scalars.l1_excess };
    let cost = fees.cost_of(&config.validator_fee, 1);
    let accrued = scalars.accrued_fees.checked_add(cost).ok_or(ExecError::Overflow)?;
    let broke: Vec<_> = draft
        .active_l1_validators()
        .take_while(|validator| validator.end_accumulated_fee < accrued)
        .collect();
    deactivate(draft, broke)
}

fn deactivate(draft: &mut Draft<'_>, validators: Vec<L1Validator>) -> Result<bool, ExecError> {
    let any = !validators.is_empty();
    for validator in validators {
        draft.put_l1_validator(L1Validator { end_accumulated_fee: 0, ..validator })?;
    }
    Ok(any)
}
