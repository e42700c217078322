//! Calls between contracts, of native contracts, and of dynamic scripts. Mirrors `ApplicationEngine.Contract.cs` and
//! the calls in `ApplicationEngine.cs`.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use neo_base::{Int, UInt160, account::script_hash};
use neo_vm::{Bytes, Fault, Result, Script, StackItem};

use super::{
    Application, ApplicationEngine, CallState, Deployed, EngineError, PICO, POLICY, Store, charge, current,
    load, require, returns_nothing,
    service::{pop_byte, pop_list, pop_text},
    storage_key,
};
use crate::{binary, flags::CallFlags, hardfork::Hardfork, manifest::Method, native, state::ContractState};

/// Number of the contract that keeps all contracts.
const MANAGEMENT: i32 = -1;

type Vm<S> = ApplicationEngine<S>;

impl CallState {
    /// False for entry scripts.
    pub(super) fn is_called(&self) -> bool {
        self.caller.is_some()
    }
}

impl<S: Store> Application<S> {
    /// The deployed or native contract with this hash, as the executing script sees it.
    pub(crate) fn contract(&mut self, hash: &UInt160) -> Result<Option<Arc<Deployed>>> {
        let key = storage_key(MANAGEMENT, &[&[8][..], &hash.0].concat());
        let Some(bytes) = self.read(&key)? else { return Ok(None) };
        if let Some((stored, contract)) = self.contracts.get(hash)
            && *stored == bytes
        {
            return Ok(Some(contract.clone()));
        }
        let contract = parsed(hash, &bytes)?;
        self.contracts.insert(*hash, (bytes, contract.clone()));
        Ok(Some(contract))
    }

    fn is_blocked(&self, hash: &UInt160) -> Result<bool> {
        Ok(self.read(&storage_key(POLICY, &[&[15][..], &hash.0].concat()))?.is_some())
    }

    /// The fixed fee in datoshi of a method with one.
    fn fixed_fee(&mut self, hash: &UInt160, offset: i32) -> Result<Option<Int>> {
        if !self.is_active(Hardfork::Faun) || self.contract(hash)?.is_none() {
            return Ok(None);
        }
        let key = [&[16][..], &hash.0, &offset.to_be_bytes()].concat();
        let Some(bytes) = self.read(&storage_key(POLICY, &key))? else { return Ok(None) };
        let mut heap = neo_vm::Heap::default();
        let unknown = || EngineError::State("fixed fee");
        let item = binary::deserialize(&mut heap, &bytes).map_err(|_| unknown())?;
        let fields = item.compound().map(|id| heap.list(id)).unwrap_or_default();
        // contract, method, number of arguments, fee
        Ok(Some(fields.get(3).ok_or_else(unknown)?.to_int()?))
    }
}

/// Contracts that this process has parsed; an entry counts only for exactly the bytes that it was made of.
static PARSED: LazyLock<RwLock<Parsed>> = LazyLock::new(RwLock::default);

type Parsed = HashMap<UInt160, (Bytes, Arc<Deployed>)>;

/// Most contracts that are kept parsed; beyond it all are forgotten.
const MAX_PARSED: usize = 1024;

fn parsed(hash: &UInt160, bytes: &Bytes) -> Result<Arc<Deployed>> {
    let known = PARSED.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned();
    if let Some((of, contract)) = known
        && of == *bytes
    {
        return Ok(contract);
    }
    let state = ContractState::from_storage(bytes).map_err(|_| EngineError::State("contract"))?;
    let script = state.nef.script.clone().into();
    let contract = Arc::new(Deployed { state, script });
    let mut known = PARSED.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MAX_PARSED {
        known.clear();
    }
    known.insert(*hash, (bytes.clone(), contract.clone()));
    Ok(contract)
}

