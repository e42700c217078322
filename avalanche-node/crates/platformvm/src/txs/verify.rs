//! Is a transaction well formed? The rules that need neither state nor time: one [`SyntacticError`] each.
//! Mirrors the `SyntacticVerify` methods of `vms/platformvm/txs`. Signatures, fees, flow of assets and everything about
//! the chain's state are not checked here; since Durango a memo must also be empty.

use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_vm::{avax, secp256k1fx};

use super::{
    AddAutoRenewedValidatorTx, AddPermissionlessValidatorTx, ConvertSubnetToL1Tx, CreateChainTx, ExportTx,
    TransformSubnetTx, UnsignedTx,
};
use crate::{
    CHAIN_ID,
    fx::{Auth, BaseTx, Input, Output, Owner, Signer, TransferableInput, TransferableOutput},
    reward::PERCENT_DENOMINATOR,
    warp::PChainOwner,
};

/// Longest memo before Durango, in bytes.
pub const MAX_MEMO_LEN: usize = 256;
/// Longest name of a chain, in bytes.
pub const MAX_CHAIN_NAME_LEN: usize = 128;
/// Longest genesis of a chain, in bytes.
pub const MAX_CHAIN_GENESIS_LEN: usize = 1024 * 1024;
/// Longest address of an L1's managing contract, in bytes.
pub const MAX_SUBNET_ADDRESS_LEN: usize = 4096;

