//! All validators ever registered, one array per field, and the way from key to index.

use super::column::Column;
use crate::types::{
    primitives::{Address, Epoch, FAR_FUTURE, Nano, PublicKey, Root, ValidatorIndex},
    ssz::{Chunk, TreeHash, container_root},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

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
    roots: RootCache,
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
        self.pubkey.push(validator.pubkey);
        self.owner.push(validator.owner);
        self.effective_balance.push(validator.effective_balance);
        self.slashed.push(validator.slashed);
        self.activation_eligibility_epoch.push(validator.activation_eligibility_epoch);
        self.activation_epoch.push(validator.activation_epoch);
        self.exit_epoch.push(validator.exit_epoch);
        self.withdrawable_epoch.push(validator.withdrawable_epoch);
        self.effective_cap.push(validator.effective_cap);
    }

    /// Makes the way from key to index again after the arrays were filled.
    pub(super) fn index_keys(&mut self) {
        self.index_of = Arc::new(self.pubkey.iter().copied().zip(0..).collect());
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

    /// Root of the list of validators. Roots of validators are kept from one call to the next, by clones too.
    #[must_use]
    pub fn root(&self, limit: usize) -> Chunk {
        let mut cache = self.roots.0.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = match cache.as_deref().filter(|seen| seen.registry.len() <= self.len()) {
            Some(seen) => self.roots_since(seen),
            None => self.iter().map(|validator| Root(validator.tree_root())).collect(),
        };
        let root = roots.list_root(limit);
        let registry = self.clone_columns();
        *cache = Some(Arc::new(Seen { registry, roots }));
        root
    }

    fn clone_columns(&self) -> Self {
        Self {
            pubkey: self.pubkey.clone(),
            owner: self.owner.clone(),
            effective_balance: self.effective_balance.clone(),
            slashed: self.slashed.clone(),
            activation_eligibility_epoch: self.activation_eligibility_epoch.clone(),
            activation_epoch: self.activation_epoch.clone(),
            exit_epoch: self.exit_epoch.clone(),
            withdrawable_epoch: self.withdrawable_epoch.clone(),
            effective_cap: self.effective_cap.clone(),
            index_of: self.index_of.clone(),
            roots: RootCache::default(),
        }
    }

    /// The roots of all validators, given those of an earlier registry.
    fn roots_since(&self, seen: &Seen) -> Column<Root> {
        let old = &seen.registry;
        let mut roots = seen.roots.clone();
        let count = u64::try_from(self.len()).unwrap_or(u64::MAX);
        let known = u64::try_from(old.len()).unwrap_or(u64::MAX);
        for (first, at) in (0..known).step_by(Column::<Root>::PIECE).zip(0usize..) {
            let numbers = at * Column::<Root>::PIECE / Column::<u64>::PIECE;
            let same = self.pubkey.shares_piece(&old.pubkey, at)
                && self.owner.shares_piece(&old.owner, at)
                && self.slashed.shares_piece(&old.slashed, at)
                && self.numbers().into_iter().zip(old.numbers()).all(|(a, b)| a.shares_piece(b, numbers));
            let last = first.saturating_add(u64::try_from(Column::<Root>::PIECE).unwrap_or(u64::MAX));
            for index in (first..last.min(known)).take_while(|_| !same) {
                let validator = self.get(index);
                if validator != old.get(index)
                    && let (Some(validator), Some(root)) = (validator, roots.at_mut(index))
                {
                    *root = Root(validator.tree_root());
                }
            }
        }
        for validator in (known..count).filter_map(|index| self.get(index)) {
            roots.push(Root(validator.tree_root()));
        }
        roots
    }

    const fn numbers(&self) -> [&Column<u64>; 6] {
        [
            &self.effective_balance,
            &self.activation_eligibility_epoch,
            &self.activation_epoch,
            &self.exit_epoch,
            &self.withdrawable_epoch,
            &self.effective_cap,
        ]
    }
}

/// The registry as of its last root.
#[derive(Debug)]
struct Seen {
    registry: Registry,
    roots: Column<Root>,
}

/// What was computed for an earlier root; no part of the value.
#[derive(Debug, Default)]
struct RootCache(Mutex<Option<Arc<Seen>>>);

impl Clone for RootCache {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

impl PartialEq for RootCache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RootCache {}
