//! Native contracts: what they declare at each height, what their methods do, what they do to every block.
//!
//! A method that calls another contract leaves steps behind, which run when that contract has returned; nothing
//! recurses. Mirrors `Native/NativeContract.cs`, the attributes of its subclasses, and `ContractTask.cs`.

mod arguments;
pub mod crypto_lib;
mod dispatch;
pub mod ledger;
pub mod management;
pub mod neo;
pub mod notary;
pub mod oracle;
pub(crate) mod persist;
pub mod policy;
pub mod role;
pub mod rows;
pub mod std_lib;
mod table;
pub mod token;

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};

use neo_base::{Int, UInt160, account::interop_id};
use neo_vm::{Fault, Result, StackItem};

use crate::{
    engine::{ApplicationEngine, Deployed, EngineError, Store, has_agreed},
    flags::CallFlags,
    hardfork::{Hardfork, Hardforks},
    json::Json,
    manifest::{Abi, Event, Manifest, Method as AbiMethod, Parameter, ParameterType, Permission, Target},
    nef::Nef,
    state::{ContractState, contract_hash},
};

pub use table::NATIVES;

/// The engine that native methods run in.
pub(crate) type Vm<S> = ApplicationEngine<S>;

/// Numbers of the native contracts.
#[derive(Debug, Clone, Copy)]
pub struct ContractId;

impl ContractId {
    /// ContractManagement.
    pub const MANAGEMENT: i32 = -1;
    /// LedgerContract.
    pub const LEDGER: i32 = -4;
    /// NeoToken.
    pub const NEO: i32 = -5;
    /// GasToken.
    pub const GAS: i32 = -6;
    /// PolicyContract.
    pub const POLICY: i32 = -7;
    /// RoleManagement.
    pub const ROLE_MANAGEMENT: i32 = -8;
    /// OracleContract.
    pub const ORACLE: i32 = -9;
    /// Notary.
    pub const NOTARY: i32 = -10;
    /// Treasury.
    pub const TREASURY: i32 = -11;
}

/// Hashes of the native contracts in the order of their numbers.
static HASHES: LazyLock<Vec<UInt160>> = LazyLock::new(|| NATIVES.iter().map(Native::hash).collect());

/// The hash of the native contract with this number; zero for another number.
#[must_use]
pub fn hash_of(id: i32) -> UInt160 {
    let place = id.checked_neg().and_then(|id| usize::try_from(id).ok()).and_then(|id| id.checked_sub(1));
    place.and_then(|place| HASHES.get(place)).copied().unwrap_or_default()
}

/// The native contract with this hash.
#[must_use]
pub fn by_hash(hash: &UInt160) -> Option<&'static Native> {
    HASHES.iter().position(|known| known == hash).and_then(|place| NATIVES.get(place))
}

/// True for the hash of a native contract.
#[must_use]
pub fn is_native(hash: &UInt160) -> bool {
    HASHES.contains(hash)
}

/// What a native method still has to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Make GAS for an account and tell it.
    MintGas { account: UInt160, amount: Int },
    /// Write the row of a blocked account.
    Block(UInt160),
    /// Forget the fixed fees of a contract.
    CleanWhitelist(Arc<Deployed>),
    /// Remove a contract with its storage.
    Erase(Arc<Deployed>),
    /// Tell that a contract was destroyed.
    Destroyed(UInt160),
    /// Tell of a deployment or update, and answer.
    Deployed { contract: Arc<ContractState>, update: bool },
    /// The called contract must have answered true.
    RequireTrue,
    /// Move the balance that the called token has answered.
    RecoverBalance { account: UInt160, token: UInt160 },
    /// Tell of the funds that were moved.
    Recovered(UInt160),
}

/// A native method that is not done.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What is left to do.
    steps: VecDeque<Step>,
    /// The method, once it runs.
    method: Option<&'static Method>,
    /// Its result so far.
    result: Option<StackItem>,
}

impl Pending {
    /// True while a method runs.
    pub(crate) fn is_open(&self) -> bool {
        self.method.is_some()
    }
}

/// Bytes of the script of one method: push the version, call, return.
const METHOD_SIZE: i32 = 7;

/// A native contract: everything it has ever declared.
#[derive(Debug)]
pub struct Native {
    /// Number, from -1 down.
    pub id: i32,
    /// Name.
    pub name: &'static str,
    /// The fork that brings it; `None`: there from the first block.
    pub since: Option<Hardfork>,
    /// Methods in groups, each group in any order.
    pub methods: &'static [&'static [Method]],
    /// Events in order.
    pub events: &'static [NativeEvent],
    /// Standards and the fork from which they replace those before.
    pub standards: &'static [(Option<Hardfork>, &'static [&'static str])],
}

