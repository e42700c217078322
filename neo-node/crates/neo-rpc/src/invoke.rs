//! Running scripts over a state without changing it. Mirrors `RpcServer.SmartContract.cs`.

use std::{collections::BTreeMap, sync::Arc};

use neo_base::ledger::{Transaction, TransactionBody};
use neo_contract::{
    CallFlags, ContractState,
    engine::{
        Application, ApplicationEngine, BlockInfo, Container, Environment, Store, Trigger, iterate,
        load_contract_method, load_script,
    },
    manifest::ParameterType,
    native::{ledger, policy},
};
use neo_vm::{Interop, Script, StackItem, State};
use serde_json::{Value, json};
use shared_vendor::rpc::Error;

use crate::{
    context::{Context, engine},
    error::{because, invalid_contract_verification, unknown_block},
    params::Signers,
    render,
    sessions::MAX_KEPT,
};

/// Bytes of results that are shown.
const SHOWN: usize = 1 << 20;

/// Longest script.
const MAX_SCRIPT: usize = 65_535;

/// Runs a script as a transaction of these signers in the next block would.
pub(crate) fn run_script<S: Store>(
    ctx: &Context,
    store: &S,
    script: &[u8],
    signers: Signers,
) -> Result<Value, Error> {
    let settings = ctx.settings();
    let height = ledger::current_index(store).map_err(engine)?;
    let hash = ledger::block_hash(store, height).map_err(engine)?.ok_or_else(unknown_block)?;
    let tip = ledger::trimmed_block(store, &hash).map_err(engine)?.ok_or_else(unknown_block)?.header;
    let block_time = policy::ms_per_block(store, settings).map_err(engine)?;
    let block = BlockInfo {
        index: height.saturating_add(1),
        timestamp: tip.body().timestamp.saturating_add(block_time.into()),
        nonce: 0,
    };
    let container = transaction(script.to_vec(), signers, block.index);
    let environment = Environment {
        settings: settings.clone(),
        trigger: Trigger::Application,
        container,
        block: Some(block),
        persisting: None,
        gas_limit: ctx.options.max_gas,
    };
    let mut vm = Application::engine(environment, store).map_err(engine)?;
    let loaded = load_script(&mut vm, Script::new(script), CallFlags::ALL);
    let exception = loaded.err().map(|fault| fault.to_string());
    Ok(finish(ctx, vm, script, exception))
}

/// Asks a contract whether it agrees, with these arguments.
pub(crate) fn run_verify<S: Store>(
    ctx: &Context,
    store: &S,
    contract: ContractState,
    arguments: &[u8],
    parameters: usize,
    signers: Signers,
) -> Result<Value, Error> {
    let abi = &contract.manifest.abi;
    let method = abi.method("verify", parameters).or_else(|| abi.method_named("verify")).cloned();
    let Some(method) = method else {
        return Err(because(invalid_contract_verification(), "the contract has no method verify"));
    };
    if method.return_type != ParameterType::Boolean {
        return Err(because(invalid_contract_verification(), "the method verify does not return a Boolean"));
    }
    let height = ledger::current_index(store).map_err(engine)?;
    let environment = Environment {
        settings: ctx.settings().clone(),
        trigger: Trigger::Verification,
        container: transaction(vec![0x40], signers, height.saturating_add(1)),
        block: None,
        persisting: None,
        gas_limit: ctx.options.max_gas,
    };
    let mut vm = Application::engine(environment, store).map_err(engine)?;
    let mut loaded = load_contract_method(&mut vm, contract, &method, CallFlags::READ_ONLY);
    if loaded.is_ok() && !arguments.is_empty() {
        loaded = load_script(&mut vm, Script::new(arguments), CallFlags::NONE);
    }
    let exception = loaded.err().map(|fault| fault.to_string());
    let mut shown = finish(ctx, vm, arguments, exception);
    if arguments.is_empty() {
        shown["script"] = Value::Null;
    }
    Ok(shown)
}

/// Whether a script can be run at all.
pub(crate) fn check_size(script: &[u8]) -> Result<(), Error> {
    if script.len() <= MAX_SCRIPT { Ok(()) } else { Err(crate::params::wrong("the script is too long")) }
}

