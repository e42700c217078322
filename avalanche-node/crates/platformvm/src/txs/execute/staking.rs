//! Who may stake, on what terms, and how the stake enters the state.
//! Mirrors `vms/platformvm/txs/executor/staker_tx_verification*.go` and `putStaker` of `standard_tx_executor.go`.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_ids::Id;
use avalanche_utils::upgrade::Fork;

use super::{Exec, ExecError, Verdict, potential_reward, transformation};
use crate::{
    CHAIN_ID,
    state::{Draft, Priority, Staker, StakerKey, StakerTerms, StakingInfo},
    txs::{
        AddAutoRenewedValidatorTx, AddDelegatorTx, AddPermissionlessDelegatorTx,
        AddPermissionlessValidatorTx, AddSubnetValidatorTx, AddValidatorTx, RemoveSubnetValidatorTx,
        SetAutoRenewedValidatorConfigTx, UnsignedTx, Validator,
    },
};

/// Largest multiple of its own stake that a validator of the primary network may weigh.
const MAX_VALIDATOR_WEIGHT_FACTOR: u64 = 5;

/// What a validator must fulfil.
struct ValidatorRules {
    asset_id: Id,
    min_stake: u64,
    max_stake: u64,
    min_duration: u64,
    max_duration: u64,
    min_delegation_fee: u32,
}

/// What a delegator must fulfil.
struct DelegatorRules {
    asset_id: Id,
    min_stake: u64,
    max_validator_stake: u64,
    min_duration: u64,
    max_duration: u64,
    weight_factor: u64,
}

