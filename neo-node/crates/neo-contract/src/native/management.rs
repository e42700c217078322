//! Contracts: deployment, update, destruction, and what is known of them. Mirrors `ContractManagement.cs`.

use std::{collections::HashSet, sync::Arc};

use neo_base::{Int, UInt160, codec::Wire};
use neo_vm::{Result, Script, StackItem};
use shared_vendor::bytes::Reader;

use super::{
    ContractId, Step, Vm, policy, require_committee,
    rows::{self, Read},
};
use crate::{
    engine::{
        Application, Container, EngineError, PICO, Store, call_from_native, calling_script, charge, require,
        send_notification,
    },
    flags::CallFlags,
    hardfork::Hardfork,
    manifest::{Abi, Manifest},
    nef::Nef,
    state::{ContractState, contract_hash},
};

const CONTRACT: u8 = 8;
pub(super) const CONTRACT_HASH: u8 = 12;
const NEXT_ID: u8 = 15;
const MINIMUM_FEE: u8 = 20;

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::MANAGEMENT, prefix, parts)
}

/// True when a contract exists under this hash.
///
/// # Errors
/// The store fails.
pub fn is_contract<S: Store + ?Sized>(store: &S, hash: &UInt160) -> Read<bool> {
    Ok(rows::bytes(store, &key(CONTRACT, &[&hash.0]))?.is_some())
}

/// The contract with this hash.
///
/// # Errors
/// The store fails.
pub fn contract<S: Store + ?Sized>(store: &S, hash: &UInt160) -> Read<Option<ContractState>> {
    let Some(bytes) = rows::bytes(store, &key(CONTRACT, &[&hash.0]))? else { return Ok(None) };
    ContractState::from_storage(&bytes).map(Some).map_err(|_| EngineError::State("contract"))
}

/// The hash of the contract with this number.
///
/// # Errors
/// The store fails.
pub fn contract_hash_by_id<S: Store + ?Sized>(store: &S, id: i32) -> Read<Option<UInt160>> {
    let bytes = rows::bytes(store, &key(CONTRACT_HASH, &[&id.to_be_bytes()]))?;
    Ok(bytes.and_then(|bytes| UInt160::from_slice(&bytes)))
}

/// The first state.
pub(super) fn initialise<S: Store>(host: &mut Application<S>) {
    host.write(key(MINIMUM_FEE, &[]), Some(Int::from(1_000_000_000).to_bytes().into()));
    host.write(key(NEXT_ID, &[]), Some(Int::from(1).to_bytes().into()));
}

/// Stores a native contract as it is from this block on. True when it was not there before.
pub(super) fn put_native<S: Store>(host: &mut Application<S>, mut state: ContractState) -> Result<bool> {
    let old = contract(host, &state.hash)?;
    if let Some(old) = &old {
        state.update_counter = old.update_counter.wrapping_add(1);
    }
    put(host, &state)?;
    if old.is_none() {
        host.write(key(CONTRACT_HASH, &[&state.id.to_be_bytes()]), Some(state.hash.0.into()));
    }
    Ok(old.is_none())
}

fn put<S: Store>(host: &mut Application<S>, state: &ContractState) -> Result<()> {
    let bytes = state.to_storage().map_err(|_| EngineError::Argument("the contract is too large"))?;
    host.write(key(CONTRACT, &[&state.hash.0]), Some(bytes.into()));
    Ok(())
}

pub(super) fn minimum_fee<S: Store>(host: &Application<S>) -> Result<Int> {
    Ok(rows::number(host, &key(MINIMUM_FEE, &[]))?)
}

pub(super) fn set_minimum_fee<S: Store>(engine: &mut Vm<S>, value: &Int) -> Result<()> {
    if value.is_negative() {
        return Err(EngineError::Argument("a negative fee").into());
    }
    require_committee(engine)?;
    engine.host.write(key(MINIMUM_FEE, &[]), Some(value.to_bytes().into()));
    Ok(())
}

/// The item of a contract, or null.
pub(super) fn contract_item<S: Store>(engine: &mut Vm<S>, hash: Option<UInt160>) -> Result<StackItem> {
    let Some(hash) = hash else { return Ok(StackItem::Null) };
    Ok(match engine.host.contract(&hash)? {
        Some(contract) => contract.state.to_item(&mut engine.heap),
        None => StackItem::Null,
    })
}