pub(super) fn call<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let hash = engine.pop_bytes()?;
    let hash = UInt160::from_slice(&hash).ok_or(EngineError::Argument("a hash has 20 bytes"))?;
    let (method, flags) = (pop_text(engine)?, pop_byte(engine)?);
    let (_, arguments) = pop_list(engine)?;
    if method.starts_with('_') {
        return Err(EngineError::NoMethod(method).into());
    }
    let flags = CallFlags::from_bits(flags).ok_or(EngineError::Argument("unknown call flags"))?;
    call_contract(engine, &hash, &method, flags, None, arguments)?;
    if let Some(state) = engine.current_mut() {
        state.dynamic = true;
    }
    Ok(())
}

pub(super) fn call_token<S: Store>(engine: &mut Vm<S>, token: u16) -> Result<()> {
    require(engine, CallFlags::READ_ONLY)?;
    let contract = current(engine)?.contract.clone();
    let tokens = contract.as_ref().map(|contract| contract.state.nef.tokens.as_slice()).unwrap_or_default();
    let token = tokens.get(usize::from(token)).ok_or(Fault::UnknownToken(token))?;
    let arguments = (0..token.parameters).map(|_| engine.pop()).collect::<Result<Vec<_>>>()?;
    call_contract(engine, &token.hash, &token.method, token.flags, Some(token.has_return), arguments)
}

/// Calls a method of a contract in the name of the executing script: loads it, above the others, with its arguments.
/// `returns` says whether the caller expects a result; `None`: whatever the method declares.
///
/// # Errors
/// The contract or method does not exist, is blocked or not permitted, or the fee is not there.
pub fn call_contract<S: Store>(
    engine: &mut Vm<S>,
    hash: &UInt160,
    name: &str,
    flags: CallFlags,
    returns: Option<bool>,
    arguments: Vec<StackItem>,
) -> Result<()> {
    let contract = engine.host.contract(hash)?.ok_or(EngineError::NoContract(*hash))?;
    let method = contract.state.manifest.abi.method(name, arguments.len());
    let method = method.ok_or_else(|| EngineError::NoMethod(name.to_owned()))?;
    if engine.host.is_blocked(hash)? {
        return Err(EngineError::Blocked(*hash).into());
    }
    let caller = current(engine)?;
    let (caller_hash, caller_flags) = (caller.hash, caller.flags);
    let flags = if method.safe {
        flags.without(CallFlags::WRITE_STATES).without(CallFlags::ALLOW_NOTIFY)
    } else {
        check_permission(engine, &contract, method)?;
        flags
    };
    let count = engine.host.invocations.entry(*hash).or_insert(0);
    *count = count.saturating_add(1);
    if returns.is_some_and(|returns| returns == returns_nothing(method.return_type)) {
        return Err(EngineError::ReturnType.into());
    }
    let mut state = CallState::new(*hash, flags.and(caller_flags));
    state.contract = Some(contract.clone());
    state.caller = Some(caller_hash);
    let results = usize::from(!returns_nothing(method.return_type));
    let offset = usize::try_from(method.offset).map_err(|_| Fault::OutOfRange)?;
    load(engine, Script::new(contract.script.clone()), Some(results), offset, state)?;
    if let Some(initialise) = contract.state.manifest.abi.method("_initialize", 0) {
        engine.call(initialise.offset.into())?;
    }
    if let Some(fee) = engine.host.fixed_fee(hash, method.offset)? {
        let fee = fee.to_u64().ok_or(EngineError::State("fixed fee"))?;
        charge(engine, u128::from(fee).saturating_mul(PICO))?;
        if let Some(state) = engine.current_mut() {
            state.whitelisted = true;
        }
    }
    arguments.into_iter().rev().for_each(|argument| engine.push(argument));
    Ok(())
}

/// Calls a method of a contract from a native method, in the name of `caller`. The native method goes on when the
/// contract has returned.
pub(crate) fn call_from_native<S: Store>(
    engine: &mut Vm<S>,
    caller: UInt160,
    hash: &UInt160,
    name: &str,
    returns: bool,
    arguments: Vec<StackItem>,
) -> Result<()> {
    call_contract(engine, hash, name, CallFlags::ALL, Some(returns), arguments)?;
    if let Some(state) = engine.current_mut() {
        state.caller = Some(caller);
        state.called_by_native = true;
    }
    Ok(())
}

