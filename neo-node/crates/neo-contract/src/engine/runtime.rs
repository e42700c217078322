//! What scripts learn about the execution, notifications, random numbers. Mirrors `ApplicationEngine.Runtime.cs`.

use std::str;

use neo_base::{
    Int, UInt160,
    ledger::{Condition, RuleAction, Scopes, Signer, Transaction},
};
use neo_crypto::hash;
use neo_vm::{Fault, Heap, ItemType, Result, StackItem};

use super::{
    Application, ApplicationEngine, Container, EngineError, Notification, PICO, Store, Trigger, charge,
    charge_execution, current, service::pop_list,
};
use crate::{binary, hardfork::Hardfork, manifest::ParameterType};

/// Longest name of an event.
const MAX_EVENT_NAME: usize = 32;

/// Longest state of a notification, and longest log entry.
const MAX_NOTIFICATION: usize = 1024;

/// Notifications of one transaction, from Echidna.
const MAX_NOTIFICATIONS: usize = 512;

type Vm<S> = ApplicationEngine<S>;

/// Runs a service whose name begins with `System.Runtime`.
pub(super) fn run<S: Store>(engine: &mut Vm<S>, name: &'static str) -> Result<()> {
    match name {
        "System.Runtime.Platform" => engine.push_bytes(*b"NEO"),
        "System.Runtime.GetNetwork" => engine.push_int(engine.host.environment.settings.network)?,
        "System.Runtime.GetAddressVersion" => {
            engine.push_int(engine.host.environment.settings.address_version)?;
        }
        "System.Runtime.GetTrigger" => engine.push_int(trigger_byte(engine.host.environment.trigger))?,
        "System.Runtime.GetTime" => {
            let block = engine.host.environment.block.ok_or(EngineError::Misplaced("no block, no time"))?;
            engine.push_int(block.timestamp)?;
        }
        "System.Runtime.GetScriptContainer" => get_container(engine)?,
        "System.Runtime.GetExecutingScriptHash" => engine.push_bytes(current(engine)?.hash.0),
        "System.Runtime.GetCallingScriptHash" => {
            let caller = current(engine)?.caller;
            engine.push(caller.map_or(StackItem::Null, |hash| StackItem::bytes(hash.0)));
        }
        "System.Runtime.GetEntryScriptHash" => {
            let entry = engine.states().next().map(|state| state.hash);
            engine.push(entry.map_or(StackItem::Null, |hash| StackItem::bytes(hash.0)));
        }
        "System.Runtime.GetInvocationCounter" => {
            let hash = current(engine)?.hash;
            let count = *engine.host.invocations.entry(hash).or_insert(1);
            engine.push_int(count)?;
        }
        "System.Runtime.GetRandom" => get_random(engine)?,
        "System.Runtime.Log" => check_log(engine)?,
        "System.Runtime.Notify" => notify(engine)?,
        "System.Runtime.GetNotifications" => get_notifications(engine)?,
        "System.Runtime.GasLeft" => {
            let left = engine.host.gas_limit.saturating_sub(engine.host.gas_used) / PICO;
            engine.push_int(i128::try_from(left).unwrap_or(i128::MAX))?;
        }
        "System.Runtime.BurnGas" => {
            let amount = engine.pop_int()?.to_i64().ok_or(Fault::OutOfRange)?;
            let amount = u128::try_from(amount).ok().filter(|amount| *amount > 0);
            let amount = amount.ok_or(EngineError::Argument("gas to burn must be positive"))?;
            charge(engine, amount.saturating_mul(PICO))?;
        }
        "System.Runtime.CurrentSigners" => get_signers(engine)?,
        _ => return Err(EngineError::Misplaced("no such service").into()),
    }
    Ok(())
}

fn trigger_byte(trigger: Trigger) -> u8 {
    match trigger {
        Trigger::OnPersist => 0x01,
        Trigger::PostPersist => 0x02,
        Trigger::Verification => 0x20,
        Trigger::Application => 0x40,
    }
}

fn get_container<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let Some(Container::Transaction(transaction)) = &engine.host.environment.container else {
        return Err(EngineError::Misplaced("no transaction is executed").into());
    };
    let transaction = transaction.clone();
    let item = transaction_item(&mut engine.heap, &transaction);
    engine.push(item);
    Ok(())
}

