//! Transactions about subnets and their chains.

use avalanche_codec::{Text, wire_struct};
use avalanche_ids::{Id, NodeId};

use super::Validator;
use crate::fx::{Auth, BaseTx, Owner};

/// A validator of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetValidator {
    /// Who and how long.
    pub validator: Validator,
    /// Where.
    pub subnet: Id,
}
wire_struct!(SubnetValidator { validator, subnet });

/// See [`UnsignedTx::AddSubnetValidator`](super::UnsignedTx::AddSubnetValidator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddSubnetValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// Who, where and how long.
    pub validator: SubnetValidator,
    /// How the subnet's owner authorizes.
    pub subnet_auth: Auth,
}
wire_struct!(AddSubnetValidatorTx { base, validator, subnet_auth });

/// See [`UnsignedTx::CreateChain`](super::UnsignedTx::CreateChain).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateChainTx {
    /// Common fields.
    pub base: BaseTx,
    /// The subnet that validates the chain.
    pub subnet_id: Id,
    /// At most 128 ASCII letters, digits and spaces when valid.
    pub chain_name: Text,
    /// The virtual machine.
    pub vm_id: Id,
    /// Its fxs, sorted and unique when valid.
    pub fx_ids: Vec<Id>,
    /// At most 1 MiB when valid.
    pub genesis_data: Vec<u8>,
    /// How the subnet's owner authorizes.
    pub subnet_auth: Auth,
}
wire_struct!(CreateChainTx { base, subnet_id, chain_name, vm_id, fx_ids, genesis_data, subnet_auth });

/// See [`UnsignedTx::CreateSubnet`](super::UnsignedTx::CreateSubnet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSubnetTx {
    /// Common fields.
    pub base: BaseTx,
    /// Who will own it.
    pub owner: Owner,
}
wire_struct!(CreateSubnetTx { base, owner });

/// See [`UnsignedTx::RemoveSubnetValidator`](super::UnsignedTx::RemoveSubnetValidator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveSubnetValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// Who.
    pub node_id: NodeId,
    /// Where.
    pub subnet: Id,
    /// How the subnet's owner authorizes.
    pub subnet_auth: Auth,
}
wire_struct!(RemoveSubnetValidatorTx { base, node_id, subnet, subnet_auth });

/// See [`UnsignedTx::TransferSubnetOwnership`](super::UnsignedTx::TransferSubnetOwnership).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferSubnetOwnershipTx {
    /// Common fields.
    pub base: BaseTx,
    /// Which subnet.
    pub subnet: Id,
    /// How its owner authorizes.
    pub subnet_auth: Auth,
    /// The new owner.
    pub owner: Owner,
}
wire_struct!(TransferSubnetOwnershipTx { base, subnet, subnet_auth, owner });

/// See [`UnsignedTx::TransformSubnet`](super::UnsignedTx::TransformSubnet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformSubnetTx {
    /// Common fields.
    pub base: BaseTx,
    /// Which subnet.
    pub subnet: Id,
    /// What is staked there.
    pub asset_id: Id,
    /// Units at the beginning.
    pub initial_supply: u64,
    /// Units that can ever be.
    pub maximum_supply: u64,
    /// Reward rate of the shortest stake, in millionths.
    pub min_consumption_rate: u64,
    /// Reward rate of the longest stake, in millionths.
    pub max_consumption_rate: u64,
    /// Smallest stake of a validator.
    pub min_validator_stake: u64,
    /// Largest stake of a validator with its delegators.
    pub max_validator_stake: u64,
    /// In seconds.
    pub min_stake_duration: u32,
    /// In seconds.
    pub max_stake_duration: u32,
    /// In millionths.
    pub min_delegation_fee: u32,
    /// Smallest stake of a delegator.
    pub min_delegator_stake: u64,
    /// Largest multiple of its own stake that a validator may weigh.
    pub max_validator_weight_factor: u8,
    /// Uptime that earns the reward, in millionths.
    pub uptime_requirement: u32,
    /// How the subnet's owner authorizes.
    pub subnet_auth: Auth,
}
wire_struct!(TransformSubnetTx {
    base,
    subnet,
    asset_id,
    initial_supply,
    maximum_supply,
    min_consumption_rate,
    max_consumption_rate,
    min_validator_stake,
    max_validator_stake,
    min_stake_duration,
    max_stake_duration,
    min_delegation_fee,
    min_delegator_stake,
    max_validator_weight_factor,
    uptime_requirement,
    subnet_auth,
});
