//! The X-chain as a virtual machine: blocks that wait for consensus over the accepted state, and the mempool.
//! Mirrors `vms/avm/vm.go` and `vms/avm/block/{builder,executor}`. The DAG that the chain was before Cortina is not here:
//! a chain begins above the stop vertex of an empty one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use avalanche_db::{Database, DbError};
use avalanche_ids::{Id, NodeId};
use avalanche_vm::{
    chain::{
        AppError, AppMessage, Block as ChainBlock, BlockContext, ChainVm, Notify, Phase, ValidatorState,
        VmError, Wanted,
    },
    shared_memory::{AtomicRequests, SharedMemory},
    tx_gossip::{self, TxGossip},
};
use parking_lot::Mutex;
use shared_vendor::{clock::Wall, log::Chain};

use crate::{
    block::{Block, StandardBlock},
    config::Config,
    mempool::{Mempool, MempoolError},
    state::{Accepted, Diff, Draft, State},
    txs::{
        NamedTx,
        execute::{self, Backend, ExecError},
        verify,
    },
};

/// How far a block's time may lie ahead of the verifier's clock, in seconds.
const SYNC_BOUND: u64 = 10;
/// Bytes of transactions in a block.
const TARGET_BLOCK_LEN: usize = 128 * 1024;

/// Which rule a block breaks. The name of the reference's error is in brackets.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// A Merkle root (`ErrUnexpectedMerkleRoot`).
    #[error("unexpected merkle root")]
    MerkleRoot,
    /// A time too far ahead (`ErrTimestampBeyondSyncBound`).
    #[error("time {0} is too far ahead")]
    BeyondSyncBound(u64),
    /// No transactions (`ErrEmptyBlock`).
    #[error("block contains no transactions")]
    Empty,
    /// Its parent is not here.
    #[error("missing parent {0}")]
    MissingParent(Id),
    /// Not one above its parent (`ErrIncorrectHeight`).
    #[error("height {found} where {expected} is expected")]
    Height {
        /// One above the parent.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A time before the parent's (`ErrChildBlockEarlierThanParent`).
    #[error("time {0} is before the chain's")]
    EarlierThanParent(u64),
    /// Two transactions import the same (`ErrConflictingBlockTxs`).
    #[error("block contains conflicting transactions")]
    Conflicting,
    /// An ancestor imports the same (`ErrConflictingParentTxs`).
    #[error("block contains a transaction that conflicts with one in a parent")]
    ConflictingParent,
    /// A transaction.
    #[error("transaction {0}")]
    Tx(Id, #[source] ExecError),
}

impl From<BlockError> for VmError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Tx(_, ExecError::Store(error)) => Self::Store(error),
            other => Self::invalid(other),
        }
    }
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
    /// It is not valid on the last accepted block.
    #[error("failed verification")]
    Invalid(#[source] ExecError),
}

/// A block with what is derived from its bytes.
#[derive(Debug, Clone)]
pub struct ParsedBlock {
    /// The block.
    pub block: StandardBlock,
    /// Its id.
    pub id: Id,
    /// The encoding.
    pub bytes: Arc<[u8]>,
    /// Its transactions.
    pub txs: Vec<Arc<NamedTx>>,
}

impl ParsedBlock {
    fn new(Block::Standard(block): Block, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let txs = block.txs.iter().map(|tx| Arc::new(NamedTx::new(tx.clone()))).collect();
        Self { id: Id::hash_of(&bytes), block, bytes, txs }
    }
}

#[derive(Debug)]
struct Processing {
    parsed: Arc<ParsedBlock>,
    diff: Diff,
    imported: BTreeSet<Id>,
    requests: AtomicRequests,
}

struct Core {
    state: State,
    processing: HashMap<Id, Processing>,
    preferred: Id,
    mempool: Mempool,
    gossip: TxGossip,
    phase: Phase,
    notify: Option<Notify>,
}

