//! The P-chain as a virtual machine: blocks that wait for consensus over the accepted state, the mempool, and what other
//! chains ask of it. Mirrors `vms/platformvm/vm.go`, `block/executor` and `validators/manager.go`.

mod builder;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use avalanche_db::Database;
use avalanche_ids::{Id, NodeId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    chain::{
        AppError, AppMessage, Block as ChainBlock, BlockContext, ChainVm, Notify, Phase, ValidatorSet,
        ValidatorState, VmError, Wanted,
    },
    shared_memory::{AtomicRequests, SharedMemory},
    tx_gossip::{self, TxGossip},
};
use parking_lot::Mutex;
use shared_vendor::{clock::Wall, log::Chain};

pub use self::verify::BlockError;
use crate::{
    CHAIN_ID,
    block::{ApricotOption, BanffOption, Block, Common},
    config::Config,
    mempool::{Mempool, MempoolError},
    state::{Accepted, Diff, Draft, OpenError, State},
    txs::{
        NamedTx, UnsignedTx,
        execute::{self, Backend, ExecError},
    },
    uptime::Uptimes,
};

/// Blocks accepted this recently are left out of the height that new blocks of other chains state, in seconds.
const RECENT_SECONDS: u64 = 30;
/// At most so many of them.
const RECENT_BLOCKS: usize = 64;
/// Past validator sets that are kept.
const CACHED_SETS: usize = 64;

/// A block with what is derived from its bytes.
#[derive(Debug, Clone)]
pub struct ParsedBlock {
    /// The block.
    pub block: Block,
    /// Its id.
    pub id: Id,
    /// The encoding.
    pub bytes: Arc<[u8]>,
    /// Its transactions, without a proposed one.
    pub txs: Vec<Arc<NamedTx>>,
    /// The proposed one.
    pub proposal: Option<Arc<NamedTx>>,
}

impl ParsedBlock {
    /// Derives it.
    #[must_use]
    pub fn new(block: Block, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let named = |tx: &crate::txs::Tx| Arc::new(NamedTx::new(tx.clone()));
        let (txs, proposal) = match &block {
            Block::ApricotProposal(block) => (Vec::new(), Some(named(&block.tx))),
            Block::BanffProposal(block) => {
                (block.txs.iter().map(named).collect(), Some(named(&block.proposal.tx)))
            }
            other => (other.txs().map(named).collect(), None),
        };
        Self { id: Id::hash_of(&bytes), block, bytes, txs, proposal }
    }

    fn all_txs(&self) -> impl Iterator<Item = &Arc<NamedTx>> {
        self.txs.iter().chain(&self.proposal)
    }
}

/// A verified block that is not decided, or an accepted proposal that waits for its option.
#[derive(Debug)]
struct Processing {
    parsed: Arc<ParsedBlock>,
    outcome: Outcome,
    imported: BTreeSet<Id>,
    requests: AtomicRequests,
    timestamp: u64,
    verified_heights: BTreeSet<u64>,
}

/// What a block leaves.
#[derive(Debug)]
enum Outcome {
    /// Changes on its parent.
    Decision(Arc<Diff>),
    /// Changes on its parent for either option, with those that are made in any case.
    Proposal { commit: Arc<Diff>, abort: Arc<Diff> },
}

/// Why a transaction is not taken to be put into a block.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The chain is bootstrapping.
    #[error("chain not synced")]
    NotSynced,
    /// It cannot wait.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// It was refused before, for this reason.
    #[error("{0}")]
    Dropped(String),
    /// It is not valid on the preferred block.
    #[error("failed verification")]
    Invalid(#[source] ExecError),
    /// Its gas is above what a block can hold now.
    #[error("tx exceeds current gas capacity: {gas} > {capacity}")]
    Capacity {
        /// Its gas.
        gas: u64,
        /// What there is.
        capacity: u64,
    },
}

