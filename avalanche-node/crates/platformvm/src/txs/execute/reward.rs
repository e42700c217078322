//! Proposals: rewards of stakers whose time is over, and what was proposed before Banff. A proposal is executed twice, for
//! a block that commits it and one that aborts it. Mirrors `vms/platformvm/txs/executor/proposal_tx_executor.go`.

use std::sync::Arc;

use avalanche_ids::Id;
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{avax::UtxoId, secp256k1fx::TransferOutput};

use super::{Backend, Exec, ExecError, Fees, Verdict, advance_time, potential_reward, verify_new_chain_time};
use crate::{
    fx::{Output, Owner, TransferableOutput, Utxo},
    reward::split,
    state::{Draft, Staker, StakerTerms, StakingInfo},
    txs::{AddAutoRenewedValidatorTx, NamedTx, UnsignedTx, verify},
};

/// Executes a proposal on two drafts of the same state.
///
/// # Errors
/// The first rule that is broken.
pub fn proposal(
    backend: &Backend<'_>,
    fees: &Fees,
    tx: &Arc<NamedTx>,
    commit: &mut Draft<'_>,
    abort: &mut Draft<'_>,
) -> Verdict {
    let exec = Exec { backend, fees, tx };
    match &tx.tx.unsigned {
        UnsignedTx::AddValidator(add) => {
            exec.before_banff(commit)?;
            exec.verify_add_validator(add, commit)?;
            exec.propose_staker(commit, abort)
        }
        UnsignedTx::AddSubnetValidator(add) => {
            exec.before_banff(commit)?;
            exec.verify_add_subnet_validator(add, commit)?;
            exec.propose_staker(commit, abort)
        }
        UnsignedTx::AddDelegator(add) => {
            exec.before_banff(commit)?;
            exec.verify_add_delegator(add, commit)?;
            exec.propose_staker(commit, abort)
        }
        UnsignedTx::AdvanceTime(advance) => {
            exec.without_credentials()?;
            if backend.config.is_active(Fork::Banff, advance.time) {
                return Err(ExecError::NotPermittedSince(Fork::Banff));
            }
            verify_new_chain_time(backend.config, advance.time, backend.now, commit)?;
            advance_time(backend.config, commit, advance.time).map(drop)
        }
        UnsignedTx::RewardValidator(reward) => {
            if reward.tx_id == Id::EMPTY {
                return Err(ExecError::InvalidId);
            }
            exec.without_credentials()?;
            exec.reward(reward.tx_id, commit, abort)
        }
        UnsignedTx::RewardAutoRenewedValidator(reward) => {
            let crate::config::Config { network_id, avax_asset_id, .. } = *backend.config;
            verify::verify(&tx.tx.unsigned, &verify::Context { network_id, avax_asset_id })?;
            exec.without_credentials()?;
            if reward.timestamp != commit.timestamp() {
                return Err(ExecError::InvalidTimestamp);
            }
            exec.reward_auto_renewed(reward.tx_id, commit, abort)
        }
        _ => Err(ExecError::WrongTxType),
    }
}