/// A chain of UTXOs. Cheap to clone; clones are the same machine.
#[derive(Clone)]
pub struct Avm {
    config: Arc<Config>,
    memory: SharedMemory,
    validators: Arc<dyn ValidatorState>,
    core: Arc<Mutex<Core>>,
}

impl std::fmt::Debug for Avm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Avm").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Avm {
    /// Opens the chain in the node's store; an empty one begins with the genesis. `validators` is the P-chain.
    ///
    /// # Errors
    /// The store failed or the genesis cannot be read.
    pub fn open(
        root: Arc<dyn Database>,
        config: Config,
        genesis: &[u8],
        validators: Arc<dyn ValidatorState>,
    ) -> Result<Self, DbError> {
        let memory = SharedMemory::new(Arc::clone(&root), config.chain_id);
        let state = State::open(root, &config, genesis)?;
        let core = Core {
            preferred: state.last_accepted(),
            state,
            processing: HashMap::new(),
            mempool: Mempool::default(),
            gossip: TxGossip::default(),
            phase: Phase::default(),
            notify: None,
        };
        Ok(Self { config: Arc::new(config), memory, validators, core: Arc::new(Mutex::new(core)) })
    }

    /// The chain's rules.
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

    /// Reads the mempool.
    pub fn read_mempool<T>(&self, read: impl FnOnce(&Mempool) -> T) -> T {
        read(&self.core.lock().mempool)
    }

    /// True while the transaction is in a block that is processing.
    #[must_use]
    pub fn is_processing(&self, tx: &Id) -> bool {
        let core = self.core.lock();
        core.processing.values().any(|block| block.parsed.txs.iter().any(|known| known.id == *tx))
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

    fn verify_tx(&self, core: &Core, tx: &NamedTx, now: Wall) -> Result<(), IssueError> {
        if core.phase != Phase::Normal {
            return Err(IssueError::NotSynced);
        }
        verify::verify(&tx.tx, &self.config).map_err(|error| IssueError::Invalid(error.into()))?;
        let mut draft = Draft::new(&core.state, Vec::new());
        execute::execute(&self.backend(core, now), tx, &mut draft).map(drop).map_err(IssueError::Invalid)
    }

    fn backend(&self, core: &Core, now: Wall) -> Backend<'_> {
        Backend {
            config: &self.config,
            now: now.as_secs(),
            bootstrapped: core.phase == Phase::Normal,
            memory: &self.memory,
            unseen: None,
            validators: &*self.validators,
        }
    }

    fn parsed(block: &ChainBlock) -> Result<Arc<ParsedBlock>, VmError> {
        if let Some(parsed) = block.parsed::<Arc<ParsedBlock>>() {
            return Ok(Arc::clone(parsed));
        }
        let parsed = Block::parse(&block.bytes).map_err(VmError::invalid)?;
        Ok(Arc::new(ParsedBlock::new(parsed, Arc::clone(&block.bytes))))
    }

    fn execute_block(
        &self,
        core: &Core,
        parsed: &Arc<ParsedBlock>,
        now: Wall,
    ) -> Result<Processing, BlockError> {
        let block = &parsed.block;
        if block.merkle_root != Id::EMPTY {
            return Err(BlockError::MerkleRoot);
        }
        if block.time > now.as_secs().saturating_add(SYNC_BOUND) {
            return Err(BlockError::BeyondSyncBound(block.time));
        }
        if parsed.txs.is_empty() {
            return Err(BlockError::Empty);
        }
        for tx in &parsed.txs {
            verify::verify(&tx.tx, &self.config).map_err(|error| BlockError::Tx(tx.id, error.into()))?;
        }
        let missing = || BlockError::MissingParent(block.parent_id);
        let expected = core.height_of(block.parent_id).ok_or_else(missing)?.saturating_add(1);
        if block.height != expected {
            return Err(BlockError::Height { expected, found: block.height });
        }
        let mut draft = core.draft(block.parent_id).ok_or_else(missing)?;
        if block.time < draft.timestamp() {
            return Err(BlockError::EarlierThanParent(block.time));
        }
        draft.set_timestamp(block.time);
        let backend = Backend { unseen: self.config.unseen, ..self.backend(core, now) };
        let (mut imported, mut requests) = (BTreeSet::new(), AtomicRequests::new());
        for tx in &parsed.txs {
            let effects =
                execute::execute(&backend, tx, &mut draft).map_err(|error| BlockError::Tx(tx.id, error))?;
            if !imported.is_disjoint(&effects.imported) {
                return Err(BlockError::Conflicting);
            }
            imported.extend(effects.imported);
            for (peer, more) in effects.requests {
                requests.entry(peer).or_default().append(more);
            }
            draft.add_tx(Arc::clone(tx));
        }
        core.verify_unique_imports(block.parent_id, &imported)?;
        Ok(Processing { parsed: Arc::clone(parsed), diff: draft.into_diff(), imported, requests })
    }
}