struct Core {
    state: State,
    processing: HashMap<Id, Processing>,
    last_accepted: Id,
    preferred: Id,
    mempool: Mempool,
    gossip: TxGossip,
    uptimes: Uptimes,
    phase: Phase,
    now: Wall,
    recent: VecDeque<(u64, Wall)>,
    sets: BTreeMap<(Id, u64), Arc<ValidatorSet>>,
    notify: Option<Notify>,
}

/// The P-chain. Cheap to clone; clones are the same machine.
#[derive(Clone)]
pub struct PlatformVm {
    config: Arc<Config>,
    memory: SharedMemory,
    core: Arc<Mutex<Core>>,
}

impl std::fmt::Debug for PlatformVm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformVm").field("config", &self.config).finish_non_exhaustive()
    }
}

impl PlatformVm {
    /// Opens the chain in the node's store; an empty one begins with the genesis.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(root: Arc<dyn Database>, config: Config, genesis: &[u8]) -> Result<Self, OpenError> {
        let memory = SharedMemory::new(Arc::clone(&root), CHAIN_ID);
        let state = State::open(root, &config, genesis)?;
        let last_accepted = state.last_accepted();
        let core = Core {
            state,
            processing: HashMap::new(),
            last_accepted,
            preferred: last_accepted,
            mempool: Mempool::new(&config),
            gossip: TxGossip::default(),
            uptimes: Uptimes::default(),
            phase: Phase::default(),
            now: Wall::default(),
            recent: VecDeque::new(),
            sets: BTreeMap::new(),
            notify: None,
        };
        Ok(Self { config: Arc::new(config), memory, core: Arc::new(Mutex::new(core)) })
    }

    /// The network's rules.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this chain shares with others.
    #[must_use]
    pub const fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Reads the accepted state.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.core.lock().state)
    }

    /// Reads the accepted state and who was online.
    pub fn read_with_uptimes<T>(&self, read: impl FnOnce(&State, &Uptimes) -> T) -> T {
        let core = self.core.lock();
        read(&core.state, &core.uptimes)
    }

    /// Reads the mempool.
    pub fn read_mempool<T>(&self, read: impl FnOnce(&Mempool) -> T) -> T {
        read(&self.core.lock().mempool)
    }

    /// Reads the state as the preferred block would leave it.
    pub fn read_preferred<T>(&self, read: impl FnOnce(&Draft<'_>) -> T) -> T {
        let core = self.core.lock();
        let draft = core.draft(core.preferred, false).unwrap_or_else(|| core.state.draft());
        read(&draft)
    }

    /// Takes the transactions of peers that are valid.
    fn receive(&self, txs: Vec<Vec<u8>>, now: Wall) {
        for bytes in txs {
            if let Ok(tx) = crate::txs::parse(&bytes) {
                // What cannot be taken is remembered as refused.
                let _ = self.issue(NamedTx::new(tx), now);
            }
        }
    }

    /// Takes a transaction to be put into a block.
    ///
    /// # Errors
    /// As [`IssueError`] says; it is remembered as refused unless it waits already.
    pub fn issue(&self, tx: NamedTx, now: Wall) -> Result<Id, IssueError> {
        let tx = Arc::new(tx);
        let mut core = self.core.lock();
        core.now = core.now.max(now);
        if core.mempool.get(&tx.id).is_some() {
            return Err(MempoolError::Duplicate.into());
        }
        if let Some(reason) = core.mempool.drop_reason(&tx.id) {
            return Err(IssueError::Dropped(reason.to_owned()));
        }
        let issued = self.verify_tx(&core, &tx, now).and_then(|()| Ok(core.mempool.add(Arc::clone(&tx))?));
        if let Err(error) = issued {
            core.mempool.mark_dropped(tx.id, Chain(&error).to_string());
            return Err(error);
        }
        core.gossip.add(tx.id);
        let notify = core.notify.clone();
        drop(core);
        if let Some(notify) = notify {
            notify();
        }
        Ok(tx.id)
    }

    /// Remembers the uptimes of all validators; to be called before the node stops.
    ///
    /// # Errors
    /// The store failed.
    pub fn stop(&self, now: Wall) -> Result<(), VmError> {
        let mut core = self.core.lock();
        if core.uptimes.is_tracking() {
            let uptimes = core.uptimes.all(&core.state, now.as_secs());
            core.state.set_uptimes(uptimes)?;
        }
        Ok(())
    }

    /// Checks that a transaction could be in a block on the preferred one (`VerifyTx`).
    fn verify_tx(&self, core: &Core, tx: &Arc<NamedTx>, now: Wall) -> Result<(), IssueError> {
        if core.phase != Phase::Normal {
            return Err(IssueError::NotSynced);
        }
        let height = core.minimum_height(now);
        let config = &self.config;
        core.verify_warp(config, &tx.tx.unsigned, height).map_err(IssueError::Invalid)?;
        let readd = config.is_active(Fork::Helicon, now.as_secs());
        let Some(mut draft) = core.draft(core.preferred, readd) else { return Err(IssueError::NotSynced) };
        let checked = (|| {
            let (time, _) = execute::next_block_time(config, &draft, now.as_secs())?;
            execute::advance_time(config, &mut draft, time)?;
            Ok::<_, ExecError>(())
        })();
        checked.map_err(IssueError::Invalid)?;
        if config.is_active(Fork::Etna, draft.timestamp()) {
            let gas = crate::txs::fee::complexity(&tx.tx.unsigned)
                .map_err(ExecError::from)
                .and_then(|complexity| Ok(complexity.to_gas(config.gas.weights)?))
                .map_err(IssueError::Invalid)?;
            let capacity = draft.scalars().fee_state.capacity;
            if gas > capacity {
                return Err(IssueError::Capacity { gas, capacity });
            }
        }
        let fees = execute::Fees::of(config, &draft);
        let backend = self.backend(core, now);
        execute::standard(&backend, &fees, tx, &mut draft).map(drop).map_err(IssueError::Invalid)
    }

    fn backend(&self, core: &Core, now: Wall) -> Backend<'_> {
        Backend {
            config: &self.config,
            now: now.as_secs(),
            bootstrapped: core.phase == Phase::Normal,
            memory: &self.memory,
            unseen: None,
        }
    }

    fn parsed(&self, block: &ChainBlock) -> Result<Arc<ParsedBlock>, VmError> {
        if let Some(parsed) = block.parsed::<Arc<ParsedBlock>>() {
            return Ok(Arc::clone(parsed));
        }
        let parsed = Block::parse(&block.bytes).map_err(VmError::invalid)?;
        Ok(Arc::new(ParsedBlock::new(parsed, Arc::clone(&block.bytes))))
    }
}