/// A transaction as scripts see it.
pub(crate) fn transaction_item(heap: &mut Heap, transaction: &Transaction) -> StackItem {
    let body = transaction.body();
    heap.new_array(vec![
        StackItem::bytes(transaction.hash().0),
        StackItem::int(0),
        StackItem::int(body.nonce),
        StackItem::bytes(body.sender().0),
        StackItem::int(body.system_fee),
        StackItem::int(body.network_fee),
        StackItem::int(body.valid_until_block),
        StackItem::bytes(body.script.clone()),
    ])
}

fn get_signers<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let item = match engine.host.environment.container.clone() {
        Some(Container::Transaction(transaction)) => {
            let signers = &transaction.body().signers;
            let items = signers.iter().map(|signer| signer_item(&mut engine.heap, signer)).collect();
            engine.heap.new_array(items)
        }
        _ => StackItem::Null,
    };
    engine.push(item);
    Ok(())
}

/// A signer as scripts see it.
pub(crate) fn signer_item(heap: &mut Heap, signer: &Signer) -> StackItem {
    let has = |scope: Scopes| signer.scopes.contains(scope);
    let contracts = if has(Scopes::CUSTOM_CONTRACTS) { &signer.allowed_contracts[..] } else { &[] };
    let contracts = heap.new_array(contracts.iter().map(|hash| StackItem::bytes(hash.0)).collect());
    let groups = if has(Scopes::CUSTOM_GROUPS) { &signer.allowed_groups[..] } else { &[] };
    let groups = heap.new_array(groups.iter().map(|key| StackItem::bytes(key.to_bytes())).collect());
    let rules = if has(Scopes::WITNESS_RULES) { &signer.rules[..] } else { &[] };
    let rules = rules.iter().map(|rule| {
        let action = StackItem::int(u8::from(rule.action == RuleAction::Allow));
        let condition = condition_item(heap, &rule.condition);
        heap.new_array(vec![action, condition])
    });
    let rules = rules.collect();
    let rules = heap.new_array(rules);
    let (account, scopes) = (StackItem::bytes(signer.account.0), StackItem::int(signer.scopes.bits()));
    heap.new_array(vec![account, scopes, contracts, groups, rules])
}

fn condition_item(heap: &mut Heap, condition: &Condition) -> StackItem {
    let content = match condition {
        Condition::Boolean(value) => Some(StackItem::Boolean(*value)),
        Condition::Not(inner) => Some(condition_item(heap, inner)),
        Condition::And(parts) | Condition::Or(parts) => {
            let parts = parts.iter().map(|part| condition_item(heap, part)).collect();
            Some(heap.new_array(parts))
        }
        Condition::ScriptHash(hash) | Condition::CalledByContract(hash) => Some(StackItem::bytes(hash.0)),
        Condition::Group(key) | Condition::CalledByGroup(key) => Some(StackItem::bytes(key.to_bytes())),
        Condition::CalledByEntry => None,
    };
    let items = [StackItem::int(condition.type_byte())].into_iter().chain(content).collect();
    heap.new_array(items)
}

fn get_random<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let new = engine.host.is_active(Hardfork::Aspidochelone);
    let Application { nonce, random_numbers, environment, .. } = &mut engine.host;
    let network = environment.settings.network;
    let number = if new {
        let seed = network.wrapping_add(*random_numbers);
        *random_numbers = random_numbers.wrapping_add(1);
        hash::murmur128(nonce.as_slice(), seed)
    } else {
        *nonce = hash::murmur128(nonce.as_slice(), network);
        *nonce
    };
    charge_execution(engine, if new { 1 << 13 } else { 1 << 4 })?;
    // a number without sign: a zero byte keeps the highest bit from being one
    let bytes = [&number[..], &[0]].concat();
    engine.push_int(Int::from_bytes(&bytes))
}

/// Log entries go nowhere; what is not valid is a fault all the same.
fn check_log<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let message = engine.pop_bytes()?;
    if message.len() > MAX_NOTIFICATION {
        return Err(EngineError::Argument("the message is too long").into());
    }
    str::from_utf8(&message).map(drop).map_err(|_| Fault::NotText)
}