fn to_chain(parsed: Arc<ParsedBlock>) -> ChainBlock {
    let StandardBlock { parent_id, height, time, .. } = parsed.block;
    let timestamp = i64::try_from(time).unwrap_or(i64::MAX);
    ChainBlock::new(parsed.id, parent_id, height, timestamp, Arc::clone(&parsed.bytes)).with_parsed(parsed)
}

impl Core {
    fn draft(&self, id: Id) -> Option<Draft<'_>> {
        let mut below = Vec::new();
        let mut at = id;
        while let Some(processing) = self.processing.get(&at) {
            below.push(&processing.diff);
            at = processing.parsed.block.parent_id;
        }
        (at == self.state.last_accepted()).then(|| Draft::new(&self.state, below))
    }

    fn height_of(&self, id: Id) -> Option<u64> {
        if id == self.state.last_accepted() {
            return Some(self.state.height());
        }
        self.processing.get(&id).map(|processing| processing.parsed.block.height)
    }

    fn verify_unique_imports(&self, parent: Id, imported: &BTreeSet<Id>) -> Result<(), BlockError> {
        let mut at = parent;
        while let Some(ancestor) = self.processing.get(&at) {
            if !ancestor.imported.is_disjoint(imported) {
                return Err(BlockError::ConflictingParent);
            }
            at = ancestor.parsed.block.parent_id;
        }
        Ok(())
    }

    fn block(&self, id: Id) -> Result<ChainBlock, VmError> {
        if let Some(processing) = self.processing.get(&id) {
            return Ok(to_chain(Arc::clone(&processing.parsed)));
        }
        let bytes = self.state.block(&id)?.ok_or(VmError::NotFound(id))?;
        let block = Block::parse(&bytes).map_err(DbError::from)?;
        Ok(to_chain(Arc::new(ParsedBlock::new(block, bytes))))
    }
}

impl ChainVm for Avm {
    fn set_phase(&self, phase: Phase) -> Result<(), VmError> {
        self.core.lock().phase = phase;
        Ok(())
    }

    fn parse(&self, bytes: &[u8]) -> Result<ChainBlock, VmError> {
        let block = Block::parse(bytes).map_err(VmError::invalid)?;
        Ok(to_chain(Arc::new(ParsedBlock::new(block, bytes))))
    }

    fn block(&self, id: Id) -> Result<ChainBlock, VmError> {
        self.core.lock().block(id)
    }

    fn block_id_at_height(&self, height: u64) -> Result<Option<Id>, VmError> {
        Ok(self.core.lock().state.block_id_at(height)?)
    }

    fn last_accepted(&self) -> Result<ChainBlock, VmError> {
        let core = self.core.lock();
        core.block(core.state.last_accepted())
    }

