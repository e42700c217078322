//! The state as a block would leave it: the accepted state, the changes of blocks that are not accepted yet, and the
//! changes made so far. Mirrors `vms/platformvm/state/diff.go`.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_db::DbError;
use avalanche_ids::{Id, NodeId};
use avalanche_vm::gas;

use super::{
    State,
    l1::{L1Changes, L1Validator},
    overlay::{Changes, Merged},
    staker::{Staker, StakerChanges, StakerKey, StakerTable, StakingInfo},
};
use crate::{
    fx::{Owner, Utxo},
    txs::NamedTx,
};

/// What became of a transaction. The numbers are the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TxStatus {
    /// Its changes were made.
    Committed = 4,
    /// A proposal that was refused.
    Aborted = 5,
}

/// Numbers that change with nearly every block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scalars {
    /// The chain's time, Unix seconds.
    pub timestamp: u64,
    /// The market of gas.
    pub fee_state: gas::State,
    /// Validator-seconds of L1s above the target.
    pub l1_excess: u64,
    /// What an L1 validator that was there from the start would have paid.
    pub accrued_fees: u64,
    /// Active validators of L1s.
    pub active_l1: u64,
}
avalanche_codec::wire_struct!(Scalars { timestamp, fee_state, l1_excess, accrued_fees, active_l1 });

/// What a subnet was converted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// Hash of what was converted.
    pub conversion_id: Id,
    /// The chain of the contract that manages validators.
    pub chain_id: Id,
    /// That contract.
    pub address: Vec<u8>,
}
avalanche_codec::wire_struct!(Conversion { conversion_id, chain_id, address });

/// The changes of a block.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    pub(super) scalars: Scalars,
    pub(super) supplies: BTreeMap<Id, u64>,
    pub(super) expiries: Changes<(u64, Id), ()>,
    pub(super) l1: L1Changes,
    pub(super) current: StakerChanges,
    pub(super) pending: StakerChanges,
    pub(super) staking_info: Changes<(Id, NodeId), StakingInfo>,
    pub(super) subnets: Vec<Id>,
    pub(super) owners: BTreeMap<Id, Owner>,
    pub(super) conversions: BTreeMap<Id, Conversion>,
    pub(super) transformations: BTreeMap<Id, Arc<NamedTx>>,
    pub(super) chains: Vec<(Id, Id)>,
    pub(super) txs: BTreeMap<Id, (Arc<NamedTx>, TxStatus)>,
    pub(super) reward_utxos: BTreeMap<Id, Vec<Utxo>>,
    pub(super) utxos: Changes<Id, Utxo>,
}

impl Diff {
    /// The numbers after the changes.
    #[must_use]
    pub const fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// Makes these changes and then newer ones.
    pub fn merge(&mut self, newer: Self) {
        self.scalars = newer.scalars;
        self.supplies.extend(newer.supplies);
        self.expiries.extend(newer.expiries);
        self.l1.merge(newer.l1);
        self.current.merge(newer.current);
        self.pending.merge(newer.pending);
        self.staking_info.extend(newer.staking_info);
        self.subnets.extend(newer.subnets);
        self.owners.extend(newer.owners);
        self.conversions.extend(newer.conversions);
        self.transformations.extend(newer.transformations);
        self.chains.extend(newer.chains);
        self.txs.extend(newer.txs);
        for (tx, utxos) in newer.reward_utxos {
            self.reward_utxos.entry(tx).or_default().extend(utxos);
        }
        self.utxos.extend(newer.utxos);
    }
}

/// Why a change does not fit the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// A validator that is there already (`errUnexpectedStaker`).
    #[error("{0} is a validator already")]
    UnexpectedStaker(NodeId),
    /// A validator that is not there.
    #[error("{0} is no validator")]
    NoValidator(NodeId),
    /// A validator added behind its removal in one block, before Helicon (`ErrAddingStakerAfterDeletion`).
    #[error("attempted to add a staker after deleting it")]
    AddAfterDeletion,
    /// A validator removed before its delegators (`errDeleteOrder`).
    #[error("delegators must be removed before their validator")]
    DeleteOrder,
    /// An L1 validator with other constant fields (`ErrMutatedL1Validator`).
    #[error("L1 validator contains mutated constant fields")]
    MutatedL1Validator,
    /// An L1 validator that is an appointed validator of the subnet (`ErrConflictingL1Validator`).
    #[error("L1 validator contains conflicting subnet and node")]
    ConflictingL1Validator,
    /// A second L1 validator of a node (`ErrDuplicateL1Validator`).
    #[error("L1 validator contains duplicate subnet and node")]
    DuplicateL1Validator,
    /// The weight of an L1 does not fit 64 bits.
    #[error("weight of the L1 overflows")]
    L1Weight,
}

