//! Changes of a block over a store that is only read.

use super::{Account, Counters, StoredRegistration, Supply, keys};
use crate::{
    state::{
        AppWrites, Registration,
        transition::{epoch::Registrations, slot::Application},
        tree::{self, MemoryNodes, Node, Nodes, path::Path, update::Update},
    },
    types::{
        codec::{Wire, decode, encode},
        primitives::{Address, Nano, PublicKey, Root, ValidatorIndex},
    },
};
use std::{cell::RefCell, collections::BTreeMap};

/// Most bytes of a value that this module decodes.
const MAX_VALUE_BYTES: usize = 4096;

/// Entries and tree of some application state. Implementations answer from one consistent state.
pub trait Store {
    /// The value of a key.
    fn value(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// The tree node at a path.
    fn node(&self, path: &Path) -> Option<Node>;

    /// An account, if it was ever credited. What is stored was written by this module, so it decodes.
    fn account(&self, address: &Address) -> Option<Account> {
        self.value(&keys::account(address)).and_then(|bytes| decode(&bytes, MAX_VALUE_BYTES).ok())
    }
}

/// The tree of a store.
pub struct StoreNodes<'a, S>(pub &'a S);

impl<S: Store> Nodes for StoreNodes<'_, S> {
    fn node(&self, path: &Path) -> Option<Node> {
        self.0.node(path)
    }
}

/// An application state in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    nodes: MemoryNodes,
}

impl Store for MemoryStore {
    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.values.get(key).cloned()
    }

    fn node(&self, path: &Path) -> Option<Node> {
        self.nodes.node(path)
    }
}

impl MemoryStore {
    /// Applies the changes of a block.
    pub fn apply(&mut self, changes: Changes) {
        for (key, value) in changes.values {
            match value {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
        self.nodes.apply(changes.nodes);
    }

    /// Every node of the tree.
    pub fn nodes(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.0.iter()
    }

    /// Every entry in the order of keys.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

/// What a block (and the epoch ends before it) changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Root after the changes.
    pub root: Root,
    /// Values to write, and to delete where there is none.
    pub values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Tree nodes to write, and to delete where there is none.
    pub nodes: BTreeMap<Path, Option<Node>>,
}

/// A store with changes on top.
#[derive(Debug)]
pub struct Overlay<'a, S> {
    base: &'a S,
    /// Accounts written, not yet among `writes`.
    accounts: BTreeMap<Address, Account>,
    /// Accounts of the store that were read.
    read: RefCell<BTreeMap<Address, Option<Account>>>,
    /// Everything else written.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    update: RefCell<Option<Changes>>,
}

impl<'a, S: Store> Overlay<'a, S> {
    /// No changes yet.
    #[must_use]
    pub const fn new(base: &'a S) -> Self {
        Self {
            base,
            accounts: BTreeMap::new(),
            read: RefCell::new(BTreeMap::new()),
            writes: BTreeMap::new(),
            update: RefCell::new(None),
        }
    }

    /// Accounts written, in the order of addresses.
    #[must_use]
    pub fn into_accounts(self) -> BTreeMap<Address, Account> {
        self.accounts
    }

    /// The changes, for the store.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        let known = self.update.take();
        known.unwrap_or_else(|| self.changes())
    }

    fn changes(&self) -> Changes {
        let values = self.all_writes();
        let update = self.update(&values);
        Changes { root: Root(update.root), values, nodes: update.writes }
    }

    fn all_writes(&self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let accounts = self.accounts.iter();
        let mut all: BTreeMap<_, _> =
            accounts.map(|(address, account)| (keys::account(address), Some(encode(account)))).collect();
        all.extend(self.writes.iter().map(|(key, value)| (key.clone(), value.clone())));
        all
    }

    fn update(&self, writes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Update {
        let changes = writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        tree::update::update(&StoreNodes(self.base), changes)
    }

    fn raw(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.base.value(key),
        }
    }

