//! The chain as this node has it: one block after the other is verified, executed and committed; what is committed can
//! be read while the next block is under way. Mirrors `Ledger/Blockchain.cs` and the plugin `StateService`.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use neo_base::{
    UInt160, UInt256,
    codec::Wire,
    ledger::{Block, Header, Transaction},
};
use neo_contract::{
    ProtocolSettings,
    engine::{EngineError, Store},
    native::{
        self, ContractId,
        role::{self, Role},
        rows,
    },
    settings::bft_address,
};
use neo_crypto::secp256r1::PublicKey;
use neo_store::{Database, StoreError, Table, WriteSet, schema};
use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

use crate::{
    block_check::BlockCheck,
    commit::{self, Roots, StateRoot},
    execute::{After, ExecuteError, Executed, Remembering, execute, genesis},
    log::{self, Execution, Log},
    mempool::Others,
    state_root::{Trie, TrieError},
    tokens::{self, Balance, Direction, Standard, Transfer},
    verify::{self, MAX_VERIFICATION_GAS, VerifyError},
    view::{HistoricView, HotRows, LedgerView},
};

/// What a ledger keeps and checks beyond what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Keep the state of every height, not only of the last one.
    pub history: bool,
    /// Keep what executions did.
    pub logs: bool,
    /// Check the transactions of blocks, too, and not only that the validators have signed the blocks.
    pub verify_transactions: bool,
    /// Bytes of changes that may wait before they are written; 0 writes every block at once. What waits is lost when
    /// the process is killed, and the chain then ends at an earlier block.
    pub write_buffer: usize,
    /// Index what accounts hold of tokens; with `true` also how it came to them. `None`: no index.
    pub tokens: Option<bool>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { history: true, logs: true, verify_transactions: true, write_buffer: 0, tokens: None }
    }
}

/// Why a ledger cannot be opened, read or extended.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error("store")]
    Store(#[from] StoreError),
    /// The store belongs to another network.
    #[error("the database belongs to another network: {found}, expected {expected}")]
    Network {
        /// What the store says.
        found: String,
        /// What this network is.
        expected: String,
    },
    /// The store was written by another version of the software.
    #[error("the database has format {found}, this version needs {expected}")]
    Version {
        /// What the store says.
        found: u32,
        /// What is needed.
        expected: u32,
    },
    /// The store keeps the state of all heights, or does not, and is asked for the other.
    #[error("the database was made {}keeping the state of every height", if *.0 { "" } else { "without " })]
    History(bool),
    /// The state trie is damaged.
    #[error("state trie")]
    Trie(#[from] TrieError),
    /// The state lacks what every state has.
    #[error("state")]
    State(#[from] EngineError),
    /// The state of a height is not kept, or the height is not reached.
    #[error("the state of height {0} is not kept")]
    NoState(u32),
    /// The application logs of a block are not kept, so its transfers are not known.
    #[error("the application logs of block {0} are not kept")]
    NoLogs(u32),
}

impl LedgerError {
    /// True when what is stored is not what was written.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(err) => err.is_damage(),
            Self::State(err) => is_state_damage(err),
            Self::Trie(_) | Self::NoState(_) => true,
            Self::Network { .. } | Self::Version { .. } | Self::History(_) | Self::NoLogs(_) => false,
        }
    }
}

fn is_state_damage(err: &EngineError) -> bool {
    match err {
        EngineError::Store(err) => err.downcast_ref().is_none_or(StoreError::is_damage),
        _ => true,
    }
}