type Verdict = Result<(), StateError>;

/// The state with changes on top.
#[derive(Debug)]
pub struct Draft<'a> {
    base: &'a State,
    below: Vec<&'a Diff>,
    diff: Diff,
    readd: bool,
}

impl<'a> Draft<'a> {
    /// A draft on the accepted state under the changes of processing blocks, newest first. `readd` says whether a
    /// validator can be added behind its removal (Helicon).
    #[must_use]
    pub fn new(base: &'a State, below: Vec<&'a Diff>, readd: bool) -> Self {
        let scalars = below.first().map_or(base.scalars, |diff| diff.scalars);
        Self { base, below, diff: Diff { scalars, ..Diff::default() }, readd }
    }

    /// A draft on this one.
    #[must_use]
    pub fn child(&self) -> Draft<'_> {
        let below = std::iter::once(&self.diff).chain(self.below.iter().copied()).collect();
        Draft::new(self.base, below, self.readd)
    }

    /// The changes made on this draft.
    #[must_use]
    pub fn into_diff(self) -> Diff {
        self.diff
    }

    /// Makes the changes of a child.
    pub fn merge(&mut self, child: Diff) {
        self.diff.merge(child);
    }

    fn layers(&self) -> impl Iterator<Item = &Diff> {
        std::iter::once(&self.diff).chain(self.below.iter().copied())
    }

    fn find<T>(&self, of: impl FnMut(&Diff) -> Option<T>) -> Option<T> {
        self.layers().find_map(of)
    }

    /// The numbers.
    #[must_use]
    pub const fn scalars(&self) -> &Scalars {
        &self.diff.scalars
    }

    /// The numbers, to be changed.
    pub const fn scalars_mut(&mut self) -> &mut Scalars {
        &mut self.diff.scalars
    }

    /// The chain's time, Unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.diff.scalars.timestamp
    }

    /// Units of a subnet's asset that exist; None where nothing is staked.
    #[must_use]
    pub fn supply(&self, subnet: Id) -> Option<u64> {
        self.find(|diff| diff.supplies.get(&subnet).copied())
            .or_else(|| self.base.supplies.get(&subnet).copied())
    }

    /// Sets it.
    pub fn set_supply(&mut self, subnet: Id, supply: u64) {
        self.diff.supplies.insert(subnet, supply);
    }

    /// A UTXO.
    ///
    /// # Errors
    /// The store failed.
    pub fn utxo(&self, id: &Id) -> Result<Option<Utxo>, DbError> {
        match self.find(|diff| diff.utxos.get(id).cloned()) {
            Some(changed) => Ok(changed),
            None => self.base.utxo(id),
        }
    }

    /// Makes a UTXO.
    pub fn add_utxo(&mut self, utxo: Utxo) {
        self.diff.utxos.insert(utxo.id.input_id(), Some(utxo));
    }

    /// Spends a UTXO.
    pub fn delete_utxo(&mut self, id: Id) {
        self.diff.utxos.insert(id, None);
    }

    /// Remembers a UTXO as the reward of a staker's transaction.
    pub fn add_reward_utxo(&mut self, tx: Id, utxo: Utxo) {
        self.diff.reward_utxos.entry(tx).or_default().push(utxo);
    }

    /// A transaction and what became of it.
    ///
    /// # Errors
    /// The store failed.
    pub fn tx(&self, id: &Id) -> Result<Option<(Arc<NamedTx>, TxStatus)>, DbError> {
        match self.find(|diff| diff.txs.get(id).cloned()) {
            Some(known) => Ok(Some(known)),
            None => self.base.tx(id),
        }
    }

    /// Remembers a transaction.
    pub fn add_tx(&mut self, tx: Arc<NamedTx>, status: TxStatus) {
        self.diff.txs.insert(tx.id, (tx, status));
    }

    /// Makes a subnet.
    pub fn add_subnet(&mut self, subnet: Id, owner: Owner) {
        self.diff.subnets.push(subnet);
        self.diff.owners.insert(subnet, owner);
    }

    /// Who owns a subnet.
    #[must_use]
    pub fn subnet_owner(&self, subnet: Id) -> Option<Owner> {
        self.find(|diff| diff.owners.get(&subnet).cloned()).or_else(|| self.base.owners.get(&subnet).cloned())
    }

    /// Hands a subnet over.
    pub fn set_subnet_owner(&mut self, subnet: Id, owner: Owner) {
        self.diff.owners.insert(subnet, owner);
    }

    /// What a subnet was converted to, if it was.
    #[must_use]
    pub fn conversion(&self, subnet: Id) -> Option<Conversion> {
        self.find(|diff| diff.conversions.get(&subnet).cloned())
            .or_else(|| self.base.conversions.get(&subnet).cloned())
    }

    /// Converts a subnet.
    pub fn set_conversion(&mut self, subnet: Id, conversion: Conversion) {
        self.diff.conversions.insert(subnet, conversion);
    }

    /// The transaction that made a subnet permissionless, if one did.
    #[must_use]
    pub fn transformation(&self, subnet: Id) -> Option<Arc<NamedTx>> {
        self.find(|diff| diff.transformations.get(&subnet).cloned())
            .or_else(|| self.base.transformations.get(&subnet).cloned())
    }

    /// Makes a subnet permissionless.
    pub fn set_transformation(&mut self, subnet: Id, tx: Arc<NamedTx>) {
        self.diff.transformations.insert(subnet, tx);
    }

    /// Makes a chain.
    pub fn add_chain(&mut self, subnet: Id, tx: Id) {
        self.diff.chains.push((subnet, tx));
    }
}