/// Which rule a transaction breaks. The name of the reference's error is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntacticError {
    /// For another network (`ErrWrongNetworkID`).
    #[error("wrong network id")]
    WrongNetwork,
    /// For another chain (`ErrWrongChainID`).
    #[error("wrong chain id")]
    WrongChain,
    /// A memo above [`MAX_MEMO_LEN`] (`ErrMemoTooLarge`).
    #[error("memo of {0} bytes is too large")]
    MemoTooLarge(usize),
    /// An asset without id (`errEmptyAssetID`).
    #[error("empty asset id")]
    EmptyAssetId,
    /// An output of nothing (`ErrNoValueOutput`).
    #[error("output has no value")]
    NoValueOutput,
    /// An input of nothing (`ErrNoValueInput`).
    #[error("input has no value")]
    NoValueInput,
    /// More signatures needed than addresses (`ErrOutputUnspendable`).
    #[error("output is unspendable")]
    OutputUnspendable,
    /// Addresses but no signature needed (`ErrOutputUnoptimized`).
    #[error("output representation should be optimized")]
    OutputUnoptimized,
    /// Addresses out of order or twice (`ErrAddrsNotSortedUnique`).
    #[error("addresses not sorted and unique")]
    AddrsNotSortedUnique,
    /// Indices of signatures out of order or twice (`ErrInputIndicesNotSortedUnique`).
    #[error("signature indices not sorted and unique")]
    InputIndicesNotSortedUnique,
    /// A lock until the beginning of time (`errInvalidLocktime`).
    #[error("invalid lock time")]
    InvalidLocktime,
    /// Outputs out of order (`errOutputsNotSorted`).
    #[error("outputs not sorted")]
    OutputsNotSorted,
    /// Inputs out of order or twice (`errInputsNotSortedUnique`).
    #[error("inputs not sorted and unique")]
    InputsNotSortedUnique,
    /// An import of nothing (`errNoImportInputs`).
    #[error("no imported inputs")]
    NoImportInputs,
    /// An export of nothing (`errNoExportOutputs`).
    #[error("no exported outputs")]
    NoExportOutputs,
    /// An export of something locked (`ErrWrongLocktime`).
    #[error("exported output is locked")]
    LockedExport,
    /// A staker without weight (`ErrWeightTooSmall`).
    #[error("weight is zero")]
    WeightTooSmall,
    /// A validator without node (`errEmptyNodeID`).
    #[error("empty node id")]
    EmptyNodeId,
    /// A node id that has not 20 bytes.
    #[error("node id of {0} bytes")]
    NodeIdLength(usize),
    /// A staker without stake (`errNoStake`).
    #[error("no stake")]
    NoStake,
    /// A share above the whole (`errTooManyShares`).
    #[error("a staker cannot keep more than 100 % of rewards")]
    TooManyShares,
    /// A renewal that stakes more than the whole reward (`errTooManyAutoCompoundRewardShares`).
    #[error("more than 100 % of rewards staked again")]
    TooManyAutoCompoundShares,
    /// The stake does not fit 64 bits.
    #[error("stake overflows")]
    StakeOverflow,
    /// A stake of several assets (`errMultipleStakedAssets`).
    #[error("multiple staked assets")]
    MultipleStakedAssets,
    /// A stake of another asset than AVAX (`errStakeMustBeAVAX`, `errInvalidStakedAsset`).
    #[error("stake must be AVAX")]
    StakeMustBeAvax,
    /// A weight that is not the stake (`errValidatorWeightMismatch`, `errDelegatorWeightMismatch`).
    #[error("weight {weight} is not the stake {stake}")]
    WeightMismatch {
        /// What is claimed.
        weight: u64,
        /// What is staked.
        stake: u64,
    },
    /// A proof of possession that does not hold (`ErrInvalidProofOfPossession`).
    #[error("invalid proof of possession")]
    ProofOfPossession,
    /// A key elsewhere than on the primary network, or none there (`errInvalidSigner`).
    #[error("only validators of the primary network have a BLS key, and all of them")]
    InvalidSigner,
    /// A renewed validator without key (`errMissingSigner`).
    #[error("missing BLS key")]
    MissingSigner,
    /// A renewed validator without period (`errMissingPeriod`).
    #[error("missing period")]
    MissingPeriod,
    /// No transaction named (`errMissingTxID`).
    #[error("missing transaction id")]
    MissingTxId,
    /// No time named (`errMissingTimestamp`).
    #[error("missing timestamp")]
    MissingTimestamp,
    /// Something that is only done to other subnets (`errAddPrimaryNetworkValidator`, `ErrCantValidatePrimaryNetwork`,
    /// `ErrRemovePrimaryNetworkValidator`, `ErrTransferPermissionlessSubnet`, `errCantTransformPrimaryNetwork`,
    /// `ErrConvertPermissionlessSubnet`).
    #[error("not possible on the primary network")]
    PrimaryNetwork,
    /// A name above [`MAX_CHAIN_NAME_LEN`] (`errNameTooLong`).
    #[error("chain name of {0} bytes is too long")]
    NameTooLong(usize),
    /// A chain without virtual machine (`errInvalidVMID`).
    #[error("invalid virtual machine id")]
    InvalidVmId,
    /// Fxs out of order or twice (`errFxIDsNotSortedAndUnique`).
    #[error("fx ids not sorted and unique")]
    FxIdsNotSortedAndUnique,
    /// A genesis above [`MAX_CHAIN_GENESIS_LEN`] (`errGenesisTooLong`).
    #[error("genesis of {0} bytes is too long")]
    GenesisTooLong(usize),
    /// A name with other characters than ASCII letters, digits and spaces (`errIllegalNameCharacter`).
    #[error("illegal character in the chain name")]
    IllegalNameCharacter,
    /// Parameters of a permissionless subnet that contradict each other: the rule.
    #[error("{0}")]
    Transform(&'static str),
    /// An address above [`MAX_SUBNET_ADDRESS_LEN`] (`ErrAddressTooLong`).
    #[error("address of {0} bytes is too long")]
    AddressTooLong(usize),
    /// An L1 without validators (`ErrConvertMustIncludeValidators`).
    #[error("conversion without validators")]
    NoValidators,
    /// Validators out of order or twice (`ErrConvertValidatorsNotSortedAndUnique`).
    #[error("validators not sorted and unique")]
    ValidatorsNotSortedUnique,
    /// A validator of an L1 without weight (`ErrZeroWeight`).
    #[error("validator weight must be non-zero")]
    ZeroWeight,
    /// A top-up of nothing (`ErrZeroBalance`).
    #[error("balance must be greater than 0")]
    ZeroBalance,
}