fn to_chain(parsed: Arc<ParsedBlock>, timestamp: u64) -> ChainBlock {
    let common = *parsed.block.common();
    let timestamp = i64::try_from(timestamp).unwrap_or(i64::MAX);
    ChainBlock::new(parsed.id, common.parent_id, common.height, timestamp, Arc::clone(&parsed.bytes))
        .with_parsed(parsed)
}

impl Core {
    /// The state as a block leaves it, to be changed; None for a proposal and for a block that is not here.
    fn draft(&self, id: Id, readd: bool) -> Option<Draft<'_>> {
        let mut below = Vec::new();
        let mut at = id;
        while let Some(processing) = self.processing.get(&at) {
            match &processing.outcome {
                Outcome::Decision(diff) => below.push(&**diff),
                // An option's changes contain those of the proposal it decides.
                Outcome::Proposal { .. } if at == id => return None,
                Outcome::Proposal { .. } => {}
            }
            at = processing.parsed.block.common().parent_id;
        }
        (at == self.state.last_accepted()).then(|| Draft::new(&self.state, below, readd))
    }

    fn timestamp_of(&self, id: Id) -> u64 {
        self.processing.get(&id).map_or(self.state.scalars().timestamp, |processing| processing.timestamp)
    }

    fn block(&self, id: Id) -> Result<ChainBlock, VmError> {
        if let Some(processing) = self.processing.get(&id) {
            return Ok(to_chain(Arc::clone(&processing.parsed), processing.timestamp));
        }
        let bytes = self.state.block(&id)?.ok_or(VmError::NotFound(id))?;
        let block = Block::parse(&bytes).map_err(avalanche_db::DbError::from)?;
        let timestamp = block.time().unwrap_or(self.state.scalars().timestamp);
        Ok(to_chain(Arc::new(ParsedBlock::new(block, bytes)), timestamp))
    }

    fn height_of(&self, id: Id) -> Result<u64, VmError> {
        if let Some(processing) = self.processing.get(&id) {
            return Ok(processing.parsed.block.common().height);
        }
        if id == self.state.last_accepted() {
            return Ok(self.state.height());
        }
        Ok(self.block(id)?.height)
    }

    fn minimum_height(&self, now: Wall) -> u64 {
        let fresh = |at: &Wall| now.as_secs() <= at.as_secs().saturating_add(RECENT_SECONDS);
        match self.recent.iter().find(|(_, at)| fresh(at)) {
            Some((height, _)) => height.saturating_sub(1),
            None => self.state.height(),
        }
    }

    fn remember_accepted(&mut self, height: u64) {
        let now = self.now;
        let stale = |at: &Wall| now.as_secs() > at.as_secs().saturating_add(RECENT_SECONDS);
        while self.recent.len() >= RECENT_BLOCKS || self.recent.front().is_some_and(|(_, at)| stale(at)) {
            self.recent.pop_front();
        }
        self.recent.push_back((height, now));
    }

    fn subnet_of(&self, chain: Id) -> Result<Option<Id>, avalanche_db::DbError> {
        if chain == CHAIN_ID {
            return Ok(Some(CHAIN_ID));
        }
        Ok(self.state.tx(&chain)?.and_then(|(tx, _)| match &tx.tx.unsigned {
            UnsignedTx::CreateChain(chain) => Some(chain.subnet_id),
            _ => None,
        }))
    }

    fn validators_at(&self, height: u64, subnet: Id) -> Result<Arc<ValidatorSet>, VmError> {
        if let Some(set) = self.sets.get(&(subnet, height)) {
            return Ok(Arc::clone(set));
        }
        if height > self.state.height() {
            return Err(VmError::Internal(format!(
                "P-chain height {height} is above the current one {}",
                self.state.height()
            )));
        }
        let set = self.state.set_at(subnet, height);
        Ok(Arc::new(set.map_err(|error| VmError::Internal(Chain(&error).to_string()))?))
    }

    fn accept_block(&mut self, memory: &SharedMemory, id: Id) -> Result<(), VmError> {
        let missing = || VmError::Internal(format!("block {id} is accepted but not processing"));
        let block = self.processing.get(&id).ok_or_else(missing)?;
        if let Outcome::Proposal { .. } = block.outcome {
            // Written with the option that decides it.
            self.last_accepted = id;
            return Ok(());
        }
        let Processing { parsed, outcome, requests, .. } = self.processing.remove(&id).ok_or_else(missing)?;
        let common = *parsed.block.common();
        let parent = match self.processing.get(&common.parent_id) {
            Some(parent) if matches!(parent.outcome, Outcome::Proposal { .. }) => {
                self.processing.remove(&common.parent_id)
            }
            Some(_) => return Err(VmError::Internal(format!("parent of {id} is not accepted"))),
            None => None,
        };
        let below = parent.as_ref().map_or(common.parent_id, |parent| parent.parsed.block.common().parent_id);
        if below != self.state.last_accepted() {
            return Err(VmError::Internal(format!("parent of {id} is not the last accepted block")));
        }
        let mut accepted = Vec::with_capacity(2);
        for parsed in parent.iter().map(|parent| &parent.parsed).chain([&parsed]) {
            let height = parsed.block.common().height;
            accepted.push(Accepted { id: parsed.id, height, bytes: &parsed.bytes });
        }
        let Outcome::Decision(diff) = outcome else { return Err(missing()) };
        let diff = Arc::try_unwrap(diff).unwrap_or_else(|shared| Diff::clone(&shared));
        let requests = parent.as_ref().map_or(&requests, |parent| &parent.requests);
        let beside = memory.apply(requests)?;
        self.state.commit(diff, &accepted, beside).map_err(|error| match error {
            OpenError::Store(error) => VmError::Store(error),
            other => VmError::Internal(Chain(&other).to_string()),
        })?;
        self.last_accepted = id;
        if let Some(parent) = &parent {
            self.remember_accepted(parent.parsed.block.common().height);
        }
        self.remember_accepted(common.height);
        Ok(())
    }
}