/// Registrations that must not be repeated, and validators of L1s.
impl Draft<'_> {
    /// True when a registration was used.
    #[must_use]
    pub fn has_expiry(&self, expiry: u64, validation: Id) -> bool {
        let key = (expiry, validation);
        self.find(|diff| diff.expiries.get(&key).map(Option::is_some))
            .unwrap_or_else(|| self.base.expiries.contains_key(&key))
    }

    /// Remembers a registration.
    pub fn add_expiry(&mut self, expiry: u64, validation: Id) {
        self.diff.expiries.insert((expiry, validation), Some(()));
    }

    /// Forgets registrations that are void from `time` on anyway.
    pub fn remove_expiries_until(&mut self, time: u64) {
        let layers = self.layers().map(|diff| &diff.expiries);
        let over: Vec<_> = Merged::new(&self.base.expiries, layers, None)
            .map(|(key, ())| *key)
            .take_while(|(expiry, _)| *expiry <= time)
            .collect();
        self.diff.expiries.extend(over.into_iter().map(|key| (key, None)));
    }

    /// An L1 validator.
    #[must_use]
    pub fn l1_validator(&self, id: Id) -> Option<L1Validator> {
        self.find(|diff| diff.l1.by_id.get(&id).cloned())
            .unwrap_or_else(|| self.base.l1.by_id.get(&id).cloned())
    }

    /// Active L1 validators, the one that has to stop first first.
    pub fn active_l1_validators(&self) -> impl Iterator<Item = L1Validator> {
        let layers = self.layers().map(|diff| &diff.l1.active);
        Merged::new(&self.base.l1.active, layers, None).filter_map(|(key, ())| self.l1_validator(key.1))
    }

    /// Weight of all validators of an L1.
    #[must_use]
    pub fn l1_weight(&self, subnet: Id) -> u64 {
        self.find(|diff| diff.l1.weights.get(&subnet).copied())
            .unwrap_or_else(|| self.base.l1.weights.get(&subnet).copied().unwrap_or(0))
    }

    fn l1_validator_of(&self, subnet: Id, node: NodeId) -> Option<Id> {
        let key = (subnet, node);
        self.find(|diff| diff.l1.nodes.get(&key).copied())
            .unwrap_or_else(|| self.base.l1.nodes.get(&key).copied())
    }

    /// Adds, changes or (weight zero) removes an L1 validator.
    ///
    /// # Errors
    /// As [`StateError`] says.
    pub fn put_l1_validator(&mut self, validator: L1Validator) -> Verdict {
        let id = validator.validation_id;
        let before = self.l1_validator(id);
        match &before {
            Some(before) if !before.same_validation(&validator) => {
                return Err(StateError::MutatedL1Validator);
            }
            Some(_) => {}
            None => {
                if self.current_validator(validator.subnet, validator.node_id).is_some() {
                    return Err(StateError::ConflictingL1Validator);
                }
                if self.l1_validator_of(validator.subnet, validator.node_id).is_some() {
                    return Err(StateError::DuplicateL1Validator);
                }
            }
        }
        let weight_before = before.as_ref().map_or(0, |before| before.weight);
        if weight_before != validator.weight {
            let weight = self
                .l1_weight(validator.subnet)
                .checked_sub(weight_before)
                .and_then(|weight| weight.checked_add(validator.weight))
                .ok_or(StateError::L1Weight)?;
            self.diff.l1.weights.insert(validator.subnet, weight);
        }
        if let Some(before) = before.filter(L1Validator::is_active) {
            self.diff.l1.active.insert(before.fee_key(), None);
            self.diff.scalars.active_l1 = self.diff.scalars.active_l1.saturating_sub(1);
        }
        if validator.is_active() {
            self.diff.l1.active.insert(validator.fee_key(), Some(()));
            self.diff.scalars.active_l1 = self.diff.scalars.active_l1.saturating_add(1);
        }
        let node = (validator.subnet, validator.node_id);
        let removed = validator.weight == 0;
        self.diff.l1.nodes.insert(node, (!removed).then_some(id));
        self.diff.l1.by_id.insert(id, (!removed).then_some(validator));
        Ok(())
    }
}

