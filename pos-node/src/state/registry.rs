//! All validators ever registered, one array per field, and the way from key to index.

use super::column::Column;
use crate::types::{
    primitives::{Address, Epoch, FAR_FUTURE, Nano, PublicKey, ValidatorIndex},
    ssz::{Chunk, TreeHash, container_root, list_root},
};
use std::{collections::BTreeMap, sync::Arc};

/// One validator, gathered from the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Its BLS key.
    pub pubkey: PublicKey,
    /// The account that operates it.
    pub owner: Address,
    /// Stake that counts, in whole increments.
    pub effective_balance: Nano,
    /// Whether it was caught in an offence.
    pub slashed: bool,
    /// Epoch from which it may be activated.
    pub activation_eligibility_epoch: Epoch,
    /// First epoch of its duties.
    pub activation_epoch: Epoch,
    /// First epoch without duties.
    pub exit_epoch: Epoch,
    /// First epoch in which its stake is free.
    pub withdrawable_epoch: Epoch,
    /// Most its effective balance can be.
    pub effective_cap: Nano,
}

impl TreeHash for Validator {
    fn tree_root(&self) -> Chunk {
        container_root(&[
            self.pubkey.tree_root(),
            self.owner.tree_root(),
            self.effective_balance.tree_root(),
            self.slashed.tree_root(),
            self.activation_eligibility_epoch.tree_root(),
            self.activation_epoch.tree_root(),
            self.exit_epoch.tree_root(),
            self.withdrawable_epoch.tree_root(),
            self.effective_cap.tree_root(),
        ])
    }
}

/// The validators. All arrays have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Keys.
    pub pubkey: Column<PublicKey>,
    /// Operators.
    pub owner: Column<Address>,
    /// Stake that counts.
    pub effective_balance: Column<Nano>,
    /// Offenders.
    pub slashed: Column<bool>,
    /// Epochs of eligibility.
    pub activation_eligibility_epoch: Column<Epoch>,
    /// First epochs of duty.
    pub activation_epoch: Column<Epoch>,
    /// First epochs without duty.
    pub exit_epoch: Column<Epoch>,
    /// First epochs of free stake.
    pub withdrawable_epoch: Column<Epoch>,
    /// Caps of effective balances.
    pub effective_cap: Column<Nano>,
    index_of: Arc<BTreeMap<PublicKey, ValidatorIndex>>,
}

impl Registry {
    /// Number of validators.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pubkey.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pubkey.is_empty()
    }

    /// Appends a validator. Its key must be new.
    pub fn push(&mut self, validator: &Validator) {
        let index = u64::try_from(self.len()).expect("a length in memory fits 64 bits");
        Arc::make_mut(&mut self.index_of).insert(validator.pubkey, index);
        self.pubkey.make_mut().push(validator.pubkey);
        self.owner.make_mut().push(validator.owner);
        self.effective_balance.make_mut().push(validator.effective_balance);
        self.slashed.make_mut().push(validator.slashed);
        self.activation_eligibility_epoch.make_mut().push(validator.activation_eligibility_epoch);
        self.activation_epoch.make_mut().push(validator.activation_epoch);
        self.exit_epoch.make_mut().push(validator.exit_epoch);
        self.withdrawable_epoch.make_mut().push(validator.withdrawable_epoch);
        self.effective_cap.make_mut().push(validator.effective_cap);
    }

    /// The validator at an index.
    #[must_use]
    pub fn get(&self, index: ValidatorIndex) -> Option<Validator> {
        Some(Validator {
            pubkey: *self.pubkey.at(index)?,
            owner: *self.owner.at(index)?,
            effective_balance: *self.effective_balance.at(index)?,
            slashed: *self.slashed.at(index)?,
            activation_eligibility_epoch: *self.activation_eligibility_epoch.at(index)?,
            activation_epoch: *self.activation_epoch.at(index)?,
            exit_epoch: *self.exit_epoch.at(index)?,
            withdrawable_epoch: *self.withdrawable_epoch.at(index)?,
            effective_cap: *self.effective_cap.at(index)?,
        })
    }

    /// Every validator in order.
    pub fn iter(&self) -> impl Iterator<Item = Validator> {
        (0..).map_while(|index| self.get(index))
    }

    /// The index of a key.
    #[must_use]
    pub fn index_of(&self, pubkey: &PublicKey) -> Option<ValidatorIndex> {
        self.index_of.get(pubkey).copied()
    }

    /// Whether the validator has duties in `epoch`. Mirrors `is_active_validator`.
    #[must_use]
    pub fn is_active(&self, index: ValidatorIndex, epoch: Epoch) -> bool {
        match (self.activation_epoch.at(index), self.exit_epoch.at(index)) {
            (Some(activation), Some(exit)) => *activation <= epoch && epoch < *exit,
            _ => false,
        }
    }

    /// Whether an offence of the validator can still be punished in `epoch`. Mirrors `is_slashable_validator`.
    #[must_use]
    pub fn is_slashable(&self, index: ValidatorIndex, epoch: Epoch) -> bool {
        self.get(index).is_some_and(|validator| {
            !validator.slashed && validator.activation_epoch <= epoch && epoch < validator.withdrawable_epoch
        })
    }

    /// Whether the validator has an exit epoch.
    #[must_use]
    pub fn is_exiting(&self, index: ValidatorIndex) -> bool {
        self.exit_epoch.at(index).is_some_and(|exit| *exit != FAR_FUTURE)
    }

    /// Validators with duties in `epoch`, in order.
    #[must_use]
    pub fn active_indices(&self, epoch: Epoch) -> Vec<ValidatorIndex> {
        (0..)
            .zip(self.activation_epoch.iter().zip(self.exit_epoch.iter()))
            .filter(|(_, (activation, exit))| **activation <= epoch && epoch < **exit)
            .map(|(index, _)| index)
            .collect()
    }

    /// Root of the list of validators.
    #[must_use]
    pub fn root(&self, limit: usize) -> Chunk {
        let all: Vec<Validator> = self.iter().collect();
        list_root(&all, limit)
    }
}
