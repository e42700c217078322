//! The chain state: the one writer over a store. It is opened here; headers and bodies come in through `accept`, the
//! best chain is made active in `activate`, and operators steer it in `control`.

mod accept;
mod activate;
mod candidates;
mod catch_up;
mod control;
mod import;
mod open;
mod prune;
mod snapshot;
mod verify;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use fluxd_consensus::{check::CheckedBlock, params::Params};
use fluxd_fluxnode::{NodeState, Undo};
use fluxd_primitives::{Amount, BlockHash, Hash256, OutPoint, TxId};
use fluxd_shielded::{SaplingTree, SproutTree};
use fluxd_storage::{BlockRow, Coins, Identity, Store, Tip, View};

use crate::{
    chain::candidates::Candidates,
    connect::Failure,
    error::{ChainError, Invalid},
    follow::{Followers, IndexKind},
    index::{BlockId, HeaderIndex},
    reader::ChainReader,
    state::{Coin, CoinCache, Group, StateView},
};

pub use accept::Accepted;
pub use import::ImportProgress;
pub use snapshot::SnapshotSummary;
pub use verify::Verified;

/// Result of an operation on the chain state.
pub(crate) type Result<T> = std::result::Result<T, ChainError>;

/// How a chain state works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Indexes to keep.
    pub indexes: BTreeSet<IndexKind>,
    /// Trust the known blocks of the network: no forks below them, no scripts and proofs checked before them.
    pub checkpoints: bool,
    /// Bytes of coins to keep in memory.
    pub cache_bytes: usize,
    /// Most blocks that one commit connects.
    pub group_blocks: usize,
    /// Lite mode: delete the oldest flat files while all together have more bytes than this.
    pub prune_target: Option<u64>,
    /// Entropy for the verification of proofs in batches, from the node.
    pub seed: [u8; 32],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            indexes: BTreeSet::new(),
            checkpoints: true,
            cache_bytes: 128 << 20,
            group_blocks: 32,
            prune_target: None,
            seed: [0; 32],
        }
    }
}

/// A change of the active chain, after it is committed.
#[derive(Debug, Clone)]
pub enum ChainEvent {
    /// A block became the tip.
    Connected {
        /// The block.
        block: Arc<CheckedBlock>,
        /// Its height.
        height: u32,
        /// Where every fluxnode that it changed stood before it.
        nodes: Arc<Undo>,
    },
    /// The tip was taken back.
    Disconnected {
        /// The block.
        block: Arc<CheckedBlock>,
        /// Its height.
        height: u32,
        /// Where every fluxnode that it had changed stood after it.
        nodes: Arc<Undo>,
    },
    /// A block could not be connected.
    Rejected {
        /// The block.
        hash: BlockHash,
        /// The rule that it breaks.
        invalid: Invalid,
    },
}

/// What one step towards the best chain did.
#[derive(Debug, Default)]
pub struct Activation {
    /// What changed, in order.
    pub events: Vec<ChainEvent>,
    /// True when another step may get further.
    pub more: bool,
}

/// Value in the shielded pools, in zatoshi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValuePools {
    /// Sprout.
    pub sprout: Amount,
    /// Sapling.
    pub sapling: Amount,
}

/// The chain state.
#[derive(Debug)]
pub struct ChainState {
    params: Arc<Params>,
    options: Options,
    store: Store,
    index: HeaderIndex,
    candidates: Candidates,
    nodes: NodeState,
    group: Group,
    cache: CoinCache,
    followers: Followers,
    /// Rows of blocks that changed since the last commit.
    rows: HashMap<BlockId, BlockRow>,
    /// Bodies that wait to be connected.
    bodies: Bodies,
    pools: ValuePools,
    /// Commits since the last one that was synced.
    unsynced: u32,
    /// Proof batches verified, so that no two use the same numbers.
    batches: u64,
}

impl ChainState {
    /// Opens the chain state in a folder, or creates it with the genesis block.
    ///
    /// # Errors
    /// The store fails or belongs to another network.
    pub fn open(dir: &Path, params: Arc<Params>, options: Options) -> Result<Self> {
        let store = Store::open(dir, &identity(&params))?;
        open::open(store, params, options)
    }

    /// A chain state with its tables in memory and its flat files in a folder, for tests and simulations.
    ///
    /// # Errors
    /// The flat files fail.
    pub fn in_memory(dir: &Path, params: Arc<Params>, options: Options) -> Result<Self> {
        let store = Store::in_memory(dir, &identity(&params))?;
        open::open(store, params, options)
    }

    /// The network.
    #[must_use]
    pub fn params(&self) -> &Arc<Params> {
        &self.params
    }

    /// How this chain state works.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// All known headers and the active chain.
    #[must_use]
    pub fn index(&self) -> &HeaderIndex {
        &self.index
    }