/// Stakers.
impl Draft<'_> {
    /// The current validator of a node.
    #[must_use]
    pub fn current_validator(&self, subnet: Id, node: NodeId) -> Option<Arc<Staker>> {
        let key = (subnet, node);
        self.find(|diff| diff.current.validators.get(&key).cloned())
            .unwrap_or_else(|| self.base.current.validators.get(&key).cloned())
    }

    /// The pending validator of a node.
    #[must_use]
    pub fn pending_validator(&self, subnet: Id, node: NodeId) -> Option<Arc<Staker>> {
        let key = (subnet, node);
        self.find(|diff| diff.pending.validators.get(&key).cloned())
            .unwrap_or_else(|| self.base.pending.validators.get(&key).cloned())
    }

    /// The validator of a node, current or else pending.
    #[must_use]
    pub fn validator(&self, subnet: Id, node: NodeId) -> Option<Arc<Staker>> {
        self.current_validator(subnet, node).or_else(|| self.pending_validator(subnet, node))
    }

    /// Current stakers in the order in which they end.
    pub fn current_stakers(&self) -> impl Iterator<Item = &Arc<Staker>> {
        let layers = self.layers().map(|diff| &diff.current.ordered);
        Merged::new(&self.base.current.ordered, layers, None).map(|(_, staker)| staker)
    }

    /// Pending stakers in the order in which they start.
    pub fn pending_stakers(&self) -> impl Iterator<Item = &Arc<Staker>> {
        let layers = self.layers().map(|diff| &diff.pending.ordered);
        Merged::new(&self.base.pending.ordered, layers, None).map(|(_, staker)| staker)
    }

    /// Current delegators of a validator in the order in which they end.
    pub fn current_delegators(&self, subnet: Id, node: NodeId) -> impl Iterator<Item = &Arc<Staker>> {
        self.delegators(&self.base.current, |diff| &diff.current, subnet, node)
    }

    /// Pending delegators of a validator in the order in which they start.
    pub fn pending_delegators(&self, subnet: Id, node: NodeId) -> impl Iterator<Item = &Arc<Staker>> {
        self.delegators(&self.base.pending, |diff| &diff.pending, subnet, node)
    }

    fn delegators<'s>(
        &'s self,
        base: &'s StakerTable,
        of: impl Fn(&Diff) -> &StakerChanges,
        subnet: Id,
        node: NodeId,
    ) -> impl Iterator<Item = &'s Arc<Staker>> {
        let first = StakerKey {
            next_time: 0,
            priority: super::staker::Priority::PrimaryDelegatorApricotPending,
            tx_id: Id::EMPTY,
        };
        let layers = self.layers().map(|diff| &of(diff).delegators);
        Merged::new(&base.delegators, layers, Some((subnet, node, first)))
            .take_while(move |((at_subnet, at_node, _), _)| *at_subnet == subnet && *at_node == node)
            .map(|(_, staker)| staker)
    }

    /// Adds a current validator.
    ///
    /// # Errors
    /// It is there already, or was removed in this block before Helicon.
    pub fn put_current_validator(&mut self, staker: Arc<Staker>) -> Verdict {
        let key = (staker.subnet, staker.node_id);
        if self.current_validator(staker.subnet, staker.node_id).is_some() {
            return Err(StateError::UnexpectedStaker(staker.node_id));
        }
        put_validator(&mut self.diff.current, staker, self.readd)?;
        self.diff.staking_info.insert(key, Some(StakingInfo::default()));
        Ok(())
    }

    /// Removes a current validator.
    ///
    /// # Errors
    /// It is not there or has delegators.
    pub fn delete_current_validator(&mut self, staker: &Staker) -> Verdict {
        let (subnet, node) = (staker.subnet, staker.node_id);
        if self.current_validator(subnet, node).is_none() {
            return Err(StateError::NoValidator(node));
        }
        if self.current_delegators(subnet, node).next().is_some() {
            return Err(StateError::DeleteOrder);
        }
        let key = (subnet, node);
        let below = self.below.iter().find_map(|diff| diff.current.validators.get(&key).cloned());
        let below = below.unwrap_or_else(|| self.base.current.validators.get(&key).cloned());
        delete_validator(&mut self.diff.current, staker, below.is_some());
        self.diff.staking_info.insert(key, None);
        Ok(())
    }

    /// Adds a current delegator.
    ///
    /// # Errors
    /// Its validator is not there.
    pub fn put_current_delegator(&mut self, staker: Arc<Staker>) -> Verdict {
        if self.current_validator(staker.subnet, staker.node_id).is_none() {
            return Err(StateError::NoValidator(staker.node_id));
        }
        put_delegator(&mut self.diff.current, staker);
        Ok(())
    }

    /// Removes a current delegator.
    ///
    /// # Errors
    /// Its validator is not there.
    pub fn delete_current_delegator(&mut self, staker: &Staker) -> Verdict {
        if self.current_validator(staker.subnet, staker.node_id).is_none() {
            return Err(StateError::NoValidator(staker.node_id));
        }
        delete_delegator(&mut self.diff.current, staker);
        Ok(())
    }

    /// Adds a pending staker.
    ///
    /// # Errors
    /// It was removed in this block before Helicon.
    pub fn put_pending(&mut self, staker: Arc<Staker>) -> Verdict {
        if staker.priority.is_validator() {
            return put_validator(&mut self.diff.pending, staker, self.readd);
        }
        put_delegator(&mut self.diff.pending, staker);
        Ok(())
    }

    /// Removes a pending staker.
    pub fn delete_pending(&mut self, staker: &Staker) {
        if staker.priority.is_validator() {
            let key = (staker.subnet, staker.node_id);
            let below = self.below.iter().find_map(|diff| diff.pending.validators.get(&key).cloned());
            let below = below.unwrap_or_else(|| self.base.pending.validators.get(&key).cloned());
            delete_validator(&mut self.diff.pending, staker, below.is_some());
        } else {
            delete_delegator(&mut self.diff.pending, staker);
        }
    }

    /// What changes while a current validator validates.
    ///
    /// # Errors
    /// It is not there.
    pub fn staking_info(&self, subnet: Id, node: NodeId) -> Result<StakingInfo, StateError> {
        let key = (subnet, node);
        self.find(|diff| diff.staking_info.get(&key).copied())
            .unwrap_or_else(|| self.base.staking_info.get(&key).copied())
            .ok_or(StateError::NoValidator(node))
    }

    /// Changes it.
    ///
    /// # Errors
    /// The validator is not there.
    pub fn set_staking_info(&mut self, subnet: Id, node: NodeId, info: StakingInfo) -> Verdict {
        if self.current_validator(subnet, node).is_none() {
            return Err(StateError::NoValidator(node));
        }
        self.diff.staking_info.insert((subnet, node), Some(info));
        Ok(())
    }
}