    fn verify(&self, block: &ChainBlock, context: &BlockContext) -> Result<(), VmError> {
        let parsed = Self::parsed(block)?;
        let mut core = self.core.lock();
        if core.processing.contains_key(&parsed.id) {
            return Ok(());
        }
        match self.execute_block(&core, &parsed, context.now) {
            Ok(processing) => {
                for tx in &parsed.txs {
                    core.mempool.remove_conflicts(tx);
                }
                core.processing.insert(parsed.id, processing);
                Ok(())
            }
            Err(error) => {
                if let BlockError::Tx(tx, cause) = &error {
                    core.mempool.mark_dropped(*tx, Chain(cause).to_string());
                }
                Err(error.into())
            }
        }
    }

    fn accept(&self, id: Id) -> Result<(), VmError> {
        let mut core = self.core.lock();
        let missing = || VmError::Internal(format!("block {id} is accepted but not processing"));
        let Processing { parsed, diff, requests, .. } = core.processing.remove(&id).ok_or_else(missing)?;
        if parsed.block.parent_id != core.state.last_accepted() {
            return Err(VmError::Internal(format!("parent of {id} is not the last accepted block")));
        }
        let beside = self.memory.apply(&requests)?;
        let accepted = Accepted { id, height: parsed.block.height, bytes: &parsed.bytes };
        Ok(core.state.commit(&diff, &accepted, beside)?)
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

    fn options(&self, _: &ChainBlock) -> Result<Option<[ChainBlock; 2]>, VmError> {
        Ok(None)
    }

    fn set_preference(&self, id: Id) -> Result<(), VmError> {
        let mut core = self.core.lock();
        if core.height_of(id).is_none() {
            return Err(VmError::NotFound(id));
        }
        core.preferred = id;
        Ok(())
    }

    fn build(&self, context: &BlockContext) -> Result<ChainBlock, VmError> {
        let mut core = self.core.lock();
        let parent_id = core.preferred;
        let nothing = || VmError::NothingToBuild(None);
        let height = core.height_of(parent_id).ok_or_else(nothing)?.saturating_add(1);
        let waiting: Vec<_> = core.mempool.iter().cloned().collect();
        let (mut packed, mut dropped, mut left) = (Vec::new(), Vec::new(), TARGET_BLOCK_LEN);
        let mut time = context.now.as_secs();
        {
            let mut draft = core.draft(parent_id).ok_or_else(nothing)?;
            time = time.max(draft.timestamp());
            let backend = self.backend(&core, context.now);
            let mut imported = BTreeSet::new();
            for tx in waiting {
                let Some(rest) = left.checked_sub(tx.bytes.len()) else { break };
                let mut child = draft.child();
                let effects = match execute::execute(&backend, &tx, &mut child) {
                    Ok(effects) => effects,
                    Err(ExecError::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        dropped.push((tx.id, Chain(&error).to_string()));
                        continue;
                    }
                };
                if !imported.is_disjoint(&effects.imported)
                    || core.verify_unique_imports(parent_id, &effects.imported).is_err()
                {
                    dropped.push((tx.id, BlockError::Conflicting.to_string()));
                    continue;
                }
                imported.extend(effects.imported);
                child.add_tx(Arc::clone(&tx));
                let changes = child.into_diff();
                draft.merge(changes);
                left = rest;
                packed.push(tx);
            }
        }
        for tx in &packed {
            core.mempool.remove(&tx.id);
        }
        for (id, reason) in dropped {
            core.mempool.remove(&id);
            core.mempool.mark_dropped(id, reason);
        }
        if packed.is_empty() {
            return Err(nothing());
        }
        let txs = packed.iter().map(|tx| tx.tx.clone()).collect();
        let block = Block::Standard(StandardBlock { parent_id, height, time, merkle_root: Id::EMPTY, txs });
        let bytes = block.bytes();
        Ok(to_chain(Arc::new(ParsedBlock::new(block, bytes))))
    }

    fn wanted(&self, _: Wall) -> Wanted {
        let core = self.core.lock();
        if core.phase == Phase::Normal && !core.mempool.is_empty() { Wanted::Block } else { Wanted::Nothing }
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
}