/// Loads a method of a contract as an entry script. Its arguments come from the script that is loaded above it.
///
/// # Errors
/// Too many scripts are loaded, or the method begins outside the script.
pub fn load_contract_method<S: Store>(
    engine: &mut Vm<S>,
    contract: ContractState,
    method: &Method,
    flags: CallFlags,
) -> Result<()> {
    let script: Arc<[u8]> = contract.nef.script.clone().into();
    let mut state = CallState::new(contract.hash, flags);
    let initialise = contract.manifest.abi.method("_initialize", 0).map(|method| method.offset);
    state.contract = Some(Arc::new(Deployed { state: contract, script: script.clone() }));
    let results = usize::from(!returns_nothing(method.return_type));
    let offset = usize::try_from(method.offset).map_err(|_| Fault::OutOfRange)?;
    load(engine, Script::new(script), Some(results), offset, state)?;
    match initialise {
        Some(offset) => engine.call(offset.into()),
        None => Ok(()),
    }
}

/// Before Domovoi the stored manifest of the caller decides, since then the one that was loaded.
fn check_permission<S: Store>(engine: &mut Vm<S>, target: &Deployed, method: &Method) -> Result<()> {
    let executing = current(engine)?;
    let (hash, loaded) = (executing.hash, executing.contract.clone());
    let caller =
        if engine.host.is_active(Hardfork::Domovoi) { loaded } else { engine.host.contract(&hash)? };
    let target = &target.state;
    let allowed = caller.is_none_or(|caller| {
        let permissions = &caller.state.manifest.permissions;
        permissions.iter().any(|permission| permission.allows(&target.hash, &target.manifest, &method.name))
    });
    if allowed { Ok(()) } else { Err(EngineError::NotPermitted(method.name.clone()).into()) }
}

pub(super) fn load_dynamic<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let (script, flags) = (engine.pop_bytes()?, pop_byte(engine)?);
    let (_, arguments) = pop_list(engine)?;
    let flags = CallFlags::from_bits(flags).ok_or(EngineError::Argument("unknown call flags"))?;
    let hash = script_hash(&script);
    let script = Script::new(script);
    script.check_strict()?;
    let caller = current(engine)?;
    let mut state = CallState::new(hash, flags.and(caller.flags).and(CallFlags::READ_ONLY));
    state.caller = Some(caller.hash);
    state.dynamic = true;
    load(engine, script, None, 0, state)?;
    arguments.into_iter().rev().for_each(|argument| engine.push(argument));
    Ok(())
}

pub(super) fn get_call_flags<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    engine.push_int(current(engine)?.flags.bits())
}

/// Runs the method of a native contract that the executing native script stands for.
pub(super) fn call_native<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let version = pop_byte(engine)?;
    let executing = current(engine)?;
    let (hash, flags) = (executing.hash, executing.flags);
    let native = native::by_hash(&hash);
    let native = native.ok_or(EngineError::Misplaced("only native contracts call native code"))?;
    let forks = &engine.host.environment.settings.forks;
    if !native.is_active(forks, engine.host.height) {
        return Err(EngineError::Inactive.into());
    }
    if version != 0 {
        return Err(EngineError::Argument("native code has version 0").into());
    }
    let position = engine.position();
    let method = engine.host.native_method(native, position);
    let method = method.ok_or(EngineError::Misplaced("no method here"))?;
    let ended = method.until.is_some_and(|fork| engine.host.is_active(fork));
    if ended || method.since.is_some_and(|fork| !engine.host.is_active(fork)) {
        return Err(EngineError::Inactive.into());
    }
    if !flags.contains(method.flags) {
        return Err(EngineError::Flags(flags).into());
    }
    if engine.host.fixed_fee(&hash, native::script_offset(engine.position()))?.is_none() {
        let execution = u128::from(method.cpu_fee).saturating_mul(engine.host.fee_factor);
        let storage = u128::from(method.storage_fee).saturating_mul(engine.host.storage_price);
        charge(engine, execution.saturating_add(storage.saturating_mul(PICO)))?;
    }
    native::run(engine, native, method)
}
