//! The engine of contracts: a virtual machine with gas, storage, notifications and calls between contracts.
//! Mirrors `ApplicationEngine.cs` and `ExecutionContextState.cs`.
//!
//! [`Application`] is the [`Host`] of a [`neo_vm::Engine`]. It reads through a [`Store`] and keeps what scripts write
//! in layers of its own, one for each loaded script, so that an exception drops exactly what its script wrote.
//! Not here: blocks, transactions' checks, the order of persisting.

mod account;
mod call;
mod runtime;
mod service;
mod storage;
mod witness;

use std::{collections::HashMap, sync::Arc};

use neo_base::{
    UInt160, UInt256,
    ledger::{Block, Transaction},
};
use neo_vm::{Bytes, Engine, Era, Fault, Host, OpCode, Result, Script, StackItem, Unloaded};

use crate::{
    binary,
    flags::CallFlags,
    hardfork::Hardfork,
    manifest::ParameterType,
    native::{self, Method, Native, Pending},
    settings::ProtocolSettings,
    state::ContractState,
};

pub(crate) use call::call_from_native;
pub use call::{call_contract, load_contract_method};
pub(crate) use runtime::{send_notification, signer_item, transaction_item};
pub use service::{SERVICES, Service};
pub use storage::{Changes, Entry, Store, StoreError, iterate, seek_merged, storage_key};
pub(crate) use storage::{Only, native_iterator};
pub(crate) use witness::has_agreed;

/// Parts of a datoshi in which gas is counted: 10^-12 GAS each.
pub const PICO: u128 = 10_000;

/// The decimals of the stored execution fee factor from Faun, as a factor.
pub const FEE_FACTOR: u64 = 10_000;

/// Execution fee factor and storage price before any block is stored.
const DEFAULT_FEES: (u128, u128) = (30 * PICO, 100_000);

const LEDGER: i32 = -4;
const POLICY: i32 = -7;

/// A virtual machine that runs contracts.
pub type ApplicationEngine<S> = Engine<Application<S>>;

/// What starts an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trigger {
    /// Native contracts before the transactions of a block.
    OnPersist = 0x01,
    /// Native contracts after the transactions of a block.
    PostPersist = 0x02,
    /// The check of a witness.
    Verification = 0x20,
    /// A transaction.
    Application = 0x40,
}

/// What is verified or executed.
#[derive(Debug, Clone)]
pub enum Container {
    /// A transaction.
    Transaction(Arc<Transaction>),
    /// A header or another signed payload.
    Other {
        /// Its hash.
        hash: UInt256,
        /// The accounts that must sign it.
        accounts: Vec<UInt160>,
    },
}

impl Container {
    fn hash(&self) -> UInt256 {
        match self {
            Self::Transaction(transaction) => transaction.hash(),
            Self::Other { hash, .. } => *hash,
        }
    }
}

/// What scripts learn of the block they are part of.
#[derive(Debug, Clone, Copy)]
pub struct BlockInfo {
    /// Height.
    pub index: u32,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Nonce of the block.
    pub nonce: u64,
}

/// Everything an execution depends on, apart from storage.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Constants of the network.
    pub settings: Arc<ProtocolSettings>,
    /// What starts the execution.
    pub trigger: Trigger,
    /// What is verified or executed.
    pub container: Option<Container>,
    /// The block that is being persisted; `None` for checks of witnesses.
    pub block: Option<BlockInfo>,
    /// The same block as a whole, for the triggers `OnPersist` and `PostPersist`.
    pub persisting: Option<Arc<Block>>,
    /// Gas that may be used, in datoshi.
    pub gas_limit: u64,
}

/// An event of a contract.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The contract.
    pub contract: UInt160,
    /// Name of the event.
    pub name: String,
    /// An immutable array in the heap of the engine.
    pub state: StackItem,
}