impl Exec<'_> {
    fn before_banff(&self, draft: &Draft<'_>) -> Verdict {
        if self.is_active(Fork::Banff, draft) {
            return Err(ExecError::NotPermittedSince(Fork::Banff));
        }
        Ok(())
    }

    fn without_credentials(&self) -> Verdict {
        if self.credentials().is_empty() { Ok(()) } else { Err(ExecError::Credentials) }
    }

    /// Before Banff: a committed staker waits for its start, an aborted one gets its stake back at once.
    fn propose_staker(&self, commit: &mut Draft<'_>, abort: &mut Draft<'_>) -> Verdict {
        let terms = StakerTerms::of(&self.tx.tx.unsigned).ok_or(ExecError::WrongTxType)?;
        commit.put_pending(Arc::new(terms.become_pending(self.tx.id)))?;
        self.move_utxos(commit, None);
        let outputs: Vec<TransferableOutput> = self.tx.tx.unsigned.outputs().cloned().collect();
        self.move_utxos(abort, Some(&outputs));
        Ok(())
    }

    fn reward(&self, staker_tx: Id, commit: &mut Draft<'_>, abort: &mut Draft<'_>) -> Verdict {
        let (added, staker) = next_to_reward(commit, staker_tx)?;
        let unsigned = &added.tx.unsigned;
        match unsigned {
            UnsignedTx::AddValidator(_) | UnsignedTx::AddPermissionlessValidator(_) => {
                unstake(unsigned, staker.tx_id, commit);
                unstake(unsigned, staker.tx_id, abort);
                self.reward_validator(unsigned, &staker, commit, abort)?;
                commit.delete_current_validator(&staker)?;
                abort.delete_current_validator(&staker)?;
            }
            UnsignedTx::AddDelegator(_) | UnsignedTx::AddPermissionlessDelegator(_) => {
                unstake(unsigned, staker.tx_id, commit);
                unstake(unsigned, staker.tx_id, abort);
                self.reward_delegator(unsigned, &staker, commit)?;
                commit.delete_current_delegator(&staker)?;
                abort.delete_current_delegator(&staker)?;
            }
            _ => return Err(ExecError::WrongTxType),
        }
        undo_mint(&staker, abort)
    }

    fn reward_validator(
        &self,
        tx: &UnsignedTx,
        staker: &Staker,
        commit: &mut Draft<'_>,
        abort: &mut Draft<'_>,
    ) -> Verdict {
        let first = first_reward_index(tx)?;
        let owners = Owners::of(tx).ok_or(ExecError::WrongTxType)?;
        let mut next = first;
        if staker.potential_reward > 0 {
            let utxo = self.reward_utxo(staker.potential_reward, owners.validation, staker.tx_id, next, tx);
            pay(commit, staker.tx_id, utxo);
            next = next.checked_add(1).ok_or(ExecError::Overflow)?;
        }
        let deferred = commit.staking_info(staker.subnet, staker.node_id)?.delegatee_reward;
        if deferred > 0 {
            // Delegators earned it: it is paid whatever becomes of the validator's own reward.
            pay(commit, staker.tx_id, self.reward_utxo(deferred, owners.delegation, staker.tx_id, next, tx));
            pay(abort, staker.tx_id, self.reward_utxo(deferred, owners.delegation, staker.tx_id, first, tx));
        }
        Ok(())
    }

    fn reward_delegator(&self, tx: &UnsignedTx, staker: &Staker, commit: &mut Draft<'_>) -> Verdict {
        let validator = commit
            .current_validator(staker.subnet, staker.node_id)
            .ok_or(ExecError::NotValidator(staker.node_id))?;
        let (added, _) = commit.tx(&validator.tx_id)?.ok_or(ExecError::MissingTx(validator.tx_id))?;
        let owners = Owners::of(&added.tx.unsigned).ok_or(ExecError::WrongTxType)?;
        let (delegatee, delegator) = split(staker.potential_reward, owners.shares);
        let mut next = first_reward_index(tx)?;
        if delegator > 0 {
            let owner = match tx {
                UnsignedTx::AddDelegator(tx) => &tx.rewards_owner,
                UnsignedTx::AddPermissionlessDelegator(tx) => &tx.rewards_owner,
                _ => return Err(ExecError::WrongTxType),
            };
            pay(commit, staker.tx_id, self.reward_utxo(delegator, owner, staker.tx_id, next, tx));
            next = next.checked_add(1).ok_or(ExecError::Overflow)?;
        }
        if delegatee == 0 {
            return Ok(());
        }
        if self.backend.config.is_active(Fork::Cortina, validator.start) {
            let mut info = commit.staking_info(staker.subnet, staker.node_id)?;
            info.delegatee_reward =
                info.delegatee_reward.checked_add(delegatee).ok_or(ExecError::Overflow)?;
            commit.set_staking_info(staker.subnet, staker.node_id, info)?;
        } else {
            pay(commit, staker.tx_id, self.reward_utxo(delegatee, owners.delegation, staker.tx_id, next, tx));
        }
        Ok(())
    }

    fn reward_auto_renewed(&self, staker_tx: Id, commit: &mut Draft<'_>, abort: &mut Draft<'_>) -> Verdict {
        let (added, staker) = next_to_reward(commit, staker_tx)?;
        let UnsignedTx::AddAutoRenewedValidator(terms) = &added.tx.unsigned else {
            return Err(ExecError::NotAutoRenewed);
        };
        let info = commit.staking_info(staker.subnet, staker.node_id)?;
        let delegatee = add(info.delegatee_reward, info.accrued_delegatee_rewards)?;
        abort.delete_current_validator(&staker)?;
        unstake(&added.tx.unsigned, staker.tx_id, abort);
        undo_mint(&staker, abort)?;
        self.pay_auto_renewed(terms, info.accrued_validation_rewards, delegatee, abort);
        if info.next_period > 0 {
            return self.renew(terms, &staker, info, commit);
        }
        commit.delete_current_validator(&staker)?;
        unstake(&added.tx.unsigned, staker.tx_id, commit);
        let validation = add(staker.potential_reward, info.accrued_validation_rewards)?;
        self.pay_auto_renewed(terms, validation, delegatee, commit);
        Ok(())
    }

    /// Stakes a part of the rewards again, pays the rest, and begins the next period.
    fn renew(
        &self,
        terms: &AddAutoRenewedValidatorTx,
        staker: &Staker,
        info: StakingInfo,
        commit: &mut Draft<'_>,
    ) -> Verdict {
        let config = self.backend.config;
        let shares = info.auto_compound_reward_shares;
        let (mut validation, _) = split(staker.potential_reward, shares);
        let (mut delegatee, _) = split(info.delegatee_reward, shares);
        let room =
            config.staking.max_validator_stake.checked_sub(staker.weight).ok_or(ExecError::Overflow)?;
        let total = add(validation, delegatee)?;
        if total > room {
            let part = u128::from(validation) * u128::from(room) / u128::from(total);
            validation = u64::try_from(part).map_err(|_| ExecError::Overflow)?;
            delegatee = room.checked_sub(validation).ok_or(ExecError::Overflow)?;
        }
        let paid = staker.potential_reward.checked_sub(validation).ok_or(ExecError::Overflow)?;
        let paid_delegatee = info.delegatee_reward.checked_sub(delegatee).ok_or(ExecError::Overflow)?;
        self.pay_auto_renewed(terms, paid, paid_delegatee, commit);
        let weight = add(add(staker.weight, validation)?, delegatee)?;
        let supply = commit.supply(staker.subnet).ok_or(ExecError::Corruption)?;
        let (start, seconds) = (staker.end, info.next_period);
        let reward = potential_reward(config, commit, staker.subnet, start, seconds, weight, supply)?;
        commit.set_supply(staker.subnet, add(supply, reward)?);
        let end = add(start, seconds)?;
        commit.delete_current_validator(staker)?;
        let potential_reward = reward;
        let renewed = Staker { start, end, next_time: end, potential_reward, weight, ..staker.clone() };
        commit.put_current_validator(Arc::new(renewed))?;
        let info = StakingInfo {
            delegatee_reward: 0,
            accrued_validation_rewards: add(info.accrued_validation_rewards, validation)?,
            accrued_delegatee_rewards: add(info.accrued_delegatee_rewards, delegatee)?,
            ..info
        };
        Ok(commit.set_staking_info(staker.subnet, staker.node_id, info)?)
    }

    /// Rewards of a renewed validator carry the id of the transaction that pays them.
    fn pay_auto_renewed(
        &self,
        terms: &AddAutoRenewedValidatorTx,
        validation: u64,
        delegatee: u64,
        draft: &mut Draft<'_>,
    ) {
        let parts =
            [(validation, &terms.validator_rewards_owner), (delegatee, &terms.delegator_rewards_owner)];
        for ((amount, owner), output_index) in
            parts.into_iter().filter(|(amount, _)| *amount > 0).zip(0_u32..)
        {
            let asset_id = self.backend.config.avax_asset_id;
            pay(draft, self.tx.id, new_utxo(amount, owner, self.tx.id, output_index, asset_id));
        }
    }

    fn reward_utxo(&self, amount: u64, owner: &Owner, tx_id: Id, output_index: u32, tx: &UnsignedTx) -> Utxo {
        let staked = tx.stake().first().map(|output| output.asset_id);
        new_utxo(amount, owner, tx_id, output_index, staked.unwrap_or(self.backend.config.avax_asset_id))
    }
}