impl Exec<'_> {
    fn validator_rules(&self, draft: &Draft<'_>, subnet: Id) -> Result<ValidatorRules, ExecError> {
        let config = self.backend.config;
        if subnet == CHAIN_ID {
            let staking = &config.staking;
            let min_duration = if self.is_active(Fork::Helicon, draft) {
                staking.helicon_min_stake_duration
            } else {
                staking.min_stake_duration
            };
            return Ok(ValidatorRules {
                asset_id: config.avax_asset_id,
                min_stake: staking.min_validator_stake,
                max_stake: staking.max_validator_stake,
                min_duration,
                max_duration: staking.max_stake_duration,
                min_delegation_fee: staking.min_delegation_fee,
            });
        }
        let tx = transformation(draft, subnet)?;
        let UnsignedTx::TransformSubnet(terms) = &tx.tx.unsigned else {
            return Err(ExecError::NotTransformed(subnet));
        };
        Ok(ValidatorRules {
            asset_id: terms.asset_id,
            min_stake: terms.min_validator_stake,
            max_stake: terms.max_validator_stake,
            min_duration: u64::from(terms.min_stake_duration),
            max_duration: u64::from(terms.max_stake_duration),
            min_delegation_fee: terms.min_delegation_fee,
        })
    }

    fn delegator_rules(&self, draft: &Draft<'_>, subnet: Id) -> Result<DelegatorRules, ExecError> {
        let config = self.backend.config;
        if subnet == CHAIN_ID {
            let staking = &config.staking;
            return Ok(DelegatorRules {
                asset_id: config.avax_asset_id,
                min_stake: staking.min_delegator_stake,
                max_validator_stake: staking.max_validator_stake,
                min_duration: staking.min_stake_duration,
                max_duration: staking.max_stake_duration,
                weight_factor: MAX_VALIDATOR_WEIGHT_FACTOR,
            });
        }
        let tx = transformation(draft, subnet)?;
        let UnsignedTx::TransformSubnet(terms) = &tx.tx.unsigned else {
            return Err(ExecError::NotTransformed(subnet));
        };
        Ok(DelegatorRules {
            asset_id: terms.asset_id,
            min_stake: terms.min_delegator_stake,
            max_validator_stake: terms.max_validator_stake,
            min_duration: u64::from(terms.min_stake_duration),
            max_duration: u64::from(terms.max_stake_duration),
            weight_factor: u64::from(terms.max_validator_weight_factor),
        })
    }

    pub(super) fn verify_add_validator(&self, tx: &AddValidatorTx, draft: &Draft<'_>) -> Verdict {
        if self.is_active(Fork::Durango, draft) {
            return Err(ExecError::NotPermittedSince(Fork::Durango));
        }
        self.well_formed(draft)?;
        let staking = &self.backend.config.staking;
        let validator = &tx.validator;
        ensure(validator.weight >= staking.min_validator_stake, || ExecError::WeightTooSmall)?;
        ensure(validator.weight <= staking.max_validator_stake, || ExecError::WeightTooLarge)?;
        ensure(tx.delegation_shares >= staking.min_delegation_fee, || ExecError::InsufficientDelegationFee)?;
        self.verify_duration(validator.start, validator.end)?;
        if !self.backend.bootstrapped {
            return Ok(());
        }
        verify_start_ahead(draft, validator.start)?;
        if draft.validator(CHAIN_ID, validator.node_id).is_some() {
            return Err(ExecError::DuplicateValidator(validator.node_id));
        }
        self.spend(draft, self.credentials(), 0, None)
    }

    pub(super) fn verify_add_delegator(&self, tx: &AddDelegatorTx, draft: &Draft<'_>) -> Verdict {
        if self.is_active(Fork::Durango, draft) {
            return Err(ExecError::NotPermittedSince(Fork::Durango));
        }
        self.well_formed(draft)?;
        let staking = &self.backend.config.staking;
        let delegator = &tx.validator;
        self.verify_duration(delegator.start, delegator.end)?;
        ensure(delegator.weight >= staking.min_delegator_stake, || ExecError::WeightTooSmall)?;
        if !self.backend.bootstrapped {
            return Ok(());
        }
        verify_start_ahead(draft, delegator.start)?;
        let validator = find_validator(draft, CHAIN_ID, delegator)?;
        let mut limit =
            validator.weight.checked_mul(MAX_VALIDATOR_WEIGHT_FACTOR).ok_or(ExecError::StakeOverflow)?;
        if self.is_active(Fork::ApricotPhase3, draft) {
            limit = limit.min(staking.max_validator_stake);
        }
        verify_delegation(draft, &validator, limit, delegator.weight, delegator.start, delegator.end)?;
        self.spend(draft, self.credentials(), 0, None)
    }

    pub(super) fn verify_add_subnet_validator(
        &self,
        tx: &AddSubnetValidatorTx,
        draft: &Draft<'_>,
    ) -> Verdict {
        self.well_formed(draft)?;
        let (subnet, validator) = (tx.validator.subnet, &tx.validator.validator);
        let start = self.start_of(validator, draft);
        self.verify_duration(start, validator.end)?;
        if !self.backend.bootstrapped {
            return Ok(());
        }
        self.verify_start(draft, start)?;
        if draft.validator(subnet, validator.node_id).is_some() {
            return Err(ExecError::DuplicateValidator(validator.node_id));
        }
        self.within_primary(validator, start, draft)?;
        let credentials = self.authorize_mutable(subnet, &tx.subnet_auth, draft)?;
        self.spend(draft, credentials, 0, None)
    }

    pub(super) fn remove_subnet_validator(
        &self,
        tx: &RemoveSubnetValidatorTx,
        draft: &mut Draft<'_>,
    ) -> Verdict {
        self.well_formed(draft)?;
        let current = draft.current_validator(tx.subnet, tx.node_id);
        let is_current = current.is_some();
        let validator = current.or_else(|| draft.pending_validator(tx.subnet, tx.node_id));
        let validator = validator.ok_or(ExecError::NotValidator(tx.node_id))?;
        ensure(validator.priority.is_permissioned(), || ExecError::RemovePermissionless)?;
        if self.backend.bootstrapped {
            let credentials = self.authorize(tx.subnet, &tx.subnet_auth, draft)?;
            self.spend(draft, credentials, 0, None)?;
        }
        if is_current {
            draft.delete_current_validator(&validator)?;
        } else {
            draft.delete_pending(&validator);
        }
        Ok(())
    }

    pub(super) fn verify_add_permissionless_validator(
        &self,
        tx: &AddPermissionlessValidatorTx,
        draft: &Draft<'_>,
    ) -> Verdict {
        self.well_formed(draft)?;
        if !self.backend.bootstrapped {
            return Ok(());
        }
        let validator = &tx.validator;
        let start = self.start_of(validator, draft);
        self.verify_start(draft, start)?;
        let rules = self.validator_rules(draft, tx.subnet)?;
        let duration = validator.end.saturating_sub(start);
        ensure(validator.weight >= rules.min_stake, || ExecError::WeightTooSmall)?;
        ensure(validator.weight <= rules.max_stake, || ExecError::WeightTooLarge)?;
        ensure(tx.delegation_shares >= rules.min_delegation_fee, || ExecError::InsufficientDelegationFee)?;
        ensure(duration >= rules.min_duration, || ExecError::StakeTooShort)?;
        ensure(duration <= rules.max_duration, || ExecError::StakeTooLong)?;
        let asset = tx.stake_outs.first().map_or(Id::EMPTY, |output| output.asset_id);
        ensure(asset == rules.asset_id, || ExecError::WrongStakedAsset(asset))?;
        if draft.validator(tx.subnet, validator.node_id).is_some() {
            return Err(ExecError::DuplicateValidator(validator.node_id));
        }
        if tx.subnet != CHAIN_ID {
            self.within_primary(validator, start, draft)?;
        }
        self.spend(draft, self.credentials(), 0, None)
    }

    pub(super) fn verify_add_permissionless_delegator(
        &self,
        tx: &AddPermissionlessDelegatorTx,
        draft: &Draft<'_>,
    ) -> Verdict {
        self.well_formed(draft)?;
        if !self.backend.bootstrapped {
            return Ok(());
        }
        let delegator = &tx.validator;
        let start = self.start_of(delegator, draft);
        self.verify_start(draft, start)?;
        let rules = self.delegator_rules(draft, tx.subnet)?;
        let duration = delegator.end.saturating_sub(start);
        ensure(delegator.weight >= rules.min_stake, || ExecError::WeightTooSmall)?;
        ensure(duration >= rules.min_duration, || ExecError::StakeTooShort)?;
        ensure(duration <= rules.max_duration, || ExecError::StakeTooLong)?;
        let asset = tx.stake_outs.first().map_or(Id::EMPTY, |output| output.asset_id);
        ensure(asset == rules.asset_id, || ExecError::WrongStakedAsset(asset))?;
        let validator = find_validator(draft, tx.subnet, delegator)?;
        let limit = validator.weight.saturating_mul(rules.weight_factor).min(rules.max_validator_stake);
        verify_delegation(draft, &validator, limit, delegator.weight, start, delegator.end)?;
        if tx.subnet != CHAIN_ID && validator.priority.is_permissioned() {
            return Err(ExecError::DelegateToPermissioned);
        }
        self.spend(draft, self.credentials(), 0, None)
    }

    pub(super) fn add_auto_renewed(&self, tx: &AddAutoRenewedValidatorTx, draft: &mut Draft<'_>) -> Verdict {
        self.since(Fork::Helicon, draft)?;
        self.well_formed(draft)?;
        let terms = StakerTerms::of(&self.tx.tx.unsigned).ok_or(ExecError::WrongTxType)?;
        if self.backend.bootstrapped {
            let rules = self.validator_rules(draft, CHAIN_ID)?;
            ensure(terms.weight >= rules.min_stake, || ExecError::WeightTooSmall)?;
            ensure(terms.weight <= rules.max_stake, || ExecError::WeightTooLarge)?;
            ensure(tx.delegation_shares >= rules.min_delegation_fee, || {
                ExecError::InsufficientDelegationFee
            })?;
            ensure(tx.period >= rules.min_duration, || ExecError::StakeTooShort)?;
            ensure(tx.period <= rules.max_duration, || ExecError::StakeTooLong)?;
            if draft.validator(CHAIN_ID, terms.node_id).is_some() {
                return Err(ExecError::DuplicateValidator(terms.node_id));
            }
            self.spend(draft, self.credentials(), 0, None)?;
        }
        let start = draft.timestamp();
        let end = start.checked_add(tx.period).ok_or(ExecError::Overflow)?;
        let reward = self.mint(draft, &terms, start, tx.period)?;
        draft.put_current_validator(Arc::new(terms.become_current(self.tx.id, start, end, reward)))?;
        let info = StakingInfo {
            auto_compound_reward_shares: tx.auto_compound_reward_shares,
            next_period: tx.period,
            ..StakingInfo::default()
        };
        Ok(draft.set_staking_info(CHAIN_ID, terms.node_id, info)?)
    }

    pub(super) fn set_auto_renewed_config(
        &self,
        tx: &SetAutoRenewedValidatorConfigTx,
        draft: &mut Draft<'_>,
    ) -> Verdict {
        self.since(Fork::Helicon, draft)?;
        self.well_formed(draft)?;
        let (staker_tx, _) = draft.tx(&tx.tx_id)?.ok_or(ExecError::MissingTx(tx.tx_id))?;
        let UnsignedTx::AddAutoRenewedValidator(added) = &staker_tx.tx.unsigned else {
            return Err(ExecError::NotAutoRenewed);
        };
        let terms = StakerTerms::of(&staker_tx.tx.unsigned).ok_or(ExecError::NotAutoRenewed)?;
        let validator =
            draft.current_validator(CHAIN_ID, terms.node_id).ok_or(ExecError::NotValidator(terms.node_id))?;
        ensure(validator.tx_id == tx.tx_id, || ExecError::InvalidStakerTx)?;
        if self.backend.bootstrapped {
            let rules = self.validator_rules(draft, CHAIN_ID)?;
            ensure(tx.period == 0 || tx.period >= rules.min_duration, || ExecError::StakeTooShort)?;
            ensure(tx.period <= rules.max_duration, || ExecError::StakeTooLong)?;
            let credentials = self.authorize_by(&added.validator_authority, &tx.auth)?;
            self.spend(draft, credentials, 0, None)?;
        }
        let info = StakingInfo {
            auto_compound_reward_shares: tx.auto_compound_reward_shares,
            next_period: tx.period,
            ..draft.staking_info(CHAIN_ID, terms.node_id)?
        };
        Ok(draft.set_staking_info(CHAIN_ID, terms.node_id, info)?)
    }

    /// Adds the staker: since Durango a current one that starts now, before a pending one.
    pub(super) fn put_staker(&self, draft: &mut Draft<'_>) -> Verdict {
        let terms = StakerTerms::of(&self.tx.tx.unsigned).ok_or(ExecError::WrongTxType)?;
        if !self.is_active(Fork::Durango, draft) {
            return Ok(draft.put_pending(Arc::new(terms.become_pending(self.tx.id)))?);
        }
        let start = draft.timestamp();
        let reward = if terms.current.is_permissioned() {
            0
        } else {
            self.mint(draft, &terms, start, terms.end.saturating_sub(start))?
        };
        let staker = Arc::new(terms.become_current(self.tx.id, start, terms.end, reward));
        if staker.priority.is_validator() {
            draft.put_current_validator(staker)?;
        } else {
            draft.put_current_delegator(staker)?;
        }
        Ok(())
    }

    /// Computes a staker's reward and counts it as if it were paid.
    fn mint(
        &self,
        draft: &mut Draft<'_>,
        terms: &StakerTerms,
        start: u64,
        seconds: u64,
    ) -> Result<u64, ExecError> {
        let supply = draft.supply(terms.subnet).ok_or(ExecError::NotTransformed(terms.subnet))?;
        let config = self.backend.config;
        let reward = potential_reward(config, draft, terms.subnet, start, seconds, terms.weight, supply)?;
        draft.set_supply(terms.subnet, supply.checked_add(reward).ok_or(ExecError::Overflow)?);
        Ok(reward)
    }

    /// Since Durango stakers start when they are accepted.
    fn start_of(&self, validator: &Validator, draft: &Draft<'_>) -> u64 {
        if self.is_active(Fork::Durango, draft) { draft.timestamp() } else { validator.start }
    }

    fn verify_start(&self, draft: &Draft<'_>, start: u64) -> Verdict {
        if self.is_active(Fork::Durango, draft) { Ok(()) } else { verify_start_ahead(draft, start) }
    }

    fn verify_duration(&self, start: u64, end: u64) -> Verdict {
        let staking = &self.backend.config.staking;
        let duration = end.saturating_sub(start);
        ensure(duration >= staking.min_stake_duration, || ExecError::StakeTooShort)?;
        ensure(duration <= staking.max_stake_duration, || ExecError::StakeTooLong)
    }

    /// A validator of a subnet validates the primary network meanwhile.
    fn within_primary(&self, validator: &Validator, start: u64, draft: &Draft<'_>) -> Verdict {
        let primary = find_validator(draft, CHAIN_ID, validator)?;
        verify_within(start, validator.end, &primary)
    }
}

