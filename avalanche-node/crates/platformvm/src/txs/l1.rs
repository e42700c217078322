//! Transactions about L1s, whose validators pay by the second (ACP-77).

use avalanche_codec::wire_struct;
use avalanche_crypto::bls;
use avalanche_ids::Id;

use crate::{
    fx::{Auth, BaseTx, ProofOfPossession},
    warp::PChainOwner,
};

/// See [`UnsignedTx::ConvertSubnetToL1`](super::UnsignedTx::ConvertSubnetToL1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertSubnetToL1Tx {
    /// Common fields.
    pub base: BaseTx,
    /// Which subnet.
    pub subnet: Id,
    /// The chain of the contract that manages validators.
    pub chain_id: Id,
    /// That contract's address, at most 4096 bytes when valid.
    pub address: Vec<u8>,
    /// The first validators, sorted by node when valid.
    pub validators: Vec<ConvertSubnetToL1Validator>,
    /// How the subnet's owner authorizes.
    pub subnet_auth: Auth,
}
wire_struct!(ConvertSubnetToL1Tx { base, subnet, chain_id, address, validators, subnet_auth });

/// A validator an L1 begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertSubnetToL1Validator {
    /// The node, 20 bytes when valid.
    pub node_id: Vec<u8>,
    /// Its weight.
    pub weight: u64,
    /// nAVAX to pay its fee from; inactive when zero.
    pub balance: u64,
    /// Its key.
    pub signer: ProofOfPossession,
    /// Who gets what is left of the balance.
    pub remaining_balance_owner: PChainOwner,
    /// Who may stop it.
    pub deactivation_owner: PChainOwner,
}
wire_struct!(ConvertSubnetToL1Validator {
    node_id,
    weight,
    balance,
    signer,
    remaining_balance_owner,
    deactivation_owner,
});

/// See [`UnsignedTx::RegisterL1Validator`](super::UnsignedTx::RegisterL1Validator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterL1ValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// nAVAX to pay its fee from.
    pub balance: u64,
    /// Proof for the key that the message names.
    pub proof_of_possession: [u8; bls::SIGNATURE_LEN],
    /// Warp message with a registration.
    pub message: Vec<u8>,
}
wire_struct!(RegisterL1ValidatorTx { base, balance, proof_of_possession, message });

/// See [`UnsignedTx::SetL1ValidatorWeight`](super::UnsignedTx::SetL1ValidatorWeight).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetL1ValidatorWeightTx {
    /// Common fields.
    pub base: BaseTx,
    /// Warp message with a weight.
    pub message: Vec<u8>,
}
wire_struct!(SetL1ValidatorWeightTx { base, message });

/// See [`UnsignedTx::IncreaseL1ValidatorBalance`](super::UnsignedTx::IncreaseL1ValidatorBalance).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncreaseL1ValidatorBalanceTx {
    /// Common fields.
    pub base: BaseTx,
    /// Which validator.
    pub validation_id: Id,
    /// nAVAX to add.
    pub balance: u64,
}
wire_struct!(IncreaseL1ValidatorBalanceTx { base, validation_id, balance });

/// See [`UnsignedTx::DisableL1Validator`](super::UnsignedTx::DisableL1Validator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisableL1ValidatorTx {
    /// Common fields.
    pub base: BaseTx,
    /// Which validator.
    pub validation_id: Id,
    /// How its deactivation owner authorizes.
    pub disable_auth: Auth,
}
wire_struct!(DisableL1ValidatorTx { base, validation_id, disable_auth });
