//! The transactions of the P-chain. Which of them are valid when is not decided here.
//! Mirrors `vms/platformvm/txs`.

pub mod execute;
pub mod fee;
mod l1;
mod staking;
mod subnets;
pub mod verify;

use avalanche_codec::{CodecError, unmarshal, wire_enum};
use avalanche_vm::avax::{self, SignedTx};

pub use self::{
    l1::{
        ConvertSubnetToL1Tx, ConvertSubnetToL1Validator, DisableL1ValidatorTx, IncreaseL1ValidatorBalanceTx,
        RegisterL1ValidatorTx, SetL1ValidatorWeightTx,
    },
    staking::{
        AddAutoRenewedValidatorTx, AddDelegatorTx, AddPermissionlessDelegatorTx,
        AddPermissionlessValidatorTx, AddValidatorTx, AdvanceTimeTx, RewardAutoRenewedValidatorTx,
        RewardValidatorTx, SetAutoRenewedValidatorConfigTx, Validator,
    },
    subnets::{
        AddSubnetValidatorTx, CreateChainTx, CreateSubnetTx, RemoveSubnetValidatorTx, SubnetValidator,
        TransferSubnetOwnershipTx, TransformSubnetTx,
    },
};
use crate::fx::{Auth, BaseTx, Credential, Input, Output, TransferableInput, TransferableOutput};

/// A transaction with its credentials.
pub type Tx = SignedTx<UnsignedTx, Credential>;

/// Reads a signed transaction of at most 256 KiB.
///
/// # Errors
/// The bytes are not one.
pub fn parse(bytes: &[u8]) -> Result<Tx, CodecError> {
    unmarshal(bytes)
}

/// A transaction with its name and encoding, computed once.
pub type NamedTx = avax::NamedTx<UnsignedTx, Credential>;

/// Takes assets that another chain exported.
pub type ImportTx = avax::ImportTx<Output, Input>;

/// Puts assets where another chain can import them.
pub type ExportTx = avax::ExportTx<Output, Input>;

/// What is signed. The upgrade that brought a kind is noted where it is not Apricot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsignedTx {
    /// Validates the primary network, without BLS key.
    AddValidator(Box<AddValidatorTx>),
    /// Validates a permissioned subnet.
    AddSubnetValidator(Box<AddSubnetValidatorTx>),
    /// Delegates to a validator of the primary network.
    AddDelegator(Box<AddDelegatorTx>),
    /// Makes a chain.
    CreateChain(Box<CreateChainTx>),
    /// Makes a subnet.
    CreateSubnet(Box<CreateSubnetTx>),
    /// Takes assets from another chain.
    Import(Box<ImportTx>),
    /// Gives assets to another chain.
    Export(Box<ExportTx>),
    /// Moves the chain's time, before Banff.
    AdvanceTime(AdvanceTimeTx),
    /// Proposes to reward or not the staker whose time is over.
    RewardValidator(RewardValidatorTx),
    /// Removes a validator of a permissioned subnet (Banff).
    RemoveSubnetValidator(Box<RemoveSubnetValidatorTx>),
    /// Makes a subnet permissionless (Banff, until Etna).
    TransformSubnet(Box<TransformSubnetTx>),
    /// Validates the primary network or a permissionless subnet (Banff).
    AddPermissionlessValidator(Box<AddPermissionlessValidatorTx>),
    /// Delegates to a validator added by the former (Banff).
    AddPermissionlessDelegator(Box<AddPermissionlessDelegatorTx>),
    /// Hands a subnet over (Durango).
    TransferSubnetOwnership(Box<TransferSubnetOwnershipTx>),
    /// Moves assets (Durango).
    Base(Box<BaseTx>),
    /// Makes a subnet an L1 (Etna).
    ConvertSubnetToL1(Box<ConvertSubnetToL1Tx>),
    /// Adds a validator of an L1 (Etna).
    RegisterL1Validator(Box<RegisterL1ValidatorTx>),
    /// Changes or removes a validator of an L1 (Etna).
    SetL1ValidatorWeight(Box<SetL1ValidatorWeightTx>),
    /// Pays for a validator of an L1 (Etna).
    IncreaseL1ValidatorBalance(Box<IncreaseL1ValidatorBalanceTx>),
    /// Stops a validator of an L1 (Etna).
    DisableL1Validator(Box<DisableL1ValidatorTx>),
    /// Validates the primary network in renewed periods (Helicon).
    AddAutoRenewedValidator(Box<AddAutoRenewedValidatorTx>),
    /// Changes how it renews (Helicon).
    SetAutoRenewedValidatorConfig(Box<SetAutoRenewedValidatorConfigTx>),
    /// Proposes to reward or not the staker whose period is over (Helicon).
    RewardAutoRenewedValidator(RewardAutoRenewedValidatorTx),
}
wire_enum!(UnsignedTx {
    12 => AddValidator,
    13 => AddSubnetValidator,
    14 => AddDelegator,
    15 => CreateChain,
    16 => CreateSubnet,
    17 => Import,
    18 => Export,
    19 => AdvanceTime,
    20 => RewardValidator,
    23 => RemoveSubnetValidator,
    24 => TransformSubnet,
    25 => AddPermissionlessValidator,
    26 => AddPermissionlessDelegator,
    33 => TransferSubnetOwnership,
    34 => Base,
    35 => ConvertSubnetToL1,
    36 => RegisterL1Validator,
    37 => SetL1ValidatorWeight,
    38 => IncreaseL1ValidatorBalance,
    39 => DisableL1Validator,
    40 => AddAutoRenewedValidator,
    41 => SetAutoRenewedValidatorConfig,
    42 => RewardAutoRenewedValidator,
});

