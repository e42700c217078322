//! What a block changes: native contracts before, transactions in order, native contracts after. Mirrors `Persist` of
//! `Blockchain.cs`.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use neo_base::{
    UInt256,
    account::interop_id,
    ledger::{Block, Header, HeaderBody, Transaction, Witness},
};
use neo_contract::{
    CallFlags, ProtocolSettings,
    engine::{
        Application, ApplicationEngine, BlockInfo, Changes, Container, EngineError, Entry, Environment,
        Store, StoreError, Trigger, load_script, seek_merged,
    },
    native::ledger::transaction_row,
    settings::bft_address,
};
use neo_vm::{Bytes, Fault, Script, State};

use crate::log::{Execution, Log};

/// Why a block cannot be executed. Such a block is not valid, or the store is damaged.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// What native contracts do to every block failed.
    #[error("native contracts refuse the block ({0:?}): {1}")]
    System(Trigger, String),
    /// The store failed.
    #[error("reading the state: {text}")]
    Store {
        /// What it says.
        text: String,
        /// Its files are damaged.
        damaged: bool,
    },
    /// The state lacks what every state has.
    #[error("the state is damaged")]
    Engine(#[from] EngineError),
}

/// A block that has been executed, with what it changes.
#[derive(Debug)]
pub struct Executed {
    /// The block.
    pub block: Arc<Block>,
    /// Rows of contracts that it changes.
    pub changes: Changes,
    /// What native contracts did before and after the transactions.
    pub log: Log,
    /// What each transaction did, in order.
    pub transactions: Vec<(UInt256, Execution)>,
}

/// A store that does not change while it is held, with everything that was read from it kept: the same few rows are
/// read by every transaction of a block.
#[derive(Debug)]
pub(crate) struct Remembering<'a, S> {
    base: &'a S,
    rows: RefCell<HashMap<Vec<u8>, Option<Bytes>>>,
}

impl<'a, S: Store> Remembering<'a, S> {
    pub(crate) fn new(base: &'a S) -> Self {
        Self { base, rows: RefCell::default() }
    }
}

impl<S: Store> Store for Remembering<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(known) = self.rows.borrow().get(key) {
            return Ok(known.clone());
        }
        let value = self.base.get(key)?;
        self.rows.borrow_mut().insert(key.to_vec(), value.clone());
        Ok(value)
    }

    fn seek(&self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<Entry>, StoreError> {
        self.base.seek(prefix, after, backward)
    }
}

/// A store with changes above it.
#[derive(Debug)]
struct Overlay<'a, S> {
    base: &'a S,
    changes: Changes,
}

impl<S: Store> Overlay<'_, S> {
    fn now(&self) -> After<'_, S> {
        After { before: self.base, changes: &self.changes }
    }
}

impl<S: Store> Store for Overlay<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.now().get(key)
    }

    fn seek(&self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<Entry>, StoreError> {
        self.now().seek(prefix, after, backward)
    }
}

/// The state after a block, before it is committed.
#[derive(Debug)]
pub(crate) struct After<'a, S> {
    pub(crate) before: &'a S,
    pub(crate) changes: &'a Changes,
}

impl<S: Store> Store for After<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.before.get(key),
        }
    }

    fn seek(&self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<Entry>, StoreError> {
        seek_merged(self.before, std::slice::from_ref(self.changes), prefix, after, backward)
    }
}

/// The first block of a network.
#[must_use]
pub fn genesis(settings: &ProtocolSettings) -> Block {
    let body = HeaderBody {
        previous: UInt256::ZERO,
        merkle_root: UInt256::ZERO,
        // 15 July 2016, 15:08:21 UTC
        timestamp: 1_468_595_301_000,
        nonce: 2_083_236_893,
        index: 0,
        primary: 0,
        next_consensus: bft_address(settings.standby_validators()),
    };
    let witness = Witness { invocation: Vec::new(), verification: vec![0x11] };
    Block { header: Header::new(body, witness), transactions: Vec::new() }
}