/// Why a block is not added.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// Its height is not the next one.
    #[error("block {found} comes where {expected} is next")]
    Height {
        /// Height of the block.
        found: u32,
        /// The next height.
        expected: u32,
    },
    /// The header breaks a rule.
    #[error("header")]
    Header(#[source] VerifyError),
    /// A transaction breaks a rule.
    #[error("transaction {hash}")]
    Transaction {
        /// Its hash.
        hash: UInt256,
        /// Which rule.
        source: VerifyError,
    },
    /// Two transactions exclude one another, or answer the same request.
    #[error("transaction {0} excludes another one of the block")]
    Conflict(UInt256),
    /// It cannot be executed.
    #[error("execution")]
    Execute(#[from] ExecuteError),
    /// The ledger failed.
    #[error("ledger")]
    Ledger(#[from] LedgerError),
}

impl PersistError {
    /// True when the block is to blame, and not this node.
    #[must_use]
    pub fn is_fault_of_block(&self) -> bool {
        match self {
            Self::Height { .. } | Self::Conflict(_) => true,
            Self::Header(err) | Self::Transaction { source: err, .. } => !err.is_local(),
            Self::Execute(err) => matches!(err, ExecuteError::System(..)),
            Self::Ledger(_) => false,
        }
    }

    /// True when what is stored is not what was written.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Header(VerifyError::State(err))
            | Self::Transaction { source: VerifyError::State(err), .. } => is_state_damage(err),
            Self::Execute(ExecuteError::Store { damaged, .. }) => *damaged,
            Self::Execute(ExecuteError::Engine(err)) => is_state_damage(err),
            Self::Ledger(err) => err.is_damage(),
            _ => false,
        }
    }
}

/// A block whose transactions have been checked as far as that needs no state: sizes, scripts, signatures of standard
/// accounts. Or whose signatures of the validators
/// are enough.
#[derive(Debug, Clone)]
pub struct CheckedBlock {
    block: Arc<Block>,
    transactions: Vec<Arc<Transaction>>,
}

impl CheckedBlock {
    /// Checks the transactions of a block, several at once.
    ///
    /// # Errors
    /// A transaction breaks a rule that needs no state.
    pub fn check(settings: &ProtocolSettings, block: Arc<Block>) -> Result<Self, PersistError> {
        let transactions: Vec<_> = block.transactions.iter().cloned().map(Arc::new).collect();
        let checks = transactions.par_iter().map(|transaction| {
            let refuse = |source| PersistError::Transaction { hash: transaction.hash(), source };
            verify::check_stateless(settings, transaction).map_err(refuse)
        });
        checks.collect::<Result<(), _>>()?;
        Ok(Self { block, transactions })
    }

    /// A block whose transactions need no check, because the validators have signed it and that is enough.
    #[must_use]
    pub fn trust(block: Arc<Block>) -> Self {
        Self { block, transactions: Vec::new() }
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }
}

/// What became of a signed state root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedRoot {
    /// Its witness is kept now.
    Kept,
    /// A witness of this root was known before.
    Known,
    /// The height is not reached.
    Ahead,
    /// This node has another root at that height.
    Different,
    /// The state validators of that height have not signed it.
    Unsigned,
}

/// The last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Height.
    pub height: u32,
    /// Hash of the block.
    pub hash: UInt256,
    /// Its time, in milliseconds since 1970.
    pub timestamp: u64,
    /// Root of the state after it.
    pub root: UInt256,
}

/// What readers see.
#[derive(Debug)]
struct Shown {
    header: Header,
    root: UInt256,
    /// Changes that are not written yet.
    waiting: Arc<WriteSet>,
    /// Rows of the state with these changes.
    hot: Arc<HotRows>,
}

/// The chain and the state after its last block.
#[derive(Debug)]
pub struct Ledger {
    settings: Arc<ProtocolSettings>,
    options: LedgerOptions,
    database: Arc<Database>,
    shown: RwLock<Shown>,
    roots: Mutex<Roots>,
    /// The next height to index tokens of; changes under the lock of `roots` only.
    next_tokens: AtomicU32,
}

impl Ledger {
    /// Opens the ledger of a network in a database; in an empty one it makes the first block.
    ///
    /// # Errors
    /// The database fails, is damaged, or belongs to another network or version.
    pub fn open(
        settings: Arc<ProtocolSettings>,
        options: LedgerOptions,
        database: Database,
    ) -> Result<Self, PersistError> {
        let database = Arc::new(database);
        let first = Arc::new(genesis(&settings));
        let identity = [&settings.network.to_le_bytes()[..], &first.header.hash().0].concat();
        let is_new = check_identity(&database, &identity, options.history)?;
        let trie = Trie::new(UInt256::ZERO, commit::Nodes::new(database.clone(), options.history));
        let (header, root) = (first.header.clone(), UInt256::ZERO);
        let shown = Shown { header, root, waiting: Arc::default(), hot: Arc::default() };
        let (shown, roots) = (RwLock::new(shown), Mutex::new(Roots::new(trie, options.history)));
        let next_tokens = AtomicU32::new(if is_new { 0 } else { next_tokens(&database, options.tokens)? });
        let ledger = Self { settings, options, database, shown, roots, next_tokens };
        if is_new {
            let executed = {
                let view = ledger.view().map_err(LedgerError::from)?;
                execute(&ledger.settings, &view, first)?
            };
            let mut extra = WriteSet::default();
            extra.put(Table::Meta, schema::IDENTITY.to_vec(), identity);
            extra.put(Table::Meta, schema::VERSION.to_vec(), schema::SCHEMA_VERSION.to_le_bytes());
            extra.put(Table::Meta, schema::HISTORY.to_vec(), [u8::from(ledger.options.history)]);
            let mut roots = ledger.lock_roots();
            ledger.commit(&mut roots, &executed, extra)?;
        } else {
            ledger.load_tip()?;
        }
        Ok(ledger)
    }