/// Why a service, a call or a native method fails. Every one is a fault that no script can catch.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// More gas than allowed.
    #[error("out of gas")]
    OutOfGas,
    /// The executing script may not do this.
    #[error("not allowed with the flags {0}")]
    Flags(CallFlags),
    /// An argument of the wrong type or out of range.
    #[error("{0}")]
    Argument(&'static str),
    /// No contract with this hash.
    #[error("no contract {0}")]
    NoContract(UInt160),
    /// No such method, or not with this number of parameters.
    #[error("the contract has no method {0} with these parameters")]
    NoMethod(String),
    /// The contract is blocked by policy.
    #[error("contract {0} is blocked")]
    Blocked(UInt160),
    /// The manifest of the calling contract does not permit the call.
    #[error("the manifest does not permit this call of {0}")]
    NotPermitted(String),
    /// A token says that there is a result where there is none, or the reverse.
    #[error("the method returns something else than its token says")]
    ReturnType,
    /// A called contract left several results.
    #[error("several results of one call")]
    SeveralResults,
    /// The service cannot be used in this place.
    #[error("{0}")]
    Misplaced(&'static str),
    /// A native contract is not there yet.
    #[error("the native contract is not active")]
    Inactive,
    /// A native method fails.
    #[error("native method: {0}")]
    Native(Box<dyn std::error::Error + Send + Sync>),
    /// What a native contract has stored is missing or has another form.
    #[error("stored state of a native contract: {0}")]
    State(&'static str),
    /// The store failed. Such an execution has no result; it is neither HALT nor FAULT.
    #[error("store")]
    Store(#[source] StoreError),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Host(Box::new(error))
    }
}

/// A deployed contract, and its script in a form that loads without a copy.
#[derive(Debug)]
pub struct Deployed {
    /// The contract.
    pub state: ContractState,
    script: Arc<[u8]>,
}

/// What the host keeps for each loaded script.
#[derive(Debug)]
pub struct CallState {
    hash: UInt160,
    contract: Option<Arc<Deployed>>,
    flags: CallFlags,
    /// The calling script; `None` for entry scripts.
    caller: Option<UInt160>,
    /// A call by `System.Contract.Call` or of a dynamic script: a missing result becomes null.
    dynamic: bool,
    /// The method has a fixed fee; nothing else is charged.
    whitelisted: bool,
    /// A native method called it: an exception that leaves it ends the execution.
    called_by_native: bool,
    /// What a native method has to do when the contract it called has returned.
    pub(crate) pending: Pending,
    notifications: usize,
}

/// The surroundings of contracts.
#[derive(Debug)]
pub struct Application<S> {
    environment: Environment,
    store: S,
    layers: Vec<Changes>,
    /// Height of the last persisted block.
    height: u32,
    fee_factor: u128,
    storage_price: u128,
    gas_limit: u128,
    gas_used: u128,
    notifications: Vec<Notification>,
    invocations: HashMap<UInt160, u32>,
    contracts: HashMap<UInt160, (Bytes, Arc<Deployed>)>,
    /// Methods of native contracts at this height, by number of the contract.
    natives: HashMap<i32, Vec<&'static Method>>,
    nonce: [u8; 16],
    random_numbers: u32,
}

/// Starting and results.
impl<S: Store> Application<S> {
    /// An engine without scripts.
    ///
    /// # Errors
    /// The store fails, or lacks what native contracts keep there.
    pub fn engine(
        environment: Environment,
        store: S,
    ) -> std::result::Result<ApplicationEngine<S>, EngineError> {
        let nonce = start_nonce(&environment);
        let mut host = Self {
            gas_limit: u128::from(environment.gas_limit).saturating_mul(PICO),
            environment,
            store,
            layers: vec![Changes::new()],
            height: 0,
            fee_factor: DEFAULT_FEES.0,
            storage_price: DEFAULT_FEES.1,
            gas_used: 0,
            notifications: Vec::new(),
            invocations: HashMap::new(),
            contracts: HashMap::new(),
            natives: HashMap::new(),
            nonce,
            random_numbers: 0,
        };
        if host.environment.block.is_none_or(|block| block.index > 0) {
            host.height = host.stored_height()?;
            (host.fee_factor, host.storage_price) = host.stored_fees()?;
        }
        let index = host.index();
        let forks = &host.environment.settings.forks;
        let era = if forks.is_active(Hardfork::Gorgon, index) {
            Era::Gorgon
        } else if forks.is_active(Hardfork::Echidna, index) {
            Era::Echidna
        } else {
            Era::Genesis
        };
        Ok(Engine::new(host, era))
    }

    /// Gas used so far in datoshi, rounded up.
    #[must_use]
    pub fn gas_used(&self) -> u128 {
        self.gas_used.div_ceil(PICO)
    }

    /// Events in order. Meaningless after a fault.
    #[must_use]
    pub fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// What the execution has written. Meaningless after a fault and while scripts are loaded.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        self.layers.into_iter().next().unwrap_or_default()
    }

    /// What the execution depends on.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Price of a byte of storage, in datoshi.
    pub(crate) fn storage_price(&self) -> u128 {
        self.storage_price
    }

    /// The method of a native contract whose script calls native code at this position.
    fn native_method(&mut self, native: &Native, position: usize) -> Option<&'static Method> {
        let index = self.index();
        let forks = &self.environment.settings.forks;
        let methods = self.natives.entry(native.id).or_insert_with(|| native.methods_at(forks, index));
        methods.get(native::method_number(position)?).copied()
    }

    /// True when a fork is active; without a block, when it is configured at all.
    pub(crate) fn is_active(&self, fork: Hardfork) -> bool {
        let forks = &self.environment.settings.forks;
        match self.environment.block {
            Some(block) => forks.is_active(fork, block.index),
            None => forks.height(fork).is_some(),
        }
    }

    /// Height of the block being persisted, else of the last one.
    fn index(&self) -> u32 {
        self.environment.block.map_or(self.height, |block| block.index)
    }

    fn stored_height(&self) -> std::result::Result<u32, EngineError> {
        let missing = EngineError::State("no current block");
        let Some(bytes) = self.get(&storage_key(LEDGER, &[12])).map_err(EngineError::Store)? else {
            return if self.environment.block.is_some() { Ok(0) } else { Err(missing) };
        };
        let mut heap = neo_vm::Heap::default();
        let item = binary::deserialize(&mut heap, &bytes).ok();
        let fields = item.and_then(|item| item.compound()).map(|id| heap.list(id).to_vec());
        let index = fields.as_ref().and_then(|fields| fields.get(1)?.to_int().ok()?.to_u64());
        index.and_then(|index| u32::try_from(index).ok()).ok_or(missing)
    }

    /// Fee factor in pico units and storage price.
    fn stored_fees(&self) -> std::result::Result<(u128, u128), EngineError> {
        let number = |prefix: u8| -> std::result::Result<u128, EngineError> {
            let bytes = self.get(&storage_key(POLICY, &[prefix])).map_err(EngineError::Store)?;
            let value = bytes.and_then(|bytes| neo_base::Int::from_bytes(&bytes).to_u64());
            value.map(u128::from).ok_or(EngineError::State("no fee factor or storage price"))
        };
        let (factor, price) = (number(18)?, number(19)?);
        let index = self.index();
        let faun = |index| self.environment.settings.forks.is_active(Hardfork::Faun, index);
        let first = self.environment.trigger == Trigger::OnPersist
            && index.checked_sub(1).is_some_and(|before| !faun(before));
        let decimals = faun(index) && !first;
        Ok((if decimals { factor } else { factor.saturating_mul(PICO) }, price))
    }
}