    /// A value of the program's own encoding. What is stored was written by [`Overlay::put`], so it decodes.
    fn get<T: Wire>(&self, key: &[u8]) -> Option<T> {
        self.raw(key).and_then(|bytes| decode(&bytes, MAX_VALUE_BYTES).ok())
    }

    fn put<T: Wire>(&mut self, key: Vec<u8>, value: Option<&T>) {
        self.update.take();
        self.writes.insert(key, value.map(encode));
    }

    fn held(&self, address: &Address) -> Option<Account> {
        if let Some(account) = self.accounts.get(address) {
            return Some(*account);
        }
        if let Some(read) = self.read.borrow().get(address) {
            return *read;
        }
        let account = self.base.account(address);
        self.read.borrow_mut().insert(*address, account);
        account
    }

    /// Whether an account was ever credited.
    #[must_use]
    pub fn has_account(&self, address: &Address) -> bool {
        self.held(address).is_some()
    }

    /// An account; all zero when absent.
    #[must_use]
    pub fn account(&self, address: &Address) -> Account {
        self.held(address).unwrap_or_default()
    }

    /// An account if it was ever credited.
    #[must_use]
    pub fn account_if_any(&self, address: &Address) -> Option<Account> {
        self.held(address)
    }

    /// Writes an account.
    pub fn put_account(&mut self, address: &Address, account: &Account) {
        self.update.take();
        self.accounts.insert(*address, *account);
    }

    /// Adds to an account, which comes to be if it is absent. The supply bound keeps the sum in range.
    pub fn credit(&mut self, address: &Address, amount: Nano) {
        let mut account = self.account(address);
        account.balance = account.balance.saturating_add(amount);
        self.put_account(address, &account);
    }

    /// Shares that a delegator other than the operator has of a pool.
    #[must_use]
    pub fn position(&self, validator: ValidatorIndex, delegator: &Address) -> u128 {
        self.get(&keys::delegation(validator, delegator)).unwrap_or(0)
    }

    /// Sets such shares; none deletes the entry.
    pub fn put_position(&mut self, validator: ValidatorIndex, delegator: &Address, shares: u128) {
        self.put(keys::delegation(validator, delegator), (shares > 0).then_some(&shares));
    }

    /// Writes a registration.
    pub fn put_registration(&mut self, pubkey: &PublicKey, registration: &Registration) {
        self.put(keys::registration(pubkey), Some(&StoredRegistration::from(*registration)));
    }

    /// The supply.
    #[must_use]
    pub fn supply(&self) -> Supply {
        self.get(&keys::supply()).unwrap_or_default()
    }

    /// Writes the supply.
    pub fn put_supply(&mut self, supply: &Supply) {
        self.put(keys::supply(), Some(supply));
    }

    /// The running numbers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.get(&keys::counters()).unwrap_or_default()
    }

    /// Writes the running numbers.
    pub fn put_counters(&mut self, counters: &Counters) {
        self.put(keys::counters(), Some(counters));
    }
}

impl<S: Store> Registrations for Overlay<'_, S> {
    fn registration(&self, pubkey: &PublicKey) -> Option<Registration> {
        self.get::<StoredRegistration>(&keys::registration(pubkey)).map(Registration::from)
    }
}

impl<S: Store> Application for Overlay<'_, S> {
    fn apply(&mut self, writes: &AppWrites) {
        for (address, amount) in &writes.credits {
            self.credit(address, *amount);
        }
        for (validator, delegator, shares) in &writes.positions {
            let held = self.position(*validator, delegator);
            self.put_position(*validator, delegator, held.saturating_add(*shares));
        }
        if writes.issued > 0 || writes.burned > 0 {
            let mut supply = self.supply();
            supply.issued = supply.issued.saturating_add(writes.issued);
            supply.burned = supply.burned.saturating_add(writes.burned);
            self.put_supply(&supply);
        }
    }

    fn root(&self) -> Root {
        self.update.borrow_mut().get_or_insert_with(|| self.changes()).root
    }
}