/// The transaction that a script believes it is in; none without signers.
fn transaction(script: Vec<u8>, signers: Signers, height: u32) -> Option<Container> {
    if signers.signers.is_empty() {
        return None;
    }
    let body = TransactionBody {
        nonce: height,
        system_fee: 0,
        network_fee: 0,
        valid_until_block: height,
        signers: signers.signers,
        attributes: Vec::new(),
        script,
    };
    Some(Container::Transaction(Arc::new(Transaction::new(body, signers.witnesses))))
}

/// Runs to the end and shows what came out.
fn finish<S: Store>(
    ctx: &Context,
    mut vm: ApplicationEngine<S>,
    script: &[u8],
    exception: Option<String>,
) -> Value {
    let state = if exception.is_some() { State::Fault } else { vm.run() };
    let exception = exception.or_else(|| vm.fault().map(ToString::to_string));
    let halted = state == State::Halt;
    let results: Vec<StackItem> = vm.results().to_vec();
    let mut iterators = BTreeMap::new();
    let mut found: Vec<(String, Interop)> = Vec::new();
    let mut budget = SHOWN;
    let mut shown = Vec::new();
    for item in &results {
        let one = render::item(&vm.heap, item, &mut budget, &mut |object| {
            let id = ctx.sessions.id();
            found.push((id.clone(), object.clone()));
            json!({ "type": "InteropInterface", "interface": "IIterator", "id": id })
        });
        match one {
            Ok(value) => shown.push(value),
            Err(err) => {
                shown = vec![Value::String(err.text().to_owned())];
                break;
            }
        }
    }
    let notifications = notifications(&vm, halted);
    let gas = vm.host.gas_used();
    for (id, object) in found {
        if let Some(items) =
            items(&mut vm, &object, if ctx.options.sessions { MAX_KEPT } else { ctx.options.max_items })
        {
            iterators.insert(id, items);
        }
    }
    let mut out = json!({
        "script": render::bytes(script),
        "state": if halted { "HALT" } else { "FAULT" },
        "gasconsumed": gas.to_string(),
        "exception": exception,
        "notifications": notifications,
        "stack": shown,
    });
    if !iterators.is_empty() {
        if ctx.options.sessions {
            out["session"] = ctx.sessions.open(ctx.clock.now(), iterators).into();
        } else {
            unfold(&mut out["stack"], &iterators, ctx.options.max_items);
        }
    }
    out
}

fn notifications<S: Store>(vm: &ApplicationEngine<S>, halted: bool) -> Vec<Value> {
    if !halted {
        return Vec::new();
    }
    let show = |sent: &neo_contract::engine::Notification| {
        let mut budget = SHOWN;
        let state =
            render::item(&vm.heap, &sent.state, &mut budget, &mut |_| json!({ "type": "InteropInterface" }));
        json!({
            "contract": sent.contract.to_string(),
            "eventname": sent.name,
            "state": state.unwrap_or_else(|err| err.text().into()),
        })
    };
    vm.host.notifications().iter().map(show).collect()
}

/// The first items of an iterator; `None` when the object is another.
fn items<S: Store>(vm: &mut ApplicationEngine<S>, object: &Interop, limit: usize) -> Option<Vec<Value>> {
    let (mut out, mut budget) = (Vec::new(), SHOWN);
    while out.len() <= limit {
        let Some(item) = iterate(vm, object).ok()? else { break };
        let shown =
            render::item(&vm.heap, &item, &mut budget, &mut |_| json!({ "type": "InteropInterface" }));
        out.push(shown.ok()?);
    }
    Some(out)
}

/// Puts the items of iterators in their place, for callers without sessions.
fn unfold(shown: &mut Value, iterators: &BTreeMap<String, Vec<Value>>, limit: usize) {
    match shown {
        Value::Array(values) => values.iter_mut().for_each(|value| unfold(value, iterators, limit)),
        Value::Object(members) => {
            if let Some(items) = members.get("id").and_then(Value::as_str).and_then(|id| iterators.get(id)) {
                let (truncated, items) = (items.len() > limit, items.iter().take(limit).cloned().collect());
                members.remove("id");
                members.insert("iterator".to_owned(), Value::Array(items));
                members.insert("truncated".to_owned(), truncated.into());
            } else {
                members.values_mut().for_each(|value| unfold(value, iterators, limit));
            }
        }
        _ => {}
    }
}