pub(super) fn has_method<S: Store>(
    engine: &mut Vm<S>,
    hash: &UInt160,
    name: &str,
    count: i32,
) -> Result<bool> {
    let contract = engine.host.contract(hash)?;
    Ok(contract.is_some_and(|contract| {
        let methods = &contract.state.manifest.abi;
        match usize::try_from(count) {
            Ok(count) => methods.method(name, count).is_some(),
            // -1 stands for any number
            Err(_) => methods.method_named(name).is_some(),
        }
    }))
}

/// From Aspidochelone, deploying and updating need all flags.
fn require_all_flags<S: Store>(engine: &Vm<S>) -> Result<()> {
    if engine.host.is_active(Hardfork::Aspidochelone) { require(engine, CallFlags::ALL) } else { Ok(()) }
}

fn charge_bytes<S: Store>(engine: &mut Vm<S>, bytes: usize, least: u64) -> Result<()> {
    let bytes = u128::try_from(bytes).unwrap_or(u128::MAX);
    let fee = engine.host.storage_price().saturating_mul(bytes).max(least.into());
    charge(engine, fee.saturating_mul(PICO))
}

fn parse_nef(bytes: &[u8]) -> Result<Nef> {
    // what follows the file is ignored, as in the reference
    Nef::read(&mut Reader::new(bytes)).map_err(|_| EngineError::Argument("not an executable file").into())
}

fn parse_manifest(bytes: &[u8]) -> Result<Manifest> {
    Manifest::parse(bytes).map_err(|_| EngineError::Argument("not a manifest").into())
}

/// Methods must begin at instructions, and methods and events must be distinct.
fn check_script<S: Store>(engine: &Vm<S>, nef: &Nef, abi: &Abi) -> Result<()> {
    let script = Script::new(nef.script.clone());
    let strict = engine.host.is_active(Hardfork::Basilisk);
    let mut starts = HashSet::new();
    if strict {
        script.check_strict()?;
        let mut position = 0;
        while let Some(instruction) = script.instruction(position)? {
            starts.insert(position);
            position = instruction.end;
        }
    }
    let mut names = HashSet::new();
    for method in &abi.methods {
        let position = usize::try_from(method.offset).unwrap_or(usize::MAX);
        let found = if strict { starts.contains(&position) } else { script.instruction(position)?.is_some() };
        if !found || !names.insert((&method.name, method.parameters.len())) {
            return Err(EngineError::Argument("a method begins nowhere or occurs twice").into());
        }
    }
    let mut events = HashSet::new();
    if !abi.events.iter().all(|event| events.insert(&event.name)) {
        return Err(EngineError::Argument("an event occurs twice").into());
    }
    Ok(())
}

fn check_manifest(manifest: &Manifest, hash: &UInt160) -> Result<()> {
    let mut heap = neo_vm::Heap::default();
    let item = manifest.to_item(&mut heap);
    let stored = crate::binary::serialize(&heap, &item).is_ok();
    if stored && manifest.groups.iter().all(|group| group.is_valid(hash)) {
        Ok(())
    } else {
        Err(EngineError::Argument("the manifest is too large or its groups have not signed").into())
    }
}

pub(super) fn deploy<S: Store>(
    engine: &mut Vm<S>,
    nef: &[u8],
    manifest: &[u8],
    data: &StackItem,
) -> Result<()> {
    require_all_flags(engine)?;
    let Some(Container::Transaction(transaction)) = engine.host.environment().container.clone() else {
        return Err(EngineError::Misplaced("only transactions deploy").into());
    };
    if nef.is_empty() || manifest.is_empty() {
        return Err(EngineError::Argument("no executable file or no manifest").into());
    }
    let least = minimum_fee(&engine.host)?.to_u64().ok_or(EngineError::State("deployment fee"))?;
    charge_bytes(engine, nef.len().saturating_add(manifest.len()), least)?;
    let nef = parse_nef(nef)?;
    let manifest = parse_manifest(manifest)?;
    check_script(engine, &nef, &manifest.abi)?;
    let hash = contract_hash(&transaction.body().sender(), nef.checksum, &manifest.name);
    if policy::is_blocked(&engine.host, &hash)? {
        return Err(EngineError::Blocked(hash).into());
    }
    if is_contract(&engine.host, &hash)? {
        return Err(EngineError::Argument("the contract exists already").into());
    }
    let next = rows::number(&engine.host, &key(NEXT_ID, &[]))?;
    let id = next.to_i32().ok_or(EngineError::State("next number of a contract"))?;
    engine.host.write(key(NEXT_ID, &[]), Some(next.add(&Int::from(1)).to_bytes().into()));
    check_manifest(&manifest, &hash)?;
    let state = ContractState { id, update_counter: 0, hash, nef, manifest };
    put(&mut engine.host, &state)?;
    engine.host.write(key(CONTRACT_HASH, &[&id.to_be_bytes()]), Some(hash.0.into()));
    deployed(engine, state, data, false)
}

