//! The state that blocks are judged against: what is committed, and over it what the open group of blocks changed.
//! Mirrors `CCoinsViewCache` of `src/coins.cpp`.

use std::{collections::HashMap, sync::Arc};

use fluxd_primitives::{Hash256, OutPoint, TxId, TxOut};
use fluxd_shielded::{
    SaplingTree, SproutTree,
    tree::{SAPLING_DEPTH, SPROUT_DEPTH, Sapling, Sprout, TreeHash},
};
use fluxd_storage::{Batch, Coins, Tip, View};
use parking_lot::Mutex;

use crate::error::ChainError;

/// Bytes that a cached row is counted with besides its scripts.
const ROW_BYTES: usize = 160;
/// Bytes that an output of a cached row is counted with.
const OUTPUT_BYTES: usize = 72;

/// An unspent output with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// The output.
    pub output: TxOut,
    /// Height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub coinbase: bool,
    /// Version of the transaction that created it.
    pub version: u32,
}

impl Coin {
    /// The output of a row.
    #[must_use]
    pub fn of(coins: &Coins, index: u32) -> Option<Self> {
        let output = coins.output(index)?.clone();
        let origin = coins.origin;
        Some(Self { output, height: origin.height, coinbase: origin.coinbase, version: origin.version })
    }
}

/// Changes since the last commit.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Shared with the cache and with open plans: a transaction may have thousands of outputs.
    pub(crate) coins: HashMap<TxId, Option<Arc<Coins>>>,
    pub(crate) sprout_nullifiers: HashMap<Hash256, bool>,
    pub(crate) sapling_nullifiers: HashMap<Hash256, bool>,
    pub(crate) sprout_anchors: HashMap<Hash256, Option<SproutTree>>,
    pub(crate) sapling_anchors: HashMap<Hash256, Option<SaplingTree>>,
    pub(crate) sprout_tree: SproutTree,
    pub(crate) sapling_tree: SaplingTree,
    pub(crate) tip: Tip,
}

impl Group {
    pub(crate) fn new(tip: Tip, sprout_tree: SproutTree, sapling_tree: SaplingTree) -> Self {
        Self {
            coins: HashMap::new(),
            sprout_nullifiers: HashMap::new(),
            sapling_nullifiers: HashMap::new(),
            sprout_anchors: HashMap::new(),
            sapling_anchors: HashMap::new(),
            sprout_tree,
            sapling_tree,
            tip,
        }
    }

    /// The next group, after this one is committed.
    pub(crate) fn successor(&self) -> Self {
        Self::new(self.tip, self.sprout_tree.clone(), self.sapling_tree.clone())
    }

    /// Makes the tree with this root the best one; a root that is already the best changes nothing.
    pub(crate) fn push_sprout(&mut self, tree: SproutTree, root: Hash256) {
        if root != self.tip.sprout_root {
            self.sprout_anchors.insert(root, Some(tree.clone()));
            self.tip.sprout_root = root;
            self.sprout_tree = tree;
        }
    }

    /// As [`Self::push_sprout`].
    pub(crate) fn push_sapling(&mut self, tree: SaplingTree, root: Hash256) {
        if root != self.tip.sapling_root {
            self.sapling_anchors.insert(root, Some(tree.clone()));
            self.tip.sapling_root = root;
            self.sapling_tree = tree;
        }
    }

    /// Makes an earlier tree the best one again.
    pub(crate) fn pop_sprout(&mut self, tree: SproutTree, root: Hash256) {
        if root != self.tip.sprout_root {
            self.sprout_anchors.insert(self.tip.sprout_root, None);
            self.tip.sprout_root = root;
            self.sprout_tree = tree;
        }
    }

    /// As [`Self::pop_sprout`].
    pub(crate) fn pop_sapling(&mut self, tree: SaplingTree, root: Hash256) {
        if root != self.tip.sapling_root {
            self.sapling_anchors.insert(self.tip.sapling_root, None);
            self.tip.sapling_root = root;
            self.sapling_tree = tree;
        }
    }

    /// All changes as rows.
    pub(crate) fn write(&self, batch: &mut Batch) {
        for (txid, coins) in &self.coins {
            batch.set_coins(txid, coins.as_deref());
        }
        for (nullifier, spent) in &self.sprout_nullifiers {
            batch.set_sprout_nullifier(nullifier, *spent);
        }
        for (nullifier, spent) in &self.sapling_nullifiers {
            batch.set_sapling_nullifier(nullifier, *spent);
        }
        for (root, tree) in &self.sprout_anchors {
            batch.set_sprout_anchor(root, tree.as_ref());
        }
        for (root, tree) in &self.sapling_anchors {
            batch.set_sapling_anchor(root, tree.as_ref());
        }
        batch.put_tip(&self.tip);
    }
}