impl UnsignedTx {
    /// The common fields, where the kind has them.
    #[must_use]
    pub fn base(&self) -> Option<&BaseTx> {
        Some(match self {
            Self::AddValidator(tx) => &tx.base,
            Self::AddSubnetValidator(tx) => &tx.base,
            Self::AddDelegator(tx) => &tx.base,
            Self::CreateChain(tx) => &tx.base,
            Self::CreateSubnet(tx) => &tx.base,
            Self::Import(tx) => &tx.base,
            Self::Export(tx) => &tx.base,
            Self::RemoveSubnetValidator(tx) => &tx.base,
            Self::TransformSubnet(tx) => &tx.base,
            Self::AddPermissionlessValidator(tx) => &tx.base,
            Self::AddPermissionlessDelegator(tx) => &tx.base,
            Self::TransferSubnetOwnership(tx) => &tx.base,
            Self::Base(tx) => tx,
            Self::ConvertSubnetToL1(tx) => &tx.base,
            Self::RegisterL1Validator(tx) => &tx.base,
            Self::SetL1ValidatorWeight(tx) => &tx.base,
            Self::IncreaseL1ValidatorBalance(tx) => &tx.base,
            Self::DisableL1Validator(tx) => &tx.base,
            Self::AddAutoRenewedValidator(tx) => &tx.base,
            Self::SetAutoRenewedValidatorConfig(tx) => &tx.base,
            Self::AdvanceTime(_) | Self::RewardValidator(_) | Self::RewardAutoRenewedValidator(_) => {
                return None;
            }
        })
    }

    /// Everything spent, in the order of the credentials.
    pub fn inputs(&self) -> impl Iterator<Item = &TransferableInput> {
        let imported = if let Self::Import(tx) = self { tx.imported_inputs.as_slice() } else { &[] };
        self.base().into_iter().flat_map(|base| &base.ins).chain(imported)
    }

    /// Everything made: outputs, then exported or staked ones.
    pub fn outputs(&self) -> impl Iterator<Item = &TransferableOutput> {
        let more = match self {
            Self::Export(tx) => tx.exported_outputs.as_slice(),
            _ => self.stake(),
        };
        self.base().into_iter().flat_map(|base| &base.outs).chain(more)
    }

    /// What is locked for as long as the staker stakes.
    #[must_use]
    pub fn stake(&self) -> &[TransferableOutput] {
        match self {
            Self::AddValidator(tx) => &tx.stake_outs,
            Self::AddDelegator(tx) => &tx.stake_outs,
            Self::AddPermissionlessValidator(tx) => &tx.stake_outs,
            Self::AddPermissionlessDelegator(tx) => &tx.stake_outs,
            Self::AddAutoRenewedValidator(tx) => &tx.stake_outs,
            _ => &[],
        }
    }

    /// The authorization, whose credential comes after those of the inputs.
    #[must_use]
    pub fn auth(&self) -> Option<&Auth> {
        Some(match self {
            Self::AddSubnetValidator(tx) => &tx.subnet_auth,
            Self::CreateChain(tx) => &tx.subnet_auth,
            Self::RemoveSubnetValidator(tx) => &tx.subnet_auth,
            Self::TransformSubnet(tx) => &tx.subnet_auth,
            Self::TransferSubnetOwnership(tx) => &tx.subnet_auth,
            Self::ConvertSubnetToL1(tx) => &tx.subnet_auth,
            Self::DisableL1Validator(tx) => &tx.disable_auth,
            Self::SetAutoRenewedValidatorConfig(tx) => &tx.auth,
            _ => return None,
        })
    }
}