/// Tells the contract of its deployment or update, then everybody.
fn deployed<S: Store>(
    engine: &mut Vm<S>,
    state: ContractState,
    data: &StackItem,
    update: bool,
) -> Result<()> {
    let hash = state.hash;
    let calls = state.manifest.abi.method("_deploy", 2).is_some();
    super::push_steps(engine, [Step::Deployed { contract: Arc::new(state), update }]);
    if !calls {
        return Ok(());
    }
    let arguments = vec![data.clone(), StackItem::Boolean(update)];
    call_from_native(engine, super::hash_of(ContractId::MANAGEMENT), &hash, "_deploy", false, arguments)
}

/// Ends a deployment or update.
pub(super) fn finish<S: Store>(engine: &mut Vm<S>, state: &ContractState, update: bool) -> Result<()> {
    notify(engine, if update { "Update" } else { "Deploy" }, &state.hash)?;
    if !update {
        // what the contract made of itself in `_deploy` counts
        let item = match engine.host.contract(&state.hash)? {
            Some(contract) => contract.state.to_item(&mut engine.heap),
            None => state.to_item(&mut engine.heap),
        };
        super::set_result(engine, item);
    }
    Ok(())
}

pub(super) fn notify<S: Store>(engine: &mut Vm<S>, event: &str, contract: &UInt160) -> Result<()> {
    let state = engine.heap.new_array(vec![StackItem::bytes(contract.0)]);
    send_notification(engine, super::hash_of(ContractId::MANAGEMENT), event.to_owned(), &state)
}

pub(super) fn update<S: Store>(
    engine: &mut Vm<S>,
    nef: Option<&[u8]>,
    manifest: Option<&[u8]>,
    data: &StackItem,
) -> Result<()> {
    require_all_flags(engine)?;
    if nef.is_none() && manifest.is_none() {
        return Err(EngineError::Argument("neither an executable file nor a manifest").into());
    }
    let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    charge_bytes(engine, size(nef).saturating_add(size(manifest)), 0)?;
    let hash = calling_script(engine).ok_or(EngineError::Misplaced("nobody calls"))?;
    let contract = engine.host.contract(&hash)?.ok_or(EngineError::NoContract(hash))?;
    let mut state = contract.state.clone();
    let counter = state.update_counter.checked_add(1);
    state.update_counter = counter.ok_or(EngineError::Argument("the contract was updated too often"))?;
    if let Some(nef) = nef {
        state.nef = parse_nef(nef)?;
    }
    policy::clean_whitelist(engine, &contract.state)?;
    if let Some(manifest) = manifest {
        let manifest = parse_manifest(manifest)?;
        if manifest.name != state.manifest.name {
            return Err(EngineError::Argument("the name of a contract cannot change").into());
        }
        check_manifest(&manifest, &hash)?;
        state.manifest = manifest;
    }
    check_script(engine, &state.nef, &state.manifest.abi)?;
    put(&mut engine.host, &state)?;
    deployed(engine, state, data, true)
}

pub(super) fn destroy<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let hash = calling_script(engine).ok_or(EngineError::Misplaced("nobody calls"))?;
    let Some(contract) = engine.host.contract(&hash)? else { return Ok(()) };
    if engine.host.is_active(Hardfork::Gorgon) {
        policy::block(engine, &hash)?;
        super::push_steps(engine, [Step::CleanWhitelist(contract.clone()), Step::Erase(contract.clone())]);
    } else {
        erase(engine, &contract.state)?;
        policy::block(engine, &hash)?;
        super::push_steps(engine, [Step::CleanWhitelist(contract.clone())]);
    }
    super::push_steps(engine, [Step::Destroyed(hash)]);
    Ok(())
}

/// Removes a contract with its storage.
pub(super) fn erase<S: Store>(engine: &mut Vm<S>, state: &ContractState) -> Result<()> {
    engine.host.write(key(CONTRACT, &[&state.hash.0]), None);
    engine.host.write(key(CONTRACT_HASH, &[&state.id.to_be_bytes()]), None);
    let prefix = state.id.to_le_bytes();
    let mut after: Option<Vec<u8>> = None;
    while let Some((row, _)) =
        engine.host.seek(&prefix, after.as_deref(), false).map_err(EngineError::Store)?
    {
        engine.host.write(row.clone(), None);
        after = Some(row);
    }
    Ok(())
}