fn notify<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let name = engine.pop_bytes()?;
    let (state, items) = pop_list(engine)?;
    if name.len() > MAX_EVENT_NAME {
        return Err(EngineError::Argument("the name of the event is too long").into());
    }
    let executing = current(engine)?;
    let hash = executing.hash;
    let contract = executing.contract.clone();
    let contract = contract.ok_or(EngineError::Misplaced("dynamic scripts do not notify"))?;
    let name = String::from_utf8(name).map_err(|_| Fault::NotText);
    if engine.host.is_active(Hardfork::Basilisk) {
        let event = match &name {
            Ok(name) => contract.state.manifest.abi.event(name),
            Err(_) => None,
        };
        let event = event.ok_or(EngineError::Argument("the manifest has no such event"))?;
        let fits = event.parameters.len() == items.len()
            && event.parameters.iter().zip(&items).all(|(p, item)| has_type(&engine.heap, item, p.kind));
        if !fits {
            return Err(EngineError::Argument("the event has other parameters").into());
        }
    }
    binary::serialize_limited(&engine.heap, &state, MAX_NOTIFICATION)
        .map_err(|_| EngineError::Argument("the state is too large or has no serialised form"))?;
    send_notification(engine, hash, name?, &state)
}

/// Sends a notification in the name of a contract.
pub(crate) fn send_notification<S: Store>(
    engine: &mut Vm<S>,
    contract: UInt160,
    name: String,
    state: &StackItem,
) -> Result<()> {
    if engine.host.is_active(Hardfork::Echidna)
        && engine.host.environment.trigger == Trigger::Application
        && engine.host.notifications.len() >= MAX_NOTIFICATIONS
    {
        return Err(EngineError::Argument("too many notifications").into());
    }
    let state = engine.heap.deep_copy(state, true);
    engine.host.notifications.push(Notification { contract, name, state });
    if let Some(current) = engine.current_mut() {
        current.notifications = current.notifications.saturating_add(1);
    }
    Ok(())
}

fn get_notifications<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let item = engine.pop()?;
    let filter = match item {
        StackItem::Null => None,
        item => {
            let hash = UInt160::from_slice(&engine.heap.bytes_of(&item)?);
            Some(hash.ok_or(EngineError::Argument("a hash has 20 bytes"))?)
        }
    };
    let copies = engine.host.is_active(Hardfork::Domovoi);
    let found = engine.host.notifications.iter();
    let found: Vec<_> =
        found.filter(|sent| filter.is_none_or(|hash| sent.contract == hash)).cloned().collect();
    if found.len() > 2048 {
        return Err(EngineError::Argument("too many notifications").into());
    }
    let mut items = Vec::new();
    for sent in found {
        let state = if copies { engine.heap.deep_copy(&sent.state, true) } else { sent.state };
        let (contract, name) = (StackItem::bytes(sent.contract.0), StackItem::bytes(sent.name.as_bytes()));
        items.push(engine.heap.new_array(vec![contract, name, state]));
    }
    let item = engine.heap.new_array(items);
    engine.push(item);
    Ok(())
}

/// True when an item may be an argument of an event that declares this type.
fn has_type(heap: &Heap, item: &StackItem, declared: ParameterType) -> bool {
    use ItemType::{Any, Array, Buffer, ByteString, InteropInterface, Map, Struct};
    let kind = item.item_type();
    let bytes = matches!(kind, ByteString | Buffer);
    let sized = |size: usize| {
        kind == Any || bytes && heap.with_bytes(item, |bytes| bytes.len() == size).unwrap_or_default()
    };
    kind != ItemType::Pointer
        && match declared {
            ParameterType::Any => true,
            ParameterType::Boolean => kind == ItemType::Boolean,
            ParameterType::Integer => kind == ItemType::Integer,
            ParameterType::ByteArray => kind == Any || bytes,
            ParameterType::String => {
                bytes && heap.with_bytes(item, |bytes| str::from_utf8(bytes).is_ok()).unwrap_or_default()
            }
            ParameterType::Hash160 => sized(20),
            ParameterType::Hash256 => sized(32),
            ParameterType::PublicKey => sized(33),
            ParameterType::Signature => sized(64),
            ParameterType::Array => matches!(kind, Any | Array | Struct),
            ParameterType::Map => matches!(kind, Any | Map),
            ParameterType::InteropInterface => matches!(kind, Any | InteropInterface),
            _ => false,
        }
}