/// Executes a block over the state before it.
///
/// # Errors
/// See [`ExecuteError`].
pub fn execute<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    block: Arc<Block>,
) -> Result<Executed, ExecuteError> {
    let mut overlay = Overlay { base: store, changes: Changes::new() };
    let before = system(settings, &mut overlay, &block, Trigger::OnPersist)?;
    let mut transactions = Vec::with_capacity(block.transactions.len());
    for transaction in &block.transactions {
        let execution = run_transaction(settings, &mut overlay, &block, transaction)?;
        transactions.push((transaction.hash(), execution));
    }
    let after = system(settings, &mut overlay, &block, Trigger::PostPersist)?;
    let log = Log { executions: vec![before, after] };
    Ok(Executed { block, changes: overlay.changes, log, transactions })
}

/// What scripts see of a block.
#[must_use]
pub fn block_info(header: &Header) -> BlockInfo {
    let body = header.body();
    BlockInfo { index: body.index, timestamp: body.timestamp, nonce: body.nonce }
}

fn system<S: Store>(
    settings: &Arc<ProtocolSettings>,
    overlay: &mut Overlay<'_, S>,
    block: &Arc<Block>,
    trigger: Trigger,
) -> Result<Execution, ExecuteError> {
    let service = match trigger {
        Trigger::OnPersist => "System.Contract.NativeOnPersist",
        _ => "System.Contract.NativePostPersist",
    };
    let mut script = vec![0x41];
    script.extend_from_slice(&interop_id(service).to_le_bytes());
    let environment = Environment {
        settings: settings.clone(),
        trigger,
        container: None,
        block: Some(block_info(&block.header)),
        persisting: Some(block.clone()),
        gas_limit: 0,
    };
    let mut engine = Application::engine(environment, &*overlay)?;
    let loaded = load_script(&mut engine, Script::new(script), CallFlags::ALL);
    loaded.map_err(|fault| ExecuteError::System(trigger, fault.to_string()))?;
    if engine.run() != State::Halt {
        check_store(&engine)?;
        let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
        return Err(ExecuteError::System(trigger, fault));
    }
    let execution = Execution::of(&engine);
    let changes = engine.host.into_changes();
    overlay.changes.extend(changes);
    Ok(execution)
}

fn run_transaction<S: Store>(
    settings: &Arc<ProtocolSettings>,
    overlay: &mut Overlay<'_, S>,
    block: &Block,
    transaction: &Transaction,
) -> Result<Execution, ExecuteError> {
    let environment = Environment {
        settings: settings.clone(),
        trigger: Trigger::Application,
        container: Some(Container::Transaction(Arc::new(transaction.clone()))),
        block: Some(block_info(&block.header)),
        persisting: None,
        gas_limit: u64::try_from(transaction.body().system_fee).unwrap_or_default(),
    };
    let mut engine = Application::engine(environment, &*overlay)?;
    let script = Script::new(transaction.body().script.clone());
    let state = match load_script(&mut engine, script, CallFlags::ALL) {
        Ok(()) => engine.run(),
        Err(_) => State::Fault,
    };
    if state != State::Halt {
        check_store(&engine)?;
    }
    let execution = Execution::of(&engine);
    if state == State::Halt {
        let changes = engine.host.into_changes();
        overlay.changes.extend(changes);
    }
    let (key, value) = transaction_row(block.header.body().index, transaction, state);
    overlay.changes.insert(key, Some(value));
    Ok(execution)
}

/// A store that failed makes a fault that is no result.
fn check_store<S: Store>(engine: &ApplicationEngine<S>) -> Result<(), ExecuteError> {
    let Some(Fault::Host(error)) = engine.fault() else { return Ok(()) };
    match error.downcast_ref() {
        Some(EngineError::Store(error)) => {
            let damaged = error.downcast_ref().is_some_and(neo_store::StoreError::is_damage);
            Err(ExecuteError::Store { text: error.to_string(), damaged })
        }
        _ => Ok(()),
    }
}