/// Who is rewarded for a validator, and the validator's share of its delegators' rewards.
struct Owners<'a> {
    validation: &'a Owner,
    delegation: &'a Owner,
    shares: u32,
}

impl<'a> Owners<'a> {
    fn of(tx: &'a UnsignedTx) -> Option<Self> {
        Some(match tx {
            UnsignedTx::AddValidator(tx) => Self {
                validation: &tx.rewards_owner,
                delegation: &tx.rewards_owner,
                shares: tx.delegation_shares,
            },
            UnsignedTx::AddPermissionlessValidator(tx) => Self {
                validation: &tx.validator_rewards_owner,
                delegation: &tx.delegator_rewards_owner,
                shares: tx.delegation_shares,
            },
            UnsignedTx::AddAutoRenewedValidator(tx) => Self {
                validation: &tx.validator_rewards_owner,
                delegation: &tx.delegator_rewards_owner,
                shares: tx.delegation_shares,
            },
            _ => return None,
        })
    }
}

/// The first current staker, whose end must be now and which must be the one named.
fn next_to_reward(draft: &Draft<'_>, tx_id: Id) -> Result<(Arc<NamedTx>, Arc<Staker>), ExecError> {
    let staker = draft.current_stakers().next().cloned().ok_or(ExecError::NoStaker)?;
    if staker.tx_id != tx_id {
        return Err(ExecError::RemoveWrongStaker(tx_id));
    }
    if staker.end != draft.timestamp() {
        return Err(ExecError::RemoveStakerTooEarly(staker.end));
    }
    let (tx, _) = draft.tx(&tx_id)?.ok_or(ExecError::MissingTx(tx_id))?;
    Ok((tx, staker))
}