impl ChainVm for PlatformVm {
    fn set_phase(&self, phase: Phase) -> Result<(), VmError> {
        let mut core = self.core.lock();
        core.phase = phase;
        Ok(())
    }

    fn parse(&self, bytes: &[u8]) -> Result<ChainBlock, VmError> {
        let block = Block::parse(bytes).map_err(VmError::invalid)?;
        let timestamp = block.time();
        let parsed = Arc::new(ParsedBlock::new(block, bytes));
        let timestamp = timestamp.unwrap_or_else(|| self.core.lock().timestamp_of(parsed.id));
        Ok(to_chain(parsed, timestamp))
    }

    fn block(&self, id: Id) -> Result<ChainBlock, VmError> {
        self.core.lock().block(id)
    }

    fn block_id_at_height(&self, height: u64) -> Result<Option<Id>, VmError> {
        Ok(self.core.lock().state.block_id_at(height)?)
    }

    fn last_accepted(&self) -> Result<ChainBlock, VmError> {
        let core = self.core.lock();
        core.block(core.last_accepted)
    }

    fn verify(&self, block: &ChainBlock, context: &BlockContext) -> Result<(), VmError> {
        let parsed = self.parsed(block)?;
        self.verify_block(&parsed, context)
    }

    fn wants_context(&self, _: &ChainBlock) -> Result<bool, VmError> {
        Ok(true)
    }