fn ensure(holds: bool, error: impl FnOnce() -> ExecError) -> Verdict {
    if holds { Ok(()) } else { Err(error()) }
}

fn find_validator(draft: &Draft<'_>, subnet: Id, of: &Validator) -> Result<Arc<Staker>, ExecError> {
    draft.validator(subnet, of.node_id).ok_or(ExecError::NotValidator(of.node_id))
}

fn verify_start_ahead(draft: &Draft<'_>, start: u64) -> Verdict {
    let chain = draft.timestamp();
    ensure(chain < start, || ExecError::StartNotAhead { chain, start })
}

fn verify_within(start: u64, end: u64, validator: &Staker) -> Verdict {
    let within = start >= validator.start && end <= validator.end && end >= start;
    ensure(within, || ExecError::PeriodMismatch)
}

fn verify_delegation(
    draft: &Draft<'_>,
    validator: &Staker,
    limit: u64,
    weight: u64,
    start: u64,
    end: u64,
) -> Verdict {
    verify_within(start, end, validator)?;
    let total = max_weight(draft, validator, start, end)?.checked_add(weight).ok_or(ExecError::Overflow)?;
    ensure(total <= limit, || ExecError::OverDelegated)
}

/// The largest weight that a validator has with its delegators at any time within a period (`GetMaxWeight`).
///
/// # Errors
/// A weight does not fit 64 bits.
fn max_weight(draft: &Draft<'_>, validator: &Staker, start: u64, end: u64) -> Result<u64, ExecError> {
    let (subnet, node) = (validator.subnet, validator.node_id);
    let mut weight = validator.weight;
    // Delegators that leave, in their order; the pending ones join when they come.
    let mut leaving = BTreeMap::<StakerKey, u64>::new();
    for delegator in draft.current_delegators(subnet, node) {
        weight = weight.checked_add(delegator.weight).ok_or(ExecError::Overflow)?;
        leaving.insert(delegator.key(), delegator.weight);
    }
    let mut coming = draft.pending_delegators(subnet, node).peekable();
    let mut max = 0;
    loop {
        let leaves = leaving.first_key_value().map(|(key, _)| key.next_time);
        let comes = coming.peek().map(|staker| staker.start);
        // Who comes at the same time comes first.
        let joins = comes.is_some_and(|comes| leaves.is_none_or(|leaves| leaves >= comes));
        let Some(time) = (if joins { comes } else { leaves }) else { break };
        if time > end {
            break;
        }
        if time >= start {
            max = max.max(weight);
        }
        if joins {
            let Some(staker) = coming.next() else { break };
            weight = weight.checked_add(staker.weight).ok_or(ExecError::Overflow)?;
            let priority: Priority = staker.priority.current();
            leaving.insert(StakerKey { next_time: staker.end, priority, tx_id: staker.tx_id }, staker.weight);
        } else if let Some((_, left)) = leaving.pop_first() {
            weight = weight.checked_sub(left).ok_or(ExecError::Overflow)?;
        }
    }
    Ok(max.max(weight))
}