/// Gives the stake back.
fn unstake(tx: &UnsignedTx, tx_id: Id, draft: &mut Draft<'_>) {
    let first = u32::try_from(tx.base().map_or(0, |base| base.outs.len())).unwrap_or(u32::MAX);
    for (output, output_index) in tx.stake().iter().zip(first..) {
        let id = UtxoId { tx_id, output_index };
        draft.add_utxo(Utxo { id, asset_id: output.asset_id, out: output.out.clone() });
    }
}

/// The reward that was counted as paid is not paid.
fn undo_mint(staker: &Staker, abort: &mut Draft<'_>) -> Verdict {
    let supply = abort.supply(staker.subnet).ok_or(ExecError::NotTransformed(staker.subnet))?;
    let supply = supply.checked_sub(staker.potential_reward).ok_or(ExecError::Overflow)?;
    abort.set_supply(staker.subnet, supply);
    Ok(())
}

/// Rewards come behind the outputs and the stake.
fn first_reward_index(tx: &UnsignedTx) -> Result<u32, ExecError> {
    let outputs = tx.base().map_or(0, |base| base.outs.len()).checked_add(tx.stake().len());
    outputs.and_then(|outputs| u32::try_from(outputs).ok()).ok_or(ExecError::Overflow)
}

fn new_utxo(amount: u64, owner: &Owner, tx_id: Id, output_index: u32, asset_id: Id) -> Utxo {
    let Owner::Secp256k1(owners) = owner.clone();
    let out = Output::Transfer(TransferOutput { amount, owners });
    Utxo { id: UtxoId { tx_id, output_index }, asset_id, out }
}

fn pay(draft: &mut Draft<'_>, tx_id: Id, utxo: Utxo) {
    draft.add_utxo(utxo.clone());
    draft.add_reward_utxo(tx_id, utxo);
}

fn add(left: u64, right: u64) -> Result<u64, ExecError> {
    left.checked_add(right).ok_or(ExecError::Overflow)
}

/// The proposal that rewards the staker of a transaction at a time; None when it added no staker.
#[must_use]
pub fn proposal_for(staker: &NamedTx, time: u64) -> Option<UnsignedTx> {
    use crate::txs::{RewardAutoRenewedValidatorTx, RewardValidatorTx};
    StakerTerms::of(&staker.tx.unsigned)?;
    Some(match &staker.tx.unsigned {
        UnsignedTx::AddAutoRenewedValidator(_) => {
            UnsignedTx::RewardAutoRenewedValidator(RewardAutoRenewedValidatorTx {
                tx_id: staker.id,
                timestamp: time,
            })
        }
        _ => UnsignedTx::RewardValidator(RewardValidatorTx { tx_id: staker.id }),
    })
}
