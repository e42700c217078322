//! Is a well-formed transaction valid on a state, and what does it change? One [`ExecError`] per rule. Transactions of
//! standard blocks are here, proposals in [`reward`], stakers in `staking`, L1s in `l1`.
//! Mirrors `vms/platformvm/txs/executor`.

mod advance;
mod l1;
pub mod reward;
mod staking;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use avalanche_codec::{CodecError, marshal, unmarshal_versioned};
use avalanche_db::DbError;
use avalanche_ids::{Id, NodeId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    avax::UtxoId,
    gas::{Dimensions, GasOverflow, InsufficientCapacity},
    secp256k1fx::SpendError,
    shared_memory::{AtomicRequests, Element, Requests, SharedMemory, SharedMemoryError},
};

pub use self::advance::{
    advance_time, deactivate_low_balances, next_block_time, next_change_time, verify_new_chain_time,
};
use super::{
    ExportTx, ImportTx, NamedTx, TransformSubnetTx, UnsignedTx,
    fee::ComplexityError,
    verify::{self, SyntacticError},
};
use crate::{
    CHAIN_ID,
    config::Config,
    fx::{Auth, Credential, Owner, Utxo},
    state::{Draft, StateError},
    utxo::{FlowError, Spend, verify_flow},
    warp::WarpError,
};

/// How far a block's time may lie ahead of the verifier's clock, in seconds.
pub const SYNC_BOUND: u64 = 10;