/// Committed coins that were read or written lately: two generations, of which the older goes when the younger is
/// full.
#[derive(Debug)]
pub(crate) struct CoinCache {
    generations: Mutex<Generations>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<TxId, Option<Arc<Coins>>>,
    old: HashMap<TxId, Option<Arc<Coins>>>,
    young_bytes: usize,
}

impl CoinCache {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { generations: Mutex::default(), limit: bytes / 2 }
    }

    /// Takes over what was committed.
    pub(crate) fn update(&self, changes: HashMap<TxId, Option<Arc<Coins>>>) {
        let mut generations = self.generations.lock();
        for (txid, coins) in changes {
            generations.old.remove(&txid);
            generations.put(txid, coins, self.limit);
        }
    }

    pub(crate) fn get(&self, txid: &TxId, view: &View) -> Result<Option<Arc<Coins>>, ChainError> {
        let mut generations = self.generations.lock();
        if let Some(coins) = generations.young.get(txid) {
            return Ok(coins.clone());
        }
        let coins = match generations.old.remove(txid) {
            Some(coins) => coins,
            None => view.coins(txid)?.map(Arc::new),
        };
        generations.put(*txid, coins.clone(), self.limit);
        Ok(coins)
    }
}

impl Generations {
    fn put(&mut self, txid: TxId, coins: Option<Arc<Coins>>, limit: usize) {
        self.young_bytes += row_bytes(coins.as_deref());
        if let Some(replaced) = self.young.insert(txid, coins) {
            self.young_bytes = self.young_bytes.saturating_sub(row_bytes(replaced.as_deref()));
        }
        if self.young_bytes > limit {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn row_bytes(coins: Option<&Coins>) -> usize {
    let outputs = coins.map_or(0, |coins| {
        coins.outputs().map(|(_, output)| OUTPUT_BYTES + output.script_pubkey.0.len()).sum()
    });
    ROW_BYTES + outputs
}

/// Root of the Sprout tree without leaves.
pub(crate) fn empty_sprout_root() -> Hash256 {
    Sprout::empty_root(SPROUT_DEPTH)
}

/// Root of the Sapling tree without leaves.
pub(crate) fn empty_sapling_root() -> Hash256 {
    Sapling::empty_root(SAPLING_DEPTH)
}

/// The state after the open group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateView<'a> {
    pub(crate) group: &'a Group,
    pub(crate) cache: &'a CoinCache,
    pub(crate) view: &'a View,
}

impl StateView<'_> {
    pub(crate) fn coins(&self, txid: &TxId) -> Result<Option<Arc<Coins>>, ChainError> {
        match self.group.coins.get(txid) {
            Some(coins) => Ok(coins.clone()),
            None => self.cache.get(txid, self.view),
        }
    }

    pub(crate) fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, ChainError> {
        Ok(self.coins(&outpoint.txid)?.and_then(|coins| Coin::of(&coins, outpoint.index)))
    }

    pub(crate) fn is_sprout_spent(&self, nullifier: &Hash256) -> Result<bool, ChainError> {
        match self.group.sprout_nullifiers.get(nullifier) {
            Some(spent) => Ok(*spent),
            None => Ok(self.view.has_sprout_nullifier(nullifier)?),
        }
    }

    pub(crate) fn is_sapling_spent(&self, nullifier: &Hash256) -> Result<bool, ChainError> {
        match self.group.sapling_nullifiers.get(nullifier) {
            Some(spent) => Ok(*spent),
            None => Ok(self.view.has_sapling_nullifier(nullifier)?),
        }
    }

    /// The tree with a root; the tree without leaves is always there.
    pub(crate) fn sprout_anchor(&self, root: &Hash256) -> Result<Option<SproutTree>, ChainError> {
        if *root == empty_sprout_root() {
            return Ok(Some(SproutTree::default()));
        }
        match self.group.sprout_anchors.get(root) {
            Some(tree) => Ok(tree.clone()),
            None => Ok(self.view.sprout_anchor(root)?),
        }
    }

    /// As [`Self::sprout_anchor`].
    pub(crate) fn sapling_anchor(&self, root: &Hash256) -> Result<Option<SaplingTree>, ChainError> {
        if *root == empty_sapling_root() {
            return Ok(Some(SaplingTree::default()));
        }
        match self.group.sapling_anchors.get(root) {
            Some(tree) => Ok(tree.clone()),
            None => Ok(self.view.sapling_anchor(root)?),
        }
    }
}