fn put_validator(changes: &mut StakerChanges, staker: Arc<Staker>, readd: bool) -> Verdict {
    let key = (staker.subnet, staker.node_id);
    if !readd && matches!(changes.validators.get(&key), Some(None)) {
        return Err(StateError::AddAfterDeletion);
    }
    changes.ordered.insert(staker.key(), Some(Arc::clone(&staker)));
    changes.validators.insert(key, Some(staker));
    Ok(())
}

/// Removes a validator; one that this block added is as if it never was.
fn delete_validator(changes: &mut StakerChanges, staker: &Staker, was_before: bool) {
    let key = (staker.subnet, staker.node_id);
    changes.ordered.insert(staker.key(), None);
    if was_before {
        changes.validators.insert(key, None);
    } else {
        changes.validators.remove(&key);
    }
}

fn put_delegator(changes: &mut StakerChanges, staker: Arc<Staker>) {
    changes.ordered.insert(staker.key(), Some(Arc::clone(&staker)));
    changes.delegators.insert((staker.subnet, staker.node_id, staker.key()), Some(staker));
}

fn delete_delegator(changes: &mut StakerChanges, staker: &Staker) {
    changes.ordered.insert(staker.key(), None);
    changes.delegators.insert((staker.subnet, staker.node_id, staker.key()), None);
}