/// A method of a native contract.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Name.
    pub name: &'static str,
    /// Names and types of the parameters.
    pub parameters: &'static [(&'static str, ParameterType)],
    /// Type of the result.
    pub returns: ParameterType,
    /// What a call must be allowed to do.
    pub flags: CallFlags,
    /// Price, to be multiplied by the execution fee factor.
    pub cpu_fee: u32,
    /// Price, to be multiplied by the storage price.
    pub storage_fee: u32,
    /// The fork that brings it.
    pub since: Option<Hardfork>,
    /// The fork that ends it.
    pub until: Option<Hardfork>,
}

/// An event of a native contract.
#[derive(Debug, Clone, Copy)]
pub struct NativeEvent {
    /// Name.
    pub name: &'static str,
    /// Names and types of the parameters.
    pub parameters: &'static [(&'static str, ParameterType)],
    /// The fork that brings it.
    pub since: Option<Hardfork>,
    /// The fork that ends it.
    pub until: Option<Hardfork>,
}

impl Native {
    /// Hash of the contract.
    #[must_use]
    pub fn hash(&self) -> UInt160 {
        contract_hash(&UInt160::ZERO, 0, self.name)
    }

    /// True when the contract exists in the block of this height.
    #[must_use]
    pub fn is_active(&self, forks: &Hardforks, height: u32) -> bool {
        self.since.is_none_or(|fork| forks.is_active(fork, height))
    }

    /// The methods at this height in the order of their scripts: by name, then by number of parameters.
    #[must_use]
    pub fn methods_at(&self, forks: &Hardforks, height: u32) -> Vec<&'static Method> {
        let methods = self.methods.iter().flat_map(|group| group.iter());
        let mut active: Vec<_> =
            methods.filter(|method| in_force(method.since, method.until, forks, height)).collect();
        active.sort_by_key(|method| (method.name, method.parameters.len()));
        active
    }

    /// Every fork that changes something about this contract, or brings it.
    #[must_use]
    pub fn forks(&self) -> Vec<Hardfork> {
        let methods = self.methods.iter().flat_map(|group| group.iter()).flat_map(|m| [m.since, m.until]);
        let events = self.events.iter().flat_map(|event| [event.since, event.until]);
        let standards = self.standards.iter().map(|(since, _)| *since);
        let mut used: Vec<_> = methods.chain(events).chain(standards).chain([self.since]).flatten().collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// True when a fork that changes something about this contract begins in the block of this height, or the
    /// contract itself begins there: the block that stores its state anew.
    #[must_use]
    pub fn is_initialised_in(&self, forks: &Hardforks, height: u32) -> bool {
        self.forks().into_iter().any(|fork| forks.height(fork) == Some(height))
            || (height == 0 && self.since.is_none())
    }

    /// The contract as it is stored at this height; the update counter is left at 0.
    #[must_use]
    pub fn state_at(&self, forks: &Hardforks, height: u32) -> ContractState {
        let methods = self.methods_at(forks, height);
        let call = interop_id("System.Contract.CallNative").to_le_bytes();
        let script = methods.iter().flat_map(|_| [&[0x10, 0x41], &call[..], &[0x40]].concat()).collect();
        let declared = methods.iter().zip((0..).step_by(usize::try_from(METHOD_SIZE).unwrap_or(1)));
        let methods = declared.map(|(method, offset)| AbiMethod {
            name: method.name.to_owned(),
            parameters: parameters(method.parameters),
            return_type: method.returns,
            offset,
            safe: CallFlags::READ_ONLY.contains(method.flags),
        });
        let events = self.events.iter().filter(|event| in_force(event.since, event.until, forks, height));
        let events = events
            .map(|event| Event { name: event.name.to_owned(), parameters: parameters(event.parameters) });
        let abi = Abi { methods: methods.collect(), events: events.collect() };
        let standards = self.standards.iter().rev().find(|(since, _)| in_force(*since, None, forks, height));
        let manifest = Manifest {
            name: self.name.to_owned(),
            groups: Vec::new(),
            supported_standards: standards
                .into_iter()
                .flat_map(|(_, names)| names.iter())
                .map(ToString::to_string)
                .collect(),
            abi,
            permissions: vec![Permission { contract: Target::Any, methods: None }],
            trusts: Some(Vec::new()),
            extra: Json::Null,
        };
        let nef = Nef::new("neo-core-v3.0", "", Vec::new(), script);
        ContractState { id: self.id, update_counter: 0, hash: self.hash(), nef, manifest }
    }
}