    fn accept(&self, id: Id) -> Result<(), VmError> {
        self.core.lock().accept_block(&self.memory, id)
    }

    fn reject(&self, id: Id) -> Result<(), VmError> {
        let mut core = self.core.lock();
        let Some(block) = core.processing.remove(&id) else { return Ok(()) };
        for tx in &block.parsed.txs {
            // What cannot wait any more is forgotten.
            let _ = core.mempool.add(Arc::clone(tx));
        }
        Ok(())
    }

    fn options(&self, block: &ChainBlock) -> Result<Option<[ChainBlock; 2]>, VmError> {
        let parsed = self.parsed(block)?;
        let common = Common { parent_id: parsed.id, height: parsed.block.common().height.saturating_add(1) };
        let (commit, abort, prefers_commit) = match &parsed.block {
            Block::ApricotProposal(_) => (
                Block::ApricotCommit(ApricotOption { common }),
                Block::ApricotAbort(ApricotOption { common }),
                true,
            ),
            Block::BanffProposal(block) => {
                let time = block.time;
                let core = self.core.lock();
                (
                    Block::BanffCommit(BanffOption { time, common }),
                    Block::BanffAbort(BanffOption { time, common }),
                    core.prefers_commit(&self.config, &block.proposal.tx.unsigned),
                )
            }
            _ => return Ok(None),
        };
        let timestamp = self.core.lock().timestamp_of(parsed.id);
        let option = |block: Block| {
            let bytes = block.bytes();
            to_chain(Arc::new(ParsedBlock::new(block, bytes)), timestamp)
        };
        let (commit, abort) = (option(commit), option(abort));
        Ok(Some(if prefers_commit { [commit, abort] } else { [abort, commit] }))
    }

    fn set_preference(&self, id: Id) -> Result<(), VmError> {
        let mut core = self.core.lock();
        if !core.processing.contains_key(&id) && id != core.last_accepted {
            return Err(VmError::NotFound(id));
        }
        core.preferred = id;
        Ok(())
    }