/// What the rules depend on.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The network.
    pub network_id: u32,
    /// The asset that pays for everything.
    pub avax_asset_id: Id,
}

type Verdict = Result<(), SyntacticError>;

/// Checks that a transaction is well formed.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(tx: &UnsignedTx, context: &Context) -> Verdict {
    before_base(tx, context)?;
    if let Some(base) = tx.base() {
        verify_base(base, context)?;
    }
    after_base(tx, context)
}

/// Rules that are looked at before the common fields.
fn before_base(tx: &UnsignedTx, context: &Context) -> Verdict {
    match tx {
        UnsignedTx::AddValidator(tx) => verify_shares(tx.delegation_shares),
        UnsignedTx::AddPermissionlessValidator(tx) => {
            ensure(tx.validator.node_id != NodeId::EMPTY, SyntacticError::EmptyNodeId)?;
            ensure(!tx.stake_outs.is_empty(), SyntacticError::NoStake)?;
            verify_shares(tx.delegation_shares)
        }
        UnsignedTx::AddPermissionlessDelegator(tx) => {
            ensure(!tx.stake_outs.is_empty(), SyntacticError::NoStake)
        }
        UnsignedTx::AddSubnetValidator(tx) => verify_subnet(tx.validator.subnet),
        UnsignedTx::CreateChain(tx) => verify_chain(tx),
        UnsignedTx::Import(tx) => ensure(!tx.imported_inputs.is_empty(), SyntacticError::NoImportInputs),
        UnsignedTx::Export(tx) => ensure(!tx.exported_outputs.is_empty(), SyntacticError::NoExportOutputs),
        UnsignedTx::RemoveSubnetValidator(tx) => verify_subnet(tx.subnet),
        UnsignedTx::TransferSubnetOwnership(tx) => verify_subnet(tx.subnet),
        UnsignedTx::TransformSubnet(tx) => verify_transform(tx, context),
        UnsignedTx::ConvertSubnetToL1(tx) => {
            verify_subnet(tx.subnet)?;
            let len = tx.address.len();
            ensure(len <= MAX_SUBNET_ADDRESS_LEN, SyntacticError::AddressTooLong(len))?;
            ensure(!tx.validators.is_empty(), SyntacticError::NoValidators)?;
            let ordered = tx.validators.is_sorted_by(|left, right| left.node_id < right.node_id);
            ensure(ordered, SyntacticError::ValidatorsNotSortedUnique)
        }
        UnsignedTx::IncreaseL1ValidatorBalance(tx) => ensure(tx.balance > 0, SyntacticError::ZeroBalance),
        UnsignedTx::AddAutoRenewedValidator(tx) => {
            ensure(!tx.stake_outs.is_empty(), SyntacticError::NoStake)?;
            verify_shares(tx.delegation_shares)?;
            verify_compound_shares(tx.auto_compound_reward_shares)?;
            ensure(tx.period > 0, SyntacticError::MissingPeriod)?;
            verify_node_id(&tx.node_id)
        }
        UnsignedTx::SetAutoRenewedValidatorConfig(tx) => {
            ensure(tx.tx_id != Id::EMPTY, SyntacticError::MissingTxId)?;
            verify_compound_shares(tx.auto_compound_reward_shares)
        }
        UnsignedTx::RewardAutoRenewedValidator(tx) => {
            ensure(tx.tx_id != Id::EMPTY, SyntacticError::MissingTxId)?;
            ensure(tx.timestamp > 0, SyntacticError::MissingTimestamp)
        }
        UnsignedTx::AddDelegator(_)
        | UnsignedTx::CreateSubnet(_)
        | UnsignedTx::AdvanceTime(_)
        | UnsignedTx::RewardValidator(_)
        | UnsignedTx::Base(_)
        | UnsignedTx::RegisterL1Validator(_)
        | UnsignedTx::SetL1ValidatorWeight(_)
        | UnsignedTx::DisableL1Validator(_) => Ok(()),
    }
}