/// Which rule a transaction or the time of a block breaks. The name of the reference's error is in brackets.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// Malformed whatever the state is.
    #[error("malformed transaction")]
    Syntactic(#[from] SyntacticError),
    /// A change that does not fit the state.
    #[error("change does not fit the state")]
    State(#[from] StateError),
    /// A kind that cannot stand there (`ErrWrongTxType`).
    #[error("wrong transaction type")]
    WrongTxType,
    /// A memo since Durango (`ErrMemoTooLarge`).
    #[error("memo of {0} bytes since Durango")]
    Memo(usize),
    /// A kind before its upgrade (`ErrDurangoUpgradeNotActive`, `errEtnaUpgradeNotActive`, `errHeliconUpgradeNotActive`).
    #[error("attempting to use a {0:?} feature before its activation")]
    NotActive(Fork),
    /// A kind after its end (`ErrAddValidatorTxPostDurango`, `ErrAddDelegatorTxPostDurango`,
    /// `errTransformSubnetTxPostEtna`, `ErrProposedAddStakerTxAfterBanff`, `ErrAdvanceTimeTxIssuedAfterBanff`).
    #[error("not permitted since {0:?}")]
    NotPermittedSince(Fork),
    /// An input that names nothing.
    #[error("UTXO {0} not found")]
    MissingUtxo(Id),
    /// The flow of assets (`ErrFlowCheckFailed`).
    #[error("flow check failed")]
    Flow(#[from] FlowError),
    /// The fee.
    #[error("the fee cannot be computed")]
    Complexity(#[from] ComplexityError),
    /// A sum does not fit 64 bits.
    #[error("amount overflows")]
    Overflow,
    /// Gas does not fit 64 bits.
    #[error("gas overflows")]
    Gas(#[from] GasOverflow),
    /// More gas than the bucket holds.
    #[error("block exceeds the gas capacity")]
    Capacity(#[from] InsufficientCapacity),
    /// Credentials where none belong, or none where one belongs (`errWrongNumberOfCredentials`).
    #[error("wrong number of credentials")]
    Credentials,
    /// A subnet that does not exist.
    #[error("{0} is not a subnet")]
    NoSubnet(Id),
    /// Not authorized by its owner (`errUnauthorizedModification`).
    #[error("unauthorized modification")]
    Unauthorized(#[source] SpendError),
    /// A subnet that became permissionless or an L1 (`errIsImmutable`).
    #[error("{0} is immutable")]
    Immutable(Id),
    /// A subnet that is not permissionless (`ErrIsNotTransformSubnetTx` or not found).
    #[error("{0} is not a permissionless subnet")]
    NotTransformed(Id),
    /// Another chain that is this one or of another subnet (`ErrSameChainID`, `ErrMismatchedSubnetIDs`).
    #[error("{0} is not another chain of the same subnet")]
    NotSameSubnet(Id),
    /// What is imported is not there.
    #[error("not in shared memory")]
    SharedMemory(#[from] SharedMemoryError),
    /// What is imported cannot be read.
    #[error("malformed UTXO in shared memory")]
    Codec(#[from] CodecError),
    /// The empty node (`errEmptyNodeID`).
    #[error("empty node id")]
    EmptyNodeId,
    /// Too small a stake (`ErrWeightTooSmall`).
    #[error("weight is too small")]
    WeightTooSmall,
    /// Too large a stake (`ErrWeightTooLarge`).
    #[error("weight is too large")]
    WeightTooLarge,
    /// Too small a share of delegators' rewards (`ErrInsufficientDelegationFee`).
    #[error("staker charges an insufficient delegation fee")]
    InsufficientDelegationFee,
    /// Too short a stake (`ErrStakeTooShort`).
    #[error("staking period is too short")]
    StakeTooShort,
    /// Too long a stake (`ErrStakeTooLong`, `errMaxStakeDurationTooLarge`).
    #[error("staking period is too long")]
    StakeTooLong,
    /// A start that is not ahead, before Durango (`ErrTimestampNotBeforeStartTime`).
    #[error("chain time {chain} is not before the start {start}")]
    StartNotAhead {
        /// The chain's time.
        chain: u64,
        /// The staker's start.
        start: u64,
    },
    /// Somebody who validates already (`ErrAlreadyValidator`, `ErrDuplicateValidator`).
    #[error("{0} is a validator already")]
    DuplicateValidator(NodeId),
    /// Somebody who does not validate (`ErrNotValidator`).
    #[error("{0} is no current or pending validator")]
    NotValidator(NodeId),
    /// A period that is not within that of the validator (`ErrPeriodMismatch`).
    #[error("staking period is not within the validator's")]
    PeriodMismatch,
    /// Too much delegated (`ErrOverDelegated`).
    #[error("validator would be over delegated")]
    OverDelegated,
    /// Five times the weight does not fit 64 bits (`ErrStakeOverflow`).
    #[error("validator stake exceeds the limit")]
    StakeOverflow,
    /// A stake of another asset (`ErrWrongStakedAssetID`).
    #[error("incorrect staked asset {0}")]
    WrongStakedAsset(Id),
    /// Delegation to a validator that the owner appointed (`ErrDelegateToPermissionedValidator`).
    #[error("delegation to a permissioned validator")]
    DelegateToPermissioned,
    /// Removal of a validator that nobody appointed (`ErrRemovePermissionlessValidator`).
    #[error("attempting to remove a permissionless validator")]
    RemovePermissionless,
    /// As many L1 validators as can be active (`errMaxNumActiveValidators`).
    #[error("already at the maximum of active L1 validators")]
    MaxActiveValidators,
    /// A warp message that cannot be read or is not signed well.
    #[error("warp message")]
    Warp(#[from] WarpError),
    /// A warp message that says something else than the transaction carries out.
    #[error("warp message with another payload")]
    WarpPayload,
    /// A registration with contradictory fields: the rule (`ErrInvalidSubnetID`, `ErrInvalidWeight`, `ErrInvalidNodeID`,
    /// `ErrInvalidOwner`, `ErrNonceReservedForRemoval`).
    #[error("invalid warp message: {0}")]
    WarpContent(&'static str),
    /// A warp message about a subnet that is no L1 (`errCouldNotLoadSubnetToL1Conversion`).
    #[error("{0} is not an L1")]
    NotConverted(Id),
    /// A warp message of another chain than the managing contract's (`errWrongWarpMessageSourceChainID`).
    #[error("wrong source chain of the warp message")]
    WarpSourceChain,
    /// A warp message of another contract than the managing one (`errWrongWarpMessageSourceAddress`).
    #[error("wrong source address of the warp message")]
    WarpSourceAddress,
    /// A registration that is over (`errWarpMessageExpired`).
    #[error("warp message expired at {0}")]
    WarpExpired(u64),
    /// A registration that is too far ahead (`errWarpMessageNotYetAllowed`).
    #[error("warp message expires too far ahead, at {0}")]
    WarpNotYetAllowed(u64),
    /// A registration that was used (`errWarpMessageAlreadyIssued`).
    #[error("warp message already issued for {0}")]
    WarpAlreadyIssued(Id),
    /// A validation that does not exist (`errCouldNotLoadL1Validator`).
    #[error("no L1 validator {0}")]
    NoL1Validator(Id),
    /// A change of weight that is older than the last (`errWarpMessageContainsStaleNonce`).
    #[error("warp message contains the stale nonce {0}")]
    StaleNonce(u64),
    /// Removal of the last validator of an L1 (`errRemovingLastValidator`).
    #[error("attempting to remove the last L1 validator")]
    RemovingLastValidator,
    /// A state that contradicts itself (`errStateCorruption`).
    #[error("state corruption")]
    Corruption,
    /// A transaction that is not about a renewed validator (`errInvalidStakerTxType`, `errShouldBeAutoRenewedStaker`).
    #[error("not a renewed validator")]
    NotAutoRenewed,
    /// A transaction of a renewed validator that is not its last (`errInvalidStakerTx`).
    #[error("not the transaction of the current validator")]
    InvalidStakerTx,
    /// A transaction that is not known.
    #[error("transaction {0} not found")]
    MissingTx(Id),
    /// A reward for the empty transaction (`ErrInvalidID`).
    #[error("invalid id")]
    InvalidId,
    /// A reward at another time than the chain's (`errInvalidTimestamp`).
    #[error("invalid timestamp")]
    InvalidTimestamp,
    /// A reward without a staker to reward.
    #[error("no staker to remove")]
    NoStaker,
    /// A reward for another staker than the first (`ErrRemoveWrongStaker`).
    #[error("attempting to remove {0}, the wrong staker")]
    RemoveWrongStaker(Id),
    /// A reward before the stake's end (`ErrRemoveStakerTooEarly`).
    #[error("attempting to remove a staker before its end {0}")]
    RemoveStakerTooEarly(u64),
    /// A time before the parent's (`ErrChildBlockEarlierThanParent`).
    #[error("time {0} is before the chain's")]
    EarlierThanParent(u64),
    /// A time too far ahead of the clock (`ErrChildBlockBeyondSyncBound`).
    #[error("time {0} is too far ahead")]
    BeyondSyncBound(u64),
    /// A time behind the next change of stakers (`ErrChildBlockAfterStakerChangeTime`).
    #[error("time {0} is behind the next change of stakers")]
    AfterStakerChange(u64),
}

/// What a transaction is judged by, beside the state.
#[derive(Debug, Clone, Copy)]
pub struct Backend<'a> {
    /// The network's rules.
    pub config: &'a Config,
    /// The verifier's clock, Unix seconds.
    pub now: u64,
    /// False while executing blocks that the network accepted: signatures and much else are not looked at.
    pub bootstrapped: bool,
    /// What other chains exported.
    pub memory: &'a SharedMemory,
    /// The chain whose exports are believed: [`Config::unseen`] when a block is judged, none before one is built.
    pub unseen: Option<Id>,
}

/// What a transaction costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    weights: Dimensions,
    /// Price of a unit of gas; None before Etna, when history is taken as it is.
    price: Option<u64>,
}

impl Fees {
    /// The fees of transactions that cost nothing here: of blocks before Banff.
    #[must_use]
    pub const fn free() -> Self {
        Self { weights: Dimensions::new(0, 0, 0, 0), price: None }
    }

    /// The fees on a draft (`PickFeeCalculator`).
    #[must_use]
    pub fn of(config: &Config, draft: &Draft<'_>) -> Self {
        let scalars = draft.scalars();
        let dynamic = config.is_active(Fork::Etna, scalars.timestamp);
        let price = dynamic.then(|| config.gas.price(scalars.fee_state.excess));
        Self { weights: config.gas.weights, price }
    }

    /// The fee of a transaction in nAVAX.
    ///
    /// # Errors
    /// It has none, or it overflows.
    pub fn fee(&self, tx: &UnsignedTx) -> Result<u64, ExecError> {
        let Some(price) = self.price else { return Ok(0) };
        let gas = super::fee::complexity(tx)?.to_gas(self.weights)?;
        gas.checked_mul(price).ok_or(ExecError::Overflow)
    }
}

/// What a transaction does beside the state.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// What it imports, which no other transaction on the same branch may.
    pub imported: BTreeSet<Id>,
    /// What it imports and exports.
    pub requests: AtomicRequests,
}

type Verdict = Result<(), ExecError>;

/// Executes a transaction of a standard block. After an error the draft is of no use.
///
/// # Errors
/// The first rule that is broken.
pub fn standard(
    backend: &Backend<'_>,
    fees: &Fees,
    tx: &Arc<NamedTx>,
    draft: &mut Draft<'_>,
) -> Result<Effects, ExecError> {
    let exec = Exec { backend, fees, tx };
    let mut effects = Effects::default();
    match &tx.tx.unsigned {
        UnsignedTx::AddValidator(add) => {
            if add.validator.node_id == NodeId::EMPTY {
                return Err(ExecError::EmptyNodeId);
            }
            exec.verify_add_validator(add, draft)?;
            exec.put_staker(draft)?;
        }
        UnsignedTx::AddSubnetValidator(add) => {
            exec.verify_add_subnet_validator(add, draft)?;
            exec.put_staker(draft)?;
        }
        UnsignedTx::AddDelegator(add) => {
            exec.verify_add_delegator(add, draft)?;
            exec.put_staker(draft)?;
        }
        UnsignedTx::CreateChain(create) => {
            exec.well_formed(draft)?;
            let credentials = exec.authorize_mutable(create.subnet_id, &create.subnet_auth, draft)?;
            exec.spend(draft, credentials, 0, None)?;
            draft.add_chain(create.subnet_id, tx.id);
        }
        UnsignedTx::CreateSubnet(create) => {
            exec.well_formed(draft)?;
            exec.spend(draft, exec.credentials(), 0, None)?;
            draft.add_subnet(tx.id, create.owner.clone());
        }
        UnsignedTx::Import(import) => effects = exec.import(import, draft)?,
        UnsignedTx::Export(export) => effects = exec.export(export, draft)?,
        UnsignedTx::RemoveSubnetValidator(remove) => exec.remove_subnet_validator(remove, draft)?,
        UnsignedTx::TransformSubnet(transform) => exec.transform(transform, draft)?,
        UnsignedTx::AddPermissionlessValidator(add) => {
            exec.verify_add_permissionless_validator(add, draft)?;
            exec.put_staker(draft)?;
        }
        UnsignedTx::AddPermissionlessDelegator(add) => {
            exec.verify_add_permissionless_delegator(add, draft)?;
            exec.put_staker(draft)?;
        }
        UnsignedTx::TransferSubnetOwnership(transfer) => {
            exec.since(Fork::Durango, draft)?;
            exec.well_formed(draft)?;
            if backend.bootstrapped {
                let credentials = exec.authorize(transfer.subnet, &transfer.subnet_auth, draft)?;
                exec.spend(draft, credentials, 0, None)?;
            }
            draft.set_subnet_owner(transfer.subnet, transfer.owner.clone());
        }
        UnsignedTx::Base(_) => {
            exec.since(Fork::Durango, draft)?;
            exec.well_formed(draft)?;
            exec.spend(draft, exec.credentials(), 0, None)?;
        }
        UnsignedTx::ConvertSubnetToL1(convert) => exec.convert(convert, draft)?,
        UnsignedTx::RegisterL1Validator(register) => exec.register(register, draft)?,
        UnsignedTx::SetL1ValidatorWeight(set) => exec.set_weight(set, draft)?,
        UnsignedTx::IncreaseL1ValidatorBalance(increase) => exec.increase_balance(increase, draft)?,
        UnsignedTx::DisableL1Validator(disable) => exec.disable(disable, draft)?,
        UnsignedTx::AddAutoRenewedValidator(add) => exec.add_auto_renewed(add, draft)?,
        UnsignedTx::SetAutoRenewedValidatorConfig(set) => exec.set_auto_renewed_config(set, draft)?,
        UnsignedTx::AdvanceTime(_)
        | UnsignedTx::RewardValidator(_)
        | UnsignedTx::RewardAutoRenewedValidator(_) => return Err(ExecError::WrongTxType),
    }
    exec.move_utxos(draft, None);
    Ok(effects)
}

/// A transaction under execution.
struct Exec<'a> {
    backend: &'a Backend<'a>,
    fees: &'a Fees,
    tx: &'a Arc<NamedTx>,
}

impl<'a> Exec<'a> {
    fn is_active(&self, fork: Fork, draft: &Draft<'_>) -> bool {
        self.backend.config.is_active(fork, draft.timestamp())
    }

    fn since(&self, fork: Fork, draft: &Draft<'_>) -> Verdict {
        if self.is_active(fork, draft) { Ok(()) } else { Err(ExecError::NotActive(fork)) }
    }

    /// The rules without state, and the memo, which is empty since Durango.
    fn well_formed(&self, draft: &Draft<'_>) -> Verdict {
        let Config { network_id, avax_asset_id, .. } = *self.backend.config;
        verify::verify(&self.tx.tx.unsigned, &verify::Context { network_id, avax_asset_id })?;
        match self.tx.tx.unsigned.base() {
            Some(base) if !base.memo.is_empty() && self.is_active(Fork::Durango, draft) => {
                Err(ExecError::Memo(base.memo.len()))
            }
            _ => Ok(()),
        }
    }

    fn credentials(&self) -> &'a [Credential] {
        &self.tx.tx.credentials
    }

    /// Checks that the inputs pay for the outputs, the fee, `produced` nAVAX that have no output, and the amount of
    /// another asset.
    fn spend(
        &self,
        draft: &Draft<'_>,
        credentials: &[Credential],
        produced: u64,
        other: Option<(Id, u64)>,
    ) -> Verdict {
        let base = self.tx.tx.unsigned.base().ok_or(ExecError::WrongTxType)?;
        let utxos =
            base.ins.iter().map(|input| find_utxo(draft, input.utxo_id)).collect::<Result<Vec<_>, _>>()?;
        self.spend_utxos(&utxos, &base.ins, credentials, produced, other)
    }

    fn spend_utxos(
        &self,
        utxos: &[Utxo],
        inputs: &[crate::fx::TransferableInput],
        credentials: &[Credential],
        produced: u64,
        other: Option<(Id, u64)>,
    ) -> Verdict {
        let unsigned = &self.tx.tx.unsigned;
        let burned = produced.checked_add(self.fees.fee(unsigned)?).ok_or(ExecError::Overflow)?;
        let mut burned = BTreeMap::from([(self.backend.config.avax_asset_id, burned)]);
        burned.extend(other);
        let hash = self.signing_hash();
        let spend = Spend { utxos, inputs, credentials, now: self.backend.now, signed_hash: hash.as_ref() };
        let outputs: Vec<_> = unsigned.outputs().cloned().collect();
        Ok(verify_flow(&spend, &outputs, &burned)?)
    }

    /// None while bootstrapping.
    fn signing_hash(&self) -> Option<[u8; 32]> {
        self.backend.bootstrapped.then(|| self.tx.signing_hash())
    }

    /// Checks the last credential against an owner and returns the others (`verifyAuthorization`).
    fn authorize_by(&self, owner: &Owner, auth: &Auth) -> Result<&'a [Credential], ExecError> {
        let Some((Credential::Secp256k1(last), others)) = self.credentials().split_last() else {
            return Err(ExecError::Credentials);
        };
        let Owner::Secp256k1(owners) = owner;
        let hash = self.signing_hash();
        owners
            .verify_credential(auth.input(), last, self.backend.now, hash.as_ref())
            .map_err(ExecError::Unauthorized)?;
        Ok(others)
    }

    /// By the owner of a subnet (`verifySubnetAuthorization`).
    fn authorize(&self, subnet: Id, auth: &Auth, draft: &Draft<'_>) -> Result<&'a [Credential], ExecError> {
        let owner = draft.subnet_owner(subnet).ok_or(ExecError::NoSubnet(subnet))?;
        self.authorize_by(&owner, auth)
    }

    /// By the owner of a subnet that still can be changed (`verifyPoASubnetAuthorization`).
    fn authorize_mutable(
        &self,
        subnet: Id,
        auth: &Auth,
        draft: &Draft<'_>,
    ) -> Result<&'a [Credential], ExecError> {
        let credentials = self.authorize(subnet, auth, draft)?;
        if draft.transformation(subnet).is_some() || draft.conversion(subnet).is_some() {
            return Err(ExecError::Immutable(subnet));
        }
        Ok(credentials)
    }

    /// Spends the inputs and makes the outputs; `outs` stand in for the transaction's own ones.
    fn move_utxos(&self, draft: &mut Draft<'_>, outs: Option<&[crate::fx::TransferableOutput]>) {
        let Some(base) = self.tx.tx.unsigned.base() else { return };
        for input in &base.ins {
            draft.delete_utxo(input.utxo_id.input_id());
        }
        for (output, output_index) in outs.unwrap_or(&base.outs).iter().zip(0_u32..) {
            draft.add_utxo(Utxo {
                id: UtxoId { tx_id: self.tx.id, output_index },
                asset_id: output.asset_id,
                out: output.out.clone(),
            });
        }
    }

    fn same_subnet(&self, peer: Id, draft: &Draft<'_>) -> Verdict {
        if let Some((tx, _)) = draft.tx(&peer)?
            && let UnsignedTx::CreateChain(chain) = &tx.tx.unsigned
            && chain.subnet_id == CHAIN_ID
        {
            return Ok(());
        }
        Err(ExecError::NotSameSubnet(peer))
    }

    fn import(&self, tx: &ImportTx, draft: &Draft<'_>) -> Result<Effects, ExecError> {
        self.well_formed(draft)?;
        let remove: Vec<_> = tx.imported_inputs.iter().map(|input| input.utxo_id.input_id()).collect();
        if self.backend.bootstrapped {
            self.same_subnet(tx.source_chain, draft)?;
        }
        if self.backend.bootstrapped && self.backend.unseen != Some(tx.source_chain) {
            let imported = self.backend.memory.get(tx.source_chain, &remove)?;
            let mut utxos = Vec::with_capacity(tx.base.ins.len().saturating_add(imported.len()));
            for input in &tx.base.ins {
                utxos.push(find_utxo(draft, input.utxo_id)?);
            }
            for bytes in imported {
                utxos.push(unmarshal_versioned(avalanche_codec::VERSION, &bytes, usize::MAX)?);
            }
            let inputs: Vec<_> = tx.base.ins.iter().chain(&tx.imported_inputs).cloned().collect();
            self.spend_utxos(&utxos, &inputs, self.credentials(), 0, None)?;
        }
        let requests = Requests { remove: remove.clone(), put: Vec::new() };
        Ok(Effects {
            imported: remove.into_iter().collect(),
            requests: AtomicRequests::from([(tx.source_chain, requests)]),
        })
    }

    fn export(&self, tx: &ExportTx, draft: &Draft<'_>) -> Result<Effects, ExecError> {
        self.well_formed(draft)?;
        if self.backend.bootstrapped {
            self.same_subnet(tx.destination_chain, draft)?;
        }
        self.spend(draft, self.credentials(), 0, None)?;
        let first = u32::try_from(tx.base.outs.len()).map_err(|_| ExecError::Overflow)?;
        let put = tx
            .exported_outputs
            .iter()
            .zip(first..)
            .map(|(output, output_index)| {
                let utxo = Utxo {
                    id: UtxoId { tx_id: self.tx.id, output_index },
                    asset_id: output.asset_id,
                    out: output.out.clone(),
                };
                let traits = output.out.transfer().owners.addrs.clone();
                Element { key: utxo.id.input_id(), value: marshal(&utxo), traits }
            })
            .collect();
        let requests = Requests { remove: Vec::new(), put };
        Ok(Effects {
            imported: BTreeSet::new(),
            requests: AtomicRequests::from([(tx.destination_chain, requests)]),
        })
    }

    fn transform(&self, tx: &TransformSubnetTx, draft: &mut Draft<'_>) -> Verdict {
        if self.is_active(Fork::Etna, draft) {
            return Err(ExecError::NotPermittedSince(Fork::Etna));
        }
        self.well_formed(draft)?;
        if u64::from(tx.max_stake_duration) > self.backend.config.staking.max_stake_duration {
            return Err(ExecError::StakeTooLong);
        }
        let credentials = self.authorize_mutable(tx.subnet, &tx.subnet_auth, draft)?;
        let rewards = tx.maximum_supply.saturating_sub(tx.initial_supply);
        self.spend(draft, credentials, 0, Some((tx.asset_id, rewards)))?;
        draft.set_transformation(tx.subnet, Arc::clone(self.tx));
        draft.set_supply(tx.subnet, tx.initial_supply);
        Ok(())
    }
}

fn find_utxo(draft: &Draft<'_>, id: UtxoId) -> Result<Utxo, ExecError> {
    let id = id.input_id();
    draft.utxo(&id)?.ok_or(ExecError::MissingUtxo(id))
}

/// The parameters of a permissionless subnet (`GetTransformSubnetTx`).
///
/// # Errors
/// It is none.
pub fn transformation(draft: &Draft<'_>, subnet: Id) -> Result<Arc<NamedTx>, ExecError> {
    draft.transformation(subnet).ok_or(ExecError::NotTransformed(subnet))
}

/// The reward of a stake of whole seconds (`GetRewardsCalculator`).
fn potential_reward(
    config: &Config,
    draft: &Draft<'_>,
    subnet: Id,
    start: u64,
    seconds: u64,
    weight: u64,
    supply: u64,
) -> Result<u64, ExecError> {
    let rewards = if subnet == CHAIN_ID {
        crate::reward::Config::for_primary(config, start)
    } else {
        let tx = transformation(draft, subnet)?;
        let UnsignedTx::TransformSubnet(terms) = &tx.tx.unsigned else {
            return Err(ExecError::NotTransformed(subnet));
        };
        crate::reward::Config {
            max_consumption_rate: terms.max_consumption_rate,
            min_consumption_rate: terms.min_consumption_rate,
            supply_cap: terms.maximum_supply,
            ..config.staking.rewards
        }
    };
    Ok(rewards.calculate_seconds(seconds, weight, supply))
}