/// Runs a method with the arguments that lie on the stack, and in the end puts its result there in their stead. Flags
/// and price have been checked.
pub(crate) fn run<S: Store>(
    engine: &mut Vm<S>,
    native: &'static Native,
    method: &'static Method,
) -> Result<()> {
    let arguments = (0..method.parameters.len()).map(|depth| engine.peek(depth).cloned());
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    let depth = engine.depth();
    pending(engine, depth)?.method = Some(method);
    let result = dispatch::invoke(engine, native, method, &arguments)?;
    let own = pending(engine, depth)?;
    own.result = own.result.take().or(result);
    proceed(engine, depth)
}

/// Goes on with the native method in the frame at this depth, until it has called a contract or is done.
pub(crate) fn proceed<S: Store>(engine: &mut Vm<S>, depth: usize) -> Result<()> {
    while engine.depth() == depth {
        let own = pending(engine, depth)?;
        if let Some(step) = own.steps.pop_front() {
            take_step(engine, step)?;
            continue;
        }
        let (method, result) = (own.method.take(), own.result.take());
        for _ in 0..method.map_or(0, |method| method.parameters.len()) {
            engine.pop()?;
        }
        if let Some(result) = result {
            engine.push(result);
        }
        break;
    }
    Ok(())
}

fn take_step<S: Store>(engine: &mut Vm<S>, step: Step) -> Result<()> {
    match step {
        Step::MintGas { account, amount } => token::Token::Gas.mint(engine, &account, &amount, true),
        Step::Block(account) => policy::put_blocked(engine, &account),
        Step::CleanWhitelist(contract) => policy::clean_whitelist(engine, &contract.state),
        Step::Erase(contract) => management::erase(engine, &contract.state),
        Step::Destroyed(hash) => management::notify(engine, "Destroy", &hash),
        Step::Deployed { contract, update } => management::finish(engine, &contract, update),
        Step::RequireTrue => {
            let good = engine.pop_bool()?;
            if good { Ok(()) } else { Err(EngineError::Argument("the transfer failed").into()) }
        }
        Step::RecoverBalance { account, token } => policy::recover_balance(engine, &account, &token),
        Step::Recovered(account) => policy::recovered(engine, &account),
    }
}

/// The unfinished method of the frame at this depth, counted from 1.
fn pending<S: Store>(engine: &mut Vm<S>, depth: usize) -> Result<&mut Pending> {
    let state = depth.checked_sub(1).and_then(|index| engine.state_at_mut(index));
    state.map(|state| &mut state.pending).ok_or(Fault::StackUnderflow)
}

/// Adds what the running method has to do later. Called after the contract it calls is loaded, too.
fn push_steps<S: Store>(engine: &mut Vm<S>, steps: impl IntoIterator<Item = Step>) {
    if let Some(state) = engine.states_mut().rev().find(|state| state.pending.is_open()) {
        state.pending.steps.extend(steps);
    }
}

/// Sets what the running method answers; it lies on the stack until then, so that it is not freed.
fn set_result<S: Store>(engine: &mut Vm<S>, result: StackItem) {
    if let Some(state) = engine.states_mut().rev().find(|state| state.pending.is_open()) {
        state.pending.result = Some(result);
    }
}

/// Fails unless the committee has agreed.
fn require_committee<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let committee = neo::committee_address(&engine.host)?;
    if has_agreed(engine, &committee)? {
        Ok(())
    } else {
        Err(EngineError::Argument("the committee has not agreed").into())
    }
}

/// An integer that a stack may hold.
fn integer(value: Int) -> Result<StackItem> {
    if value.fits_vm() { Ok(StackItem::Integer(value)) } else { Err(Fault::IntegerTooLarge) }
}

/// Number of the method whose script calls native code at this position.
pub(crate) fn method_number(position: usize) -> Option<usize> {
    let offset = script_offset(position);
    if offset % METHOD_SIZE == 0 { usize::try_from(offset / METHOD_SIZE).ok() } else { None }
}

/// Offset in the script of a native contract at which the method begins whose call is executed at `position`.
pub(crate) fn script_offset(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX).saturating_sub(1)
}

fn in_force(since: Option<Hardfork>, until: Option<Hardfork>, forks: &Hardforks, height: u32) -> bool {
    since.is_none_or(|fork| forks.is_active(fork, height))
        && until.is_none_or(|fork| !forks.is_active(fork, height))
}

fn parameters(declared: &[(&str, ParameterType)]) -> Vec<Parameter> {
    declared.iter().map(|(name, kind)| Parameter { name: (*name).to_owned(), kind: *kind }).collect()
}