/// Rules that are looked at after the common fields.
fn after_base(tx: &UnsignedTx, context: &Context) -> Verdict {
    match tx {
        UnsignedTx::AddValidator(tx) => {
            verify_weight(tx.validator.weight)?;
            verify_owner(&tx.rewards_owner)?;
            verify_stake(&tx.stake_outs, Some(context.avax_asset_id), tx.validator.weight)
        }
        UnsignedTx::AddDelegator(tx) => {
            verify_weight(tx.validator.weight)?;
            verify_owner(&tx.rewards_owner)?;
            verify_stake(&tx.stake_outs, Some(context.avax_asset_id), tx.validator.weight)
        }
        UnsignedTx::AddPermissionlessValidator(tx) => verify_permissionless(tx),
        UnsignedTx::AddPermissionlessDelegator(tx) => {
            verify_weight(tx.validator.weight)?;
            verify_owner(&tx.rewards_owner)?;
            verify_stake(&tx.stake_outs, None, tx.validator.weight)
        }
        UnsignedTx::AddSubnetValidator(tx) => {
            verify_weight(tx.validator.validator.weight)?;
            verify_auth(&tx.subnet_auth)
        }
        UnsignedTx::CreateSubnet(tx) => verify_owner(&tx.owner),
        UnsignedTx::Import(tx) => verify_inputs(&tx.imported_inputs),
        UnsignedTx::Export(tx) => verify_export(tx),
        UnsignedTx::TransferSubnetOwnership(tx) => {
            verify_auth(&tx.subnet_auth)?;
            verify_owner(&tx.owner)
        }
        UnsignedTx::ConvertSubnetToL1(tx) => verify_conversion(tx),
        UnsignedTx::AddAutoRenewedValidator(tx) => verify_auto_renewed(tx, context),
        _ => tx.auth().map_or(Ok(()), verify_auth),
    }
}

fn ensure(holds: bool, error: SyntacticError) -> Verdict {
    if holds { Ok(()) } else { Err(error) }
}

fn verify_base(base: &BaseTx, context: &Context) -> Verdict {
    ensure(base.network_id == context.network_id, SyntacticError::WrongNetwork)?;
    ensure(base.blockchain_id == CHAIN_ID, SyntacticError::WrongChain)?;
    ensure(base.memo.len() <= MAX_MEMO_LEN, SyntacticError::MemoTooLarge(base.memo.len()))?;
    base.outs.iter().try_for_each(verify_output)?;
    base.ins.iter().try_for_each(verify_input)?;
    ensure(avax::outputs_are_sorted(&base.outs), SyntacticError::OutputsNotSorted)?;
    ensure(avax::inputs_are_sorted_and_unique(&base.ins), SyntacticError::InputsNotSortedUnique)
}

fn verify_output(output: &TransferableOutput) -> Verdict {
    ensure(output.asset_id != Id::EMPTY, SyntacticError::EmptyAssetId)?;
    if let Output::Locked(locked) = &output.out {
        ensure(locked.locktime > 0, SyntacticError::InvalidLocktime)?;
    }
    let transfer = output.out.transfer();
    ensure(transfer.amount > 0, SyntacticError::NoValueOutput)?;
    verify_owners(transfer.owners.threshold, &transfer.owners.addrs)
}

fn verify_input(input: &TransferableInput) -> Verdict {
    ensure(input.asset_id != Id::EMPTY, SyntacticError::EmptyAssetId)?;
    if let Input::Locked(locked) = &input.input {
        ensure(locked.locktime > 0, SyntacticError::InvalidLocktime)?;
    }
    let transfer = input.input.transfer();
    ensure(transfer.amount > 0, SyntacticError::NoValueInput)?;
    verify_indices(&transfer.input)
}

fn verify_inputs(inputs: &[TransferableInput]) -> Verdict {
    inputs.iter().try_for_each(verify_input)?;
    ensure(avax::inputs_are_sorted_and_unique(inputs), SyntacticError::InputsNotSortedUnique)
}

fn verify_indices(input: &secp256k1fx::Input) -> Verdict {
    let ordered = input.sig_indices.is_sorted_by(|left, right| left < right);
    ensure(ordered, SyntacticError::InputIndicesNotSortedUnique)
}