    fn load_tip(&self) -> Result<(), LedgerError> {
        let header = verify::last_header(&self.view()?)?;
        let height = header.body().index;
        let root = self.state_root(height)?.ok_or(LedgerError::NoState(height))?.root;
        let nodes = commit::Nodes::new(self.database.clone(), self.options.history);
        *self.lock_roots() = Roots::new(Trie::new(root, nodes), self.options.history);
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Shown { header, root, waiting: Arc::default(), hot: Arc::default() };
        Ok(())
    }

    fn lock_roots(&self) -> MutexGuard<'_, Roots> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Constants of the network.
    #[must_use]
    pub fn settings(&self) -> &Arc<ProtocolSettings> {
        &self.settings
    }

    /// The last block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let body = shown.header.body();
        Tip { height: body.index, hash: shown.header.hash(), timestamp: body.timestamp, root: shown.root }
    }

    /// The header of the last block.
    #[must_use]
    pub fn tip_header(&self) -> Header {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).header.clone()
    }

    /// Height of the last block.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.tip().height
    }

    /// The state after the last block; it stays as it is while it is held.
    ///
    /// # Errors
    /// The store fails.
    pub fn view(&self) -> Result<LedgerView<'_>, StoreError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let tables = self.database.view()?.with(shown.waiting.clone());
        Ok(LedgerView { tables, hot: shown.hot.clone(), history: self.options.history })
    }

    /// The state after the block of an earlier height.
    ///
    /// # Errors
    /// The store fails, or does not keep that state.
    pub fn historic(&self, height: u32) -> Result<HistoricView<'_>, LedgerError> {
        let now = self.view()?;
        let newest = native::ledger::current_index(&now)?;
        if height > newest || (height < newest && !self.options.history) {
            return Err(LedgerError::NoState(height));
        }
        let root = commit::state_root(&now, height)?.ok_or(LedgerError::NoState(height))?.root;
        let hash = native::ledger::block_hash(&now, height)?.ok_or(LedgerError::NoState(height))?;
        let current = native::ledger::current_row(hash, height);
        Ok(HistoricView { now, root, current })
    }

    /// Checks a header against the last block.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify_header(&self, header: &Header) -> Result<(), VerifyError> {
        let view = self.view().map_err(|err| EngineError::Store(err.into()))?;
        verify::verify_header(&self.settings, &view, &verify::last_header(&view)?, header)
    }

    /// Checks a transaction that waits for a block. `others` is what the memory pool knows of its sender.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify_transaction(
        &self,
        transaction: &Arc<Transaction>,
        others: Others,
    ) -> Result<(), VerifyError> {
        let view = self.view().map_err(|err| EngineError::Store(err.into()))?;
        verify::verify(&self.settings, &view, transaction, others)
    }

    /// Verifies the next block, executes it, and commits what it changes.
    ///
    /// # Errors
    /// The block is not valid, or the store failed. After the latter the ledger must not be used any more.
    pub fn persist(&self, block: Arc<Block>) -> Result<Executed, PersistError> {
        if self.options.verify_transactions {
            return self.persist_checked(CheckedBlock::check(&self.settings, block)?);
        }
        self.persist_with(block, &[])
    }

    /// The same for a block whose transactions have been checked before.
    ///
    /// # Errors
    /// As [`Ledger::persist`].
    pub fn persist_checked(&self, block: CheckedBlock) -> Result<Executed, PersistError> {
        self.persist_with(block.block, &block.transactions)
    }

    fn persist_with(
        &self,
        block: Arc<Block>,
        transactions: &[Arc<Transaction>],
    ) -> Result<Executed, PersistError> {
        let mut roots = self.lock_roots();
        let executed = {
            let view = self.view().map_err(LedgerError::from)?;
            let view = Remembering::new(&view);
            self.check_header(&view, &block)?;
            self.check_transactions(&view, transactions)?;
            execute(&self.settings, &view, block)?
        };
        self.commit(&mut roots, &executed, WriteSet::default())?;
        Ok(executed)
    }

    fn check_header<S: Store>(&self, view: &S, block: &Block) -> Result<(), PersistError> {
        let previous = self.tip_header();
        let (found, last) = (block.header.body().index, previous.body().index);
        let expected = last.saturating_add(1);
        if found != expected {
            return Err(PersistError::Height { found, expected });
        }
        verify::verify_header(&self.settings, view, &previous, &block.header).map_err(PersistError::Header)
    }

    /// What the state decides, for transactions in their order.
    fn check_transactions<S: Store>(
        &self,
        view: &S,
        transactions: &[Arc<Transaction>],
    ) -> Result<(), PersistError> {
        let mut before = BlockCheck::default();
        for transaction in transactions {
            let hash = transaction.hash();
            let others = before.add(transaction).ok_or(PersistError::Conflict(hash))?;
            verify::verify_in_block(&self.settings, view, transaction, others)
                .map_err(|source| PersistError::Transaction { hash, source })?;
        }
        Ok(())
    }

    fn commit(&self, roots: &mut Roots, executed: &Executed, extra: WriteSet) -> Result<(), PersistError> {
        let mut changes = extra;
        let index = executed.block.header.body().index;
        let root = {
            let waiting = self.shown.read().unwrap_or_else(PoisonError::into_inner).waiting.clone();
            roots.apply(&self.database, &waiting, executed, &mut changes)?
        };
        let record = StateRoot { index, root, witness: None };
        changes.put(Table::Roots, index.to_be_bytes().to_vec(), record.to_bytes());
        if self.options.logs {
            commit::put_logs(executed, &mut changes);
        }
        let indexes = self.options.tokens.is_some() && self.next_tokens.load(Ordering::Relaxed) == index;
        if indexes {
            let view = self.view().map_err(LedgerError::from)?;
            let store = After { before: &view, changes: &executed.changes };
            let transactions = executed.transactions.iter().map(|(hash, execution)| (*hash, execution));
            self.index(&store, &executed.block.header, &executed.log, transactions, &mut changes)?;
        }
        let tip = (executed.block.header.clone(), root);
        self.take_over(roots, changes, Some(tip))?;
        if indexes {
            self.next_tokens.store(index.saturating_add(1), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Shows changes to readers, together with a new tip, and writes them when enough wait.
    fn take_over(
        &self,
        roots: &mut Roots,
        changes: WriteSet,
        tip: Option<(Header, UInt256)>,
    ) -> Result<(), LedgerError> {
        let waiting = {
            let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
            // copied only when a reader still looks at it
            Arc::make_mut(&mut shown.waiting).absorb(changes);
            if let Some(tip) = tip {
                (shown.header, shown.root) = tip;
                shown.hot = Arc::default();
            }
            shown.waiting.clone()
        };
        if waiting.bytes() >= self.options.write_buffer {
            self.write(roots, &waiting)?;
        }
        Ok(())
    }

    /// Writes what waits. Readers see it all the time, first here, then in the store.
    fn write(&self, roots: &mut Roots, waiting: &WriteSet) -> Result<(), LedgerError> {
        self.database.write(waiting)?;
        self.shown.write().unwrap_or_else(PoisonError::into_inner).waiting = Arc::default();
        roots.collapse();
        Ok(())
    }

    /// Writes what waits, and waits until it lies on the disk.
    ///
    /// # Errors
    /// The store fails.
    pub fn flush(&self) -> Result<(), LedgerError> {
        let mut roots = self.lock_roots();
        let waiting = self.shown.read().unwrap_or_else(PoisonError::into_inner).waiting.clone();
        if !waiting.is_empty() {
            self.write(&mut roots, &waiting)?;
        }
        Ok(self.database.flush()?)
    }

    /// The root of the state after a block, with its witness if that is known.
    ///
    /// # Errors
    /// The store fails.
    pub fn state_root(&self, height: u32) -> Result<Option<StateRoot>, LedgerError> {
        commit::state_root(&self.view()?, height)
    }

    /// Rows of the index of tokens for a block.
    fn index<'a, S: Store>(
        &self,
        after: &S,
        header: &Header,
        log: &'a Log,
        transactions: impl Iterator<Item = (UInt256, &'a Execution)>,
        rows: &mut WriteSet,
    ) -> Result<(), LedgerError> {
        let Some(history) = self.options.tokens else { return Ok(()) };
        let (before, behind) = log.executions.split_at(log.executions.len().min(1));
        let executions = before.iter().map(|execution| (None, execution));
        let executions = executions.chain(transactions.map(|(hash, execution)| (Some(hash), execution)));
        let executions = executions.chain(behind.iter().map(|execution| (None, execution)));
        tokens::index(&self.settings, after, header, executions, history, rows)?;
        let next = header.body().index.saturating_add(1);
        let row = [&next.to_le_bytes()[..], &[u8::from(history)]].concat();
        rows.put(Table::Meta, schema::TOKENS.to_vec(), row);
        Ok(())
    }

    /// Indexes tokens of the blocks that came while the index was not kept. `go_on` hears of each height before it is taken and
    /// may say that it is enough. True when the index has reached the tip, or none is kept.
    ///
    /// # Errors
    /// The store fails, or the logs of such a block are not kept.
    pub fn index_tokens(&self, mut go_on: impl FnMut(u32) -> bool) -> Result<bool, LedgerError> {
        while self.options.tokens.is_some() {
            let mut roots = self.lock_roots();
            let height = self.next_tokens.load(Ordering::Relaxed);
            if height > self.height() {
                break;
            }
            if !go_on(height) {
                return Ok(false);
            }
            let changes = self.token_rows(height)?;
            self.take_over(&mut roots, changes, None)?;
            self.next_tokens.store(height.saturating_add(1), Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Rows of the index for a block that is on the chain, from its logs.
    fn token_rows(&self, height: u32) -> Result<WriteSet, LedgerError> {
        let (mut rows, view) = (WriteSet::default(), self.view()?);
        let hash = native::ledger::block_hash(&view, height)?.ok_or(LedgerError::NoState(height))?;
        let block = native::ledger::trimmed_block(&view, &hash)?.ok_or(LedgerError::NoState(height))?;
        let log_of = |hash| self.application_log(hash)?.ok_or(LedgerError::NoLogs(height));
        let log = log_of(&hash)?;
        let logs = block.hashes.iter().map(|hash| Ok((*hash, log_of(hash)?)));
        let logs: Vec<(UInt256, Log)> = logs.collect::<Result<_, LedgerError>>()?;
        let transactions = logs.iter().filter_map(|(hash, log)| Some((*hash, log.executions.first()?)));
        if self.options.history {
            self.index(&self.historic(height)?, &block.header, &log, transactions, &mut rows)?;
        } else {
            self.index(&view, &block.header, &log, transactions, &mut rows)?;
        }
        Ok(rows)
    }

    /// What an account holds of the tokens of a standard, `limit` at most.
    ///
    /// # Errors
    /// The store fails.
    pub fn balances(
        &self,
        standard: Standard,
        account: &UInt160,
        limit: usize,
    ) -> Result<Vec<Balance>, LedgerError> {
        tokens::balances(&self.view()?.tables, standard, account, limit)
    }

    /// Transfers of an account within `times`, from the first to before the last, in milliseconds since 1970; `limit` at most, the
    /// oldest first or the newest.
    ///
    /// # Errors
    /// The store fails.
    pub fn transfers(
        &self,
        (standard, direction): (Standard, Direction),
        account: &UInt160,
        times: Range<u64>,
        newest: bool,
        limit: usize,
    ) -> Result<Vec<Transfer>, LedgerError> {
        tokens::transfers(&self.view()?.tables, (standard, direction), account, times, newest, limit)
    }

    /// The highest root whose witness is known.
    ///
    /// # Errors
    /// The store fails.
    pub fn validated_root(&self) -> Result<Option<u32>, LedgerError> {
        let row = self.view()?.tables.get(Table::Meta, schema::VALIDATED)?;
        Ok(row.and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?))))
    }

    /// The state validators of a height, in the order of their keys; none when nobody is designated.
    ///
    /// # Errors
    /// The store fails, or the height is above that of the next block.
    pub fn state_validators(&self, height: u32) -> Result<Vec<PublicKey>, LedgerError> {
        let keys = role::designated(&self.view()?, Role::StateValidator, height)?;
        Ok(keys.iter().filter_map(|key| PublicKey::from_bytes(key)).collect())
    }

    /// Keeps the witness of a state root when the state validators of its height have signed it and it is ours.
    ///
    /// # Errors
    /// The store fails.
    pub fn put_signed_root(&self, signed: &StateRoot) -> Result<SignedRoot, LedgerError> {
        let Some(own) = self.state_root(signed.index)? else { return Ok(SignedRoot::Ahead) };
        if own.witness.is_some() && own.root == signed.root {
            return Ok(SignedRoot::Known);
        }
        let validators = self.state_validators(signed.index)?;
        let Some(witness) = signed.witness.as_ref().filter(|_| !validators.is_empty()) else {
            return Ok(SignedRoot::Unsigned);
        };
        let account = bft_address(&validators);
        let message = verify::Signed::Other { hash: signed.hash(), accounts: vec![account] };
        let verdict = verify::verify_witness(
            &self.settings,
            &self.view()?,
            &message,
            &account,
            witness,
            MAX_VERIFICATION_GAS,
        );
        if verdict.is_err() {
            return Ok(SignedRoot::Unsigned);
        }
        if own.root != signed.root {
            return Ok(SignedRoot::Different);
        }
        let mut roots = self.lock_roots();
        let mut changes = WriteSet::default();
        changes.put(Table::Roots, signed.index.to_be_bytes().to_vec(), signed.to_bytes());
        if self.validated_root()?.is_none_or(|highest| highest < signed.index) {
            changes.put(Table::Meta, schema::VALIDATED.to_vec(), signed.index.to_le_bytes());
        }
        self.take_over(&mut roots, changes, None)?;
        Ok(SignedRoot::Kept)
    }

    /// What the executions of a block or transaction did; `None` when it is not known or logs are not kept.
    ///
    /// # Errors
    /// The store fails, or holds something else.
    pub fn application_log(&self, hash: &UInt256) -> Result<Option<Log>, LedgerError> {
        let bytes = self.view()?.tables.get(Table::Logs, &log::key(hash))?;
        let log = bytes.map(|bytes| Log::from_bytes(&bytes)).transpose();
        log.map_err(|_| LedgerError::State(EngineError::State("an application log")))
    }

    /// True when the state of every height is kept.
    #[must_use]
    pub fn keeps_history(&self) -> bool {
        self.options.history
    }
}

/// Compares what the store says of itself with what it should be. True when it is empty.
fn check_identity(database: &Database, identity: &[u8], history: bool) -> Result<bool, LedgerError> {
    let row = |key: &[u8]| database.get(Table::Meta, key);
    let Some(found) = row(schema::IDENTITY)? else { return Ok(true) };
    if *found != *identity {
        let text = |bytes: &[u8]| shared_vendor::hex::encode(bytes);
        return Err(LedgerError::Network { found: text(&found), expected: text(identity) });
    }
    let version = row(schema::VERSION)?.and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?)));
    let found = version.unwrap_or_default();
    if found != schema::SCHEMA_VERSION {
        return Err(LedgerError::Version { found, expected: schema::SCHEMA_VERSION });
    }
    let kept = row(schema::HISTORY)?.is_some_and(|bytes| *bytes == [1]);
    if kept == history { Ok(false) } else { Err(LedgerError::History(kept)) }
}

/// The next height to index tokens of, by what is stored.
fn next_tokens(database: &Database, tokens: Option<bool>) -> Result<u32, LedgerError> {
    let row = database.get(Table::Meta, schema::TOKENS)?;
    let split = row.as_deref().and_then(|row| row.split_first_chunk());
    Ok(match (split, tokens) {
        // Transfers are wanted now and were not before: from the beginning.
        (Some((_, [0])), Some(true)) | (None, _) => 0,
        (Some((next, _)), _) => u32::from_le_bytes(*next),
    })
}

/// The row prefix of the Ledger contract, which the trie leaves out.
pub(crate) fn is_ledger_row(key: &[u8]) -> bool {
    key.starts_with(&rows::id_prefix(ContractId::LEDGER))
}