    /// The tip with the roots of its trees.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.group.tip
    }

    /// The node list after the tip.
    #[must_use]
    pub fn nodes(&self) -> &NodeState {
        &self.nodes
    }

    /// Value in the shielded pools after the tip.
    #[must_use]
    pub fn value_pools(&self) -> ValuePools {
        self.pools
    }

    /// The Sprout tree after the tip.
    #[must_use]
    pub fn sprout_tree(&self) -> &SproutTree {
        &self.group.sprout_tree
    }

    /// The Sapling tree after the tip.
    #[must_use]
    pub fn sapling_tree(&self) -> &SaplingTree {
        &self.group.sapling_tree
    }

    /// An unspent output.
    ///
    /// # Errors
    /// The store fails.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>> {
        self.with_state(|state| state.coin(outpoint))
    }

    /// The unspent outputs of a transaction.
    ///
    /// # Errors
    /// The store fails.
    pub fn coins(&self, txid: &TxId) -> Result<Option<Coins>> {
        Ok(self.with_state(|state| state.coins(txid))?.as_deref().cloned())
    }

    /// True when the nullifiers of a transaction are not spent and its anchors are known (`HaveShieldedRequirements`).
    ///
    /// # Errors
    /// The store fails.
    pub fn has_shielded_requirements(&self, tx: &fluxd_primitives::Transaction) -> Result<bool> {
        self.with_state(|state| match crate::connect::has_shielded_requirements(state, tx) {
            Ok(has) => Ok(has),
            Err(Failure::Invalid(_)) => Ok(false),
            Err(Failure::Local(error)) => Err(error),
        })
    }

    /// True when a Sprout tree with this root was the best one after some block of the active chain.
    ///
    /// # Errors
    /// The store fails.
    pub fn has_sprout_anchor(&self, root: &Hash256) -> Result<bool> {
        self.with_state(|state| Ok(state.sprout_anchor(root)?.is_some()))
    }

    /// As [`Self::has_sprout_anchor`], for Sapling.
    ///
    /// # Errors
    /// The store fails.
    pub fn has_sapling_anchor(&self, root: &Hash256) -> Result<bool> {
        self.with_state(|state| Ok(state.sapling_anchor(root)?.is_some()))
    }

    /// Reads what is committed, without the writer.
    #[must_use]
    pub fn reader(&self) -> ChainReader {
        ChainReader::new(self.store.reader(), Arc::clone(&self.params), self.options.indexes.clone())
    }

    /// The body of a block, from memory or from its flat file.
    ///
    /// # Errors
    /// It is not stored, or damaged.
    pub fn body(&self, id: BlockId) -> Result<Arc<CheckedBlock>> {
        if let Some(body) = self.bodies.get(id) {
            return Ok(body);
        }
        let hash = self.index.entry(id).hash();
        let position = self.row(id)?.block.ok_or(ChainError::NoBody(hash))?;
        let block = self.store.reader().block(position)?;
        let checked = CheckedBlock::new(Arc::new(block)).map_err(|_| ChainError::DamagedBlock(hash))?;
        if checked.hash() != hash {
            return Err(ChainError::DamagedBlock(hash));
        }
        Ok(Arc::new(checked))
    }

    /// What is known about a block, its header included.
    ///
    /// # Errors
    /// The store fails.
    pub fn row(&self, id: BlockId) -> Result<BlockRow> {
        if let Some(row) = self.rows.get(&id) {
            return Ok(row.clone());
        }
        let hash = self.index.entry(id).hash();
        self.store.view().block(&hash)?.ok_or(ChainError::UnknownBlock(hash))
    }

    fn with_state<T>(&self, read: impl FnOnce(StateView<'_>) -> Result<T>) -> Result<T> {
        let view = self.store.view();
        read(StateView { group: &self.group, cache: &self.cache, view: &view })
    }

    fn state<'a>(&'a self, view: &'a View) -> StateView<'a> {
        StateView { group: &self.group, cache: &self.cache, view }
    }

    /// The last known block of the network that is in the index.
    fn last_checkpoint(&self) -> Option<BlockId> {
        if !self.options.checkpoints {
            return None;
        }
        let hashes = self.params.checkpoints.iter().rev().filter_map(|(_, hash)| hash.parse().ok());
        hashes.filter_map(|hash: BlockHash| self.index.find(&hash)).next()
    }

    /// True when a known block vouches for this one, which then needs no checks of scripts and proofs.
    fn is_vouched_for(&self, id: BlockId) -> bool {
        let height = self.index.entry(id).height();
        self.last_checkpoint().is_some_and(|known| self.index.ancestor(known, height) == Some(id))
    }
}

fn identity(params: &Params) -> Identity<'_> {
    Identity { network: params.network.name(), genesis: params.genesis.header.hash(), magic: params.magic }
}

/// Bodies in memory, up to a number of bytes.
#[derive(Debug, Default)]
struct Bodies {
    blocks: HashMap<BlockId, Arc<CheckedBlock>>,
    bytes: usize,
}

impl Bodies {
    /// Bytes of blocks on the wire that are kept.
    const LIMIT: usize = 48 << 20;

    fn get(&self, id: BlockId) -> Option<Arc<CheckedBlock>> {
        self.blocks.get(&id).cloned()
    }

    /// Keeps a body if there is room; it is on disk anyway.
    fn keep(&mut self, id: BlockId, body: Arc<CheckedBlock>) {
        if self.bytes.saturating_add(body.size()) <= Self::LIMIT {
            self.bytes += body.size();
            self.blocks.insert(id, body);
        }
    }

    fn forget(&mut self, id: BlockId) {
        if let Some(body) = self.blocks.remove(&id) {
            self.bytes = self.bytes.saturating_sub(body.size());
        }
    }
}