fn verify_auth(auth: &Auth) -> Verdict {
    verify_indices(auth.input())
}

fn verify_owner(Owner::Secp256k1(owners): &Owner) -> Verdict {
    verify_owners(owners.threshold, &owners.addrs)
}

fn verify_p_chain_owner(owner: &PChainOwner) -> Verdict {
    verify_owners(owner.threshold, &owner.addresses)
}

fn verify_owners(threshold: u32, addresses: &[ShortId]) -> Verdict {
    let enough = usize::try_from(threshold).is_ok_and(|threshold| threshold <= addresses.len());
    ensure(enough, SyntacticError::OutputUnspendable)?;
    ensure(threshold > 0 || addresses.is_empty(), SyntacticError::OutputUnoptimized)?;
    ensure(addresses.is_sorted_by(|left, right| left < right), SyntacticError::AddrsNotSortedUnique)
}

fn verify_shares(shares: u32) -> Verdict {
    ensure(u64::from(shares) <= PERCENT_DENOMINATOR, SyntacticError::TooManyShares)
}

fn verify_compound_shares(shares: u32) -> Verdict {
    ensure(u64::from(shares) <= PERCENT_DENOMINATOR, SyntacticError::TooManyAutoCompoundShares)
}

fn verify_weight(weight: u64) -> Verdict {
    ensure(weight > 0, SyntacticError::WeightTooSmall)
}

fn verify_subnet(subnet: Id) -> Verdict {
    ensure(subnet != CHAIN_ID, SyntacticError::PrimaryNetwork)
}

fn verify_node_id(node_id: &[u8]) -> Verdict {
    let node_id = <[u8; 20]>::try_from(node_id).map_err(|_| SyntacticError::NodeIdLength(node_id.len()))?;
    ensure(NodeId(node_id) != NodeId::EMPTY, SyntacticError::EmptyNodeId)
}

fn verify_signer(signer: &Signer) -> Verdict {
    match signer {
        Signer::Empty(_) => Ok(()),
        Signer::Proof(proof) => proof.verify().map(drop).map_err(|_| SyntacticError::ProofOfPossession),
    }
}

/// Outputs of one asset, `asset` where it is given, that sum up to a weight.
fn verify_stake(outputs: &[TransferableOutput], asset: Option<Id>, weight: u64) -> Verdict {
    outputs.iter().try_for_each(verify_output)?;
    let stake = sum_stake(outputs)?;
    let first = outputs.first().map(|output| output.asset_id);
    let of_one_asset = outputs.iter().all(|output| Some(output.asset_id) == asset.or(first));
    let error =
        if asset.is_some() { SyntacticError::StakeMustBeAvax } else { SyntacticError::MultipleStakedAssets };
    ensure(of_one_asset, error)?;
    ensure(avax::outputs_are_sorted(outputs), SyntacticError::OutputsNotSorted)?;
    ensure(stake == weight, SyntacticError::WeightMismatch { weight, stake })
}

fn sum_stake(outputs: &[TransferableOutput]) -> Result<u64, SyntacticError> {
    outputs
        .iter()
        .try_fold(0_u64, |sum, output| sum.checked_add(output.out.transfer().amount))
        .ok_or(SyntacticError::StakeOverflow)
}

fn verify_permissionless(tx: &AddPermissionlessValidatorTx) -> Verdict {
    verify_weight(tx.validator.weight)?;
    verify_signer(&tx.signer)?;
    verify_owner(&tx.validator_rewards_owner)?;
    verify_owner(&tx.delegator_rewards_owner)?;
    let has_key = matches!(tx.signer, Signer::Proof(_));
    ensure(has_key == (tx.subnet == CHAIN_ID), SyntacticError::InvalidSigner)?;
    verify_stake(&tx.stake_outs, None, tx.validator.weight)
}