fn start_nonce(environment: &Environment) -> [u8; 16] {
    let mut nonce = [0; 16];
    if let Some(Container::Transaction(transaction)) = &environment.container
        && let Some(first) = transaction.hash().0.first_chunk()
    {
        nonce = *first;
    }
    match environment.block {
        Some(block) => (u128::from_le_bytes(nonce) ^ u128::from(block.nonce)).to_le_bytes(),
        None => nonce,
    }
}

/// Loads an entry script: one that nobody calls.
///
/// # Errors
/// Too many scripts are loaded.
pub fn load_script<S: Store>(
    engine: &mut ApplicationEngine<S>,
    script: Script,
    flags: CallFlags,
) -> Result<()> {
    let hash = neo_base::account::script_hash(script.bytes());
    let state = CallState::new(hash, flags);
    load(engine, script, None, 0, state)
}

impl CallState {
    fn new(hash: UInt160, flags: CallFlags) -> Self {
        let (contract, caller) = (None, None);
        Self {
            hash,
            contract,
            flags,
            caller,
            dynamic: false,
            whitelisted: false,
            called_by_native: false,
            pending: Pending::default(),
            notifications: 0,
        }
    }
}

fn load<S: Store>(
    engine: &mut ApplicationEngine<S>,
    script: Script,
    returns: Option<usize>,
    position: usize,
    state: CallState,
) -> Result<()> {
    let hash = state.hash;
    engine.load(script, returns, position, state)?;
    engine.host.layers.push(Changes::new());
    engine.host.invocations.entry(hash).or_insert(1);
    Ok(())
}