    fn build(&self, context: &BlockContext) -> Result<ChainBlock, VmError> {
        self.build_block(context)
    }

    fn wanted(&self, now: Wall) -> Wanted {
        let mut core = self.core.lock();
        core.now = core.now.max(now);
        if core.phase != Phase::Normal {
            return Wanted::Nothing;
        }
        if !core.uptimes.is_tracking() {
            let uptimes = {
                let Core { state, uptimes, .. } = &mut *core;
                uptimes.start_tracking(state, now.as_secs())
            };
            // A store that fails here fails again with the next block, which reports it.
            let _ = core.state.set_uptimes(uptimes);
        }
        core.wanted(&self.config, now)
    }

    fn on_change(&self, notify: Notify) {
        self.core.lock().notify = Some(notify);
    }

    fn app_gossip(&self, _: NodeId, bytes: &[u8], now: Wall) {
        if let Some(txs) = tx_gossip::parse_push(bytes) {
            self.receive(txs, now);
        }
    }

    fn app_request(&self, _: NodeId, bytes: &[u8], _: Wall) -> Result<Vec<u8>, AppError> {
        let core = self.core.lock();
        tx_gossip::answer_pull(bytes, core.mempool.iter().map(|tx| (tx.id, tx.bytes.as_slice())))
    }

    fn app_response(&self, _: NodeId, _: u32, answer: Option<&[u8]>, now: Wall) {
        if let Some(answer) = answer {
            self.receive(tx_gossip::parse_answer(answer), now);
        }
    }

    fn app_messages(&self, now: Wall) -> Vec<AppMessage> {
        let mut core = self.core.lock();
        if core.phase != Phase::Normal {
            return Vec::new();
        }
        let Core { gossip, mempool, .. } = &mut *core;
        let find = |id: &Id| mempool.get(id).map(|tx| tx.bytes.clone());
        gossip.due(now, find, mempool.iter().map(|tx| tx.id))
    }

    fn connected(&self, node: NodeId, now: Wall) {
        self.core.lock().uptimes.connect(node, now.as_secs());
    }

    fn disconnected(&self, node: NodeId, now: Wall) {
        let mut core = self.core.lock();
        let Core { state, uptimes, .. } = &mut *core;
        if let Some(uptime) = uptimes.disconnect(state, node, now.as_secs()) {
            let _ = state.set_uptimes([(node, uptime)]);
        }
    }

    fn health(&self, _: Wall) -> Result<Vec<(String, String)>, String> {
        let core = self.core.lock();
        Ok(vec![("primary-percentConnected".to_owned(), connected_part(&core).to_string())])
    }
}

/// Part of the primary network's stake that is connected.
#[allow(clippy::as_conversions, clippy::cast_precision_loss)] // for people
fn connected_part(core: &Core) -> f64 {
    let set = core.state.current_set(CHAIN_ID);
    let sum = |only_connected: bool| {
        set.iter()
            .filter(|(node, _)| !only_connected || core.uptimes.is_connected(**node))
            .fold(0_u64, |sum, (_, validator)| sum.saturating_add(validator.weight))
    };
    match sum(false) {
        0 => 1.0,
        total => sum(true) as f64 / total as f64,
    }
}

impl ValidatorState for PlatformVm {
    fn minimum_height(&self, now: Wall) -> Result<u64, VmError> {
        Ok(self.core.lock().minimum_height(now))
    }

    fn current_height(&self) -> Result<u64, VmError> {
        Ok(self.core.lock().state.height())
    }

    fn validators_at(&self, height: u64, subnet: Id) -> Result<Arc<ValidatorSet>, VmError> {
        let mut core = self.core.lock();
        let set = core.validators_at(height, subnet)?;
        if core.sets.len() >= CACHED_SETS {
            core.sets.pop_first();
        }
        core.sets.insert((subnet, height), Arc::clone(&set));
        Ok(set)
    }

    fn subnet_of(&self, chain: Id) -> Result<Option<Id>, VmError> {
        Ok(self.core.lock().subnet_of(chain)?)
    }
}
