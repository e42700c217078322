//! Transactions about staking on the primary network and on permissionless subnets.

use avalanche_codec::wire_struct;
use avalanche_ids::{Id, NodeId};

use crate::fx::{Auth, BaseTx, Owner, Signer, TransferableOutput};

/// Who stakes for how long and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// The node.
    pub node_id: NodeId,
    /// Unix time in seconds; not looked at since Durango.
    pub start: u64,
    /// Unix time in seconds.
    pub end: u64,
    /// Its weight, which on the primary network is the stake in nAVAX.
    pub weight: u64,
}
wire_struct!(Validator { node_id, start, end, weight });

/// See [`UnsignedTx::AddValidator`](super::UnsignedTx::AddValidator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// Who and how long.
    pub validator: Validator,
    /// What is staked.
    pub stake_outs: Vec<TransferableOutput>,
    /// Who gets the reward.
    pub rewards_owner: Owner,
    /// Share of delegators' rewards that the validator keeps, in millionths.
    pub delegation_shares: u32,
}
wire_struct!(AddValidatorTx { base, validator, stake_outs, rewards_owner, delegation_shares });

/// See [`UnsignedTx::AddDelegator`](super::UnsignedTx::AddDelegator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddDelegatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// To whom and how long.
    pub validator: Validator,
    /// What is staked.
    pub stake_outs: Vec<TransferableOutput>,
    /// Who gets the reward.
    pub rewards_owner: Owner,
}
wire_struct!(AddDelegatorTx { base, validator, stake_outs, rewards_owner });

/// See [`UnsignedTx::AdvanceTime`](super::UnsignedTx::AdvanceTime).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvanceTimeTx {
    /// The new time, Unix seconds.
    pub time: u64,
}
wire_struct!(AdvanceTimeTx { time });

/// See [`UnsignedTx::RewardValidator`](super::UnsignedTx::RewardValidator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewardValidatorTx {
    /// The transaction that added the staker.
    pub tx_id: Id,
}
wire_struct!(RewardValidatorTx { tx_id });

/// See [`UnsignedTx::AddPermissionlessValidator`](super::UnsignedTx::AddPermissionlessValidator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPermissionlessValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// Who and how long.
    pub validator: Validator,
    /// Where.
    pub subnet: Id,
    /// A key on the primary network, none elsewhere.
    pub signer: Signer,
    /// What is staked.
    pub stake_outs: Vec<TransferableOutput>,
    /// Who gets the validation reward.
    pub validator_rewards_owner: Owner,
    /// Who gets the share of delegators' rewards.
    pub delegator_rewards_owner: Owner,
    /// That share, in millionths.
    pub delegation_shares: u32,
}
wire_struct!(AddPermissionlessValidatorTx {
    base,
    validator,
    subnet,
    signer,
    stake_outs,
    validator_rewards_owner,
    delegator_rewards_owner,
    delegation_shares,
});

/// See [`UnsignedTx::AddPermissionlessDelegator`](super::UnsignedTx::AddPermissionlessDelegator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPermissionlessDelegatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// To whom and how long.
    pub validator: Validator,
    /// Where.
    pub subnet: Id,
    /// What is staked.
    pub stake_outs: Vec<TransferableOutput>,
    /// Who gets the reward.
    pub rewards_owner: Owner,
}
wire_struct!(AddPermissionlessDelegatorTx { base, validator, subnet, stake_outs, rewards_owner });

/// See [`UnsignedTx::AddAutoRenewedValidator`](super::UnsignedTx::AddAutoRenewedValidator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddAutoRenewedValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// The node, 20 bytes when valid.
    pub node_id: Vec<u8>,
    /// Its key.
    pub signer: Signer,
    /// What is staked.
    pub stake_outs: Vec<TransferableOutput>,
    /// Who gets the validation reward.
    pub validator_rewards_owner: Owner,
    /// Who gets the share of delegators' rewards.
    pub delegator_rewards_owner: Owner,
    /// Who may change the configuration.
    pub validator_authority: Owner,
    /// Share of delegators' rewards, in millionths.
    pub delegation_shares: u32,
    /// Share of rewards that is staked again, in millionths.
    pub auto_compound_reward_shares: u32,
    /// Length of a period, in seconds.
    pub period: u64,
}
wire_struct!(AddAutoRenewedValidatorTx {
    base,
    node_id,
    signer,
    stake_outs,
    validator_rewards_owner,
    delegator_rewards_owner,
    validator_authority,
    delegation_shares,
    auto_compound_reward_shares,
    period,
});

/// See [`UnsignedTx::SetAutoRenewedValidatorConfig`](super::UnsignedTx::SetAutoRenewedValidatorConfig).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAutoRenewedValidatorConfigTx {
    /// Common fields.
    pub base: BaseTx,
    /// The transaction that added the validator.
    pub tx_id: Id,
    /// How its authority authorizes.
    pub auth: Auth,
    /// Share of rewards that is staked again, in millionths.
    pub auto_compound_reward_shares: u32,
    /// Length of the next period in seconds; zero to stop.
    pub period: u64,
}
wire_struct!(SetAutoRenewedValidatorConfigTx { base, tx_id, auth, auto_compound_reward_shares, period });

/// See [`UnsignedTx::RewardAutoRenewedValidator`](super::UnsignedTx::RewardAutoRenewedValidator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewardAutoRenewedValidatorTx {
    /// The transaction that added the staker.
    pub tx_id: Id,
    /// End of the period, Unix seconds.
    pub timestamp: u64,
}
wire_struct!(RewardAutoRenewedValidatorTx { tx_id, timestamp });