fn verify_auto_renewed(tx: &AddAutoRenewedValidatorTx, context: &Context) -> Verdict {
    verify_signer(&tx.signer)?;
    verify_owner(&tx.validator_rewards_owner)?;
    verify_owner(&tx.delegator_rewards_owner)?;
    verify_owner(&tx.validator_authority)?;
    ensure(matches!(tx.signer, Signer::Proof(_)), SyntacticError::MissingSigner)?;
    tx.stake_outs.iter().try_for_each(verify_output)?;
    let avax = tx.stake_outs.iter().all(|output| output.asset_id == context.avax_asset_id);
    ensure(avax, SyntacticError::StakeMustBeAvax)?;
    sum_stake(&tx.stake_outs)?;
    ensure(avax::outputs_are_sorted(&tx.stake_outs), SyntacticError::OutputsNotSorted)
}

fn verify_chain(tx: &CreateChainTx) -> Verdict {
    verify_subnet(tx.subnet_id)?;
    let name = tx.chain_name.as_bytes();
    ensure(name.len() <= MAX_CHAIN_NAME_LEN, SyntacticError::NameTooLong(name.len()))?;
    ensure(tx.vm_id != Id::EMPTY, SyntacticError::InvalidVmId)?;
    let ordered = tx.fx_ids.is_sorted_by(|left, right| left < right);
    ensure(ordered, SyntacticError::FxIdsNotSortedAndUnique)?;
    let len = tx.genesis_data.len();
    ensure(len <= MAX_CHAIN_GENESIS_LEN, SyntacticError::GenesisTooLong(len))?;
    let legal = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ');
    ensure(legal, SyntacticError::IllegalNameCharacter)
}

fn verify_export(tx: &ExportTx) -> Verdict {
    for output in &tx.exported_outputs {
        verify_output(output)?;
        ensure(matches!(output.out, Output::Transfer(_)), SyntacticError::LockedExport)?;
    }
    ensure(avax::outputs_are_sorted(&tx.exported_outputs), SyntacticError::OutputsNotSorted)
}

fn verify_conversion(tx: &ConvertSubnetToL1Tx) -> Verdict {
    for validator in &tx.validators {
        ensure(validator.weight > 0, SyntacticError::ZeroWeight)?;
        verify_node_id(&validator.node_id)?;
        validator.signer.verify().map_err(|_| SyntacticError::ProofOfPossession)?;
        verify_p_chain_owner(&validator.remaining_balance_owner)?;
        verify_p_chain_owner(&validator.deactivation_owner)?;
    }
    verify_auth(&tx.subnet_auth)
}

fn verify_transform(tx: &TransformSubnetTx, context: &Context) -> Verdict {
    verify_subnet(tx.subnet)?;
    let percent = |rate: u64| rate <= PERCENT_DENOMINATOR;
    let rules = [
        (tx.asset_id != Id::EMPTY, "asset id is empty"),
        (tx.asset_id != context.avax_asset_id, "asset cannot be AVAX"),
        (tx.initial_supply > 0, "initial supply is zero"),
        (tx.initial_supply <= tx.maximum_supply, "initial supply is above the maximum"),
        (tx.min_consumption_rate <= tx.max_consumption_rate, "min consumption rate is above the max"),
        (percent(tx.max_consumption_rate), "max consumption rate is above 100 %"),
        (tx.min_validator_stake > 0, "min validator stake is zero"),
        (tx.min_validator_stake <= tx.initial_supply, "min validator stake is above the initial supply"),
        (tx.min_validator_stake <= tx.max_validator_stake, "min validator stake is above the max"),
        (tx.max_validator_stake <= tx.maximum_supply, "max validator stake is above the maximum supply"),
        (tx.min_stake_duration > 0, "min stake duration is zero"),
        (tx.min_stake_duration <= tx.max_stake_duration, "min stake duration is above the max"),
        (percent(u64::from(tx.min_delegation_fee)), "min delegation fee is above 100 %"),
        (tx.min_delegator_stake > 0, "min delegator stake is zero"),
        (tx.max_validator_weight_factor > 0, "max validator weight factor is zero"),
        (percent(u64::from(tx.uptime_requirement)), "uptime requirement is above 100 %"),
    ];
    rules.into_iter().try_for_each(|(holds, rule)| ensure(holds, SyntacticError::Transform(rule)))
}

#[cfg(test)]
mod tests;