/// The script that called the executing one; `None` for an entry script.
pub(crate) fn calling_script<S: Store>(engine: &ApplicationEngine<S>) -> Option<UInt160> {
    engine.current().and_then(|state| state.caller)
}

/// How often the executing contract has been called.
pub(crate) fn invocation_count<S: Store>(engine: &ApplicationEngine<S>) -> u32 {
    let hash = engine.current().map(|state| state.hash);
    hash.and_then(|hash| engine.host.invocations.get(&hash).copied()).unwrap_or_default()
}

/// The state of the executing script. Services and methods only run in one.
fn current<S: Store>(engine: &ApplicationEngine<S>) -> Result<&CallState> {
    engine.current().ok_or(Fault::StackUnderflow)
}

/// Fails unless the executing script has these flags.
pub(crate) fn require<S: Store>(engine: &ApplicationEngine<S>, flags: CallFlags) -> Result<()> {
    let state = current(engine)?;
    if state.flags.contains(flags) { Ok(()) } else { Err(EngineError::Flags(state.flags).into()) }
}

/// Charges pico units to the executing script.
pub(crate) fn charge<S: Store>(engine: &mut ApplicationEngine<S>, amount: u128) -> Result<()> {
    let whitelisted = current(engine)?.whitelisted;
    engine.host.charge(whitelisted, amount)
}

/// Charges a price that is multiplied by the execution fee factor.
fn charge_execution<S: Store>(engine: &mut ApplicationEngine<S>, price: u64) -> Result<()> {
    charge(engine, u128::from(price).saturating_mul(engine.host.fee_factor))
}

impl<S> Application<S> {
    #[inline]
    fn charge(&mut self, whitelisted: bool, amount: u128) -> Result<()> {
        if whitelisted {
            return Ok(());
        }
        self.gas_used = self.gas_used.saturating_add(amount);
        if self.gas_used > self.gas_limit { Err(EngineError::OutOfGas.into()) } else { Ok(()) }
    }
}

impl<S: Store> Host for Application<S> {
    type State = CallState;

    #[inline]
    fn before(&mut self, state: &CallState, op: OpCode) -> Result<()> {
        self.charge(state.whitelisted, u128::from(op.price()).saturating_mul(self.fee_factor))
    }

    fn syscall(engine: &mut Engine<Self>, id: u32) -> Result<()> {
        service::run(engine, id)
    }

    fn call_token(engine: &mut Engine<Self>, token: u16) -> Result<()> {
        call::call_token(engine, token)
    }

    fn unloaded(engine: &mut Engine<Self>, script: Unloaded<CallState>) -> Result<()> {
        let state = script.state;
        let layer = engine.host.layers.pop().unwrap_or_default();
        if engine.uncaught().is_some() {
            if state.called_by_native {
                return Err(
                    EngineError::Misplaced("an exception in a contract called by a native one").into()
                );
            }
            let kept = engine.host.notifications.len().saturating_sub(state.notifications);
            engine.host.notifications.truncate(kept);
            return Ok(());
        }
        if let Some(below) = engine.host.layers.last_mut() {
            below.extend(layer);
        }
        let Some(caller) = engine.current_mut() else { return Ok(()) };
        caller.notifications = caller.notifications.saturating_add(state.notifications);
        match script.items {
            0 if state.dynamic => engine.push(StackItem::Null),
            2.. if state.dynamic => return Err(EngineError::SeveralResults.into()),
            _ => {}
        }
        if engine.current().is_some_and(|caller| caller.pending.is_open()) {
            let depth = engine.depth();
            native::proceed(engine, depth)?;
        }
        Ok(())
    }

    fn trace(&self, mark: &mut dyn FnMut(&StackItem)) {
        self.notifications.iter().for_each(|notification| mark(&notification.state));
    }
}

/// True for a result type that leaves nothing on the stack.
fn returns_nothing(kind: ParameterType) -> bool {
    kind == ParameterType::Void
}
