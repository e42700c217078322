//! `recorded/invokescript/`: scripts run by the peer over the state of the recorded chain at heights of every hardfork,
//! here over the state of the same chain. State, gas, results and notifications are compared.

use std::sync::Arc;

use neo_base::{
    account::from_address,
    ledger::{Scopes, Signer, Transaction, TransactionBody},
};
use neo_contract::{
    CallFlags,
    engine::{Application, ApplicationEngine, BlockInfo, Container, Environment, Trigger, load_script},
    native,
};
use neo_runtime::{HistoricView, Ledger};
use neo_vm::{Heap, Script, StackItem, State};
use serde_json::{Value, json};
use shared_vendor::testing::vectors::{Cases, Claim, File};

use super::{
    chain::chain_of,
    core_vectors::{base64, same},
};

type Vm<'a> = ApplicationEngine<HistoricView<'a>>;

/// Gas that the peer allowed, in datoshi.
const GAS_LIMIT: u64 = 50_0000_0000;

const ALICE: &str = "NRc57umvogQ5mUxndZGrzZoKUn3vzZkDbL";

/// Services whose results depend on the block that the peer makes up.
const VOLATILE: &[&str] = &["GetRandom", "GetTime", "GetScriptContainer"];

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if file.path.ends_with(".jsonl") {
        return Some(Claim::Run(scripts));
    }
    let json = if file.path.ends_with(".json") { file.json() } else { return None };
    let first = json.get(0)?;
    (first.get("script").is_some() && first.get("why").is_some()).then_some(Claim::Run(divergent))
}

/// One case a line. The name of the file ends with the height.
fn scripts(file: &File<'_>, cases: &mut Cases) {
    let name = file.path.trim_end_matches(".jsonl");
    let height = name.rsplit('_').next().and_then(|height| height.parse().ok());
    let Some(height) = height else { return cases.fail(name, &name, &"a name with a height") };
    let ledger = match solo(file) {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail("the chain", &err, &"a valid chain"),
    };
    for line in file.text().lines() {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = format!("{} {}", case["n"], case["name"].as_str().unwrap_or_default());
        cases.case(name, || compare(&run(&ledger, &case, height)?, &case));
    }
}

/// The chain on which the scripts were recorded, beside their folder.
fn solo(file: &File<'_>) -> Result<Arc<Ledger>, String> {
    let folder = file.location.parent().and_then(|folder| folder.parent()).ok_or("no folder")?;
    chain_of(&folder.join("solo"))
}

/// Scripts for which the peer is known to be wrong: those that the C# node faults must fault.
fn divergent(file: &File<'_>, cases: &mut Cases) {
    let ledger = match solo(file) {
        Ok(ledger) => ledger,
        Err(err) => return cases.fail("the chain", &err, &"a valid chain"),
    };
    for case in file.json().as_array().into_iter().flatten() {
        let why = case["why"].as_str().unwrap_or_default();
        match run(&ledger, case, 186) {
            Ok(engine) if why.contains("C# FAULTs") => {
                let name = case["name"].as_str().unwrap_or_default();
                cases.equal(name, &engine.state(), &State::Fault);
            }
            _ => cases.skip("the reason gives no value"),
        }
    }
}

/// Runs the script as the peer does: in a block above the height of the file, signed by Alice.
fn run<'a>(ledger: &'a Ledger, case: &Value, height: u32) -> Result<Vm<'a>, String> {
    let script = base64(case["script"].as_str().ok_or("no script")?)?;
    let signer = from_address(ALICE, ledger.settings().address_version).map_err(|err| err.to_string())?;
    let body = TransactionBody {
        nonce: 0,
        system_fee: 0,
        network_fee: 0,
        valid_until_block: 0,
        signers: vec![Signer::new(signer, Scopes::GLOBAL)],
        attributes: Vec::new(),
        script: script.clone(),
    };
    let view = ledger.historic(height).map_err(|err| err.to_string())?;
    let hash = native::ledger::block_hash(&view, height).ok().flatten().ok_or("no block")?;
    let last = native::ledger::trimmed_block(&view, &hash).ok().flatten().ok_or("no block")?;
    let timestamp = last.header.body().timestamp + u64::from(ledger.settings().ms_per_block);
    let environment = Environment {
        settings: ledger.settings().clone(),
        trigger: Trigger::Application,
        container: Some(Container::Transaction(Arc::new(Transaction::new(body, Vec::new())))),
        block: Some(BlockInfo { index: height + 1, timestamp, nonce: 0 }),
        persisting: None,
        gas_limit: GAS_LIMIT,
    };
    let mut engine = Application::engine(environment, view).map_err(|err| err.to_string())?;
    load_script(&mut engine, Script::new(script), CallFlags::ALL).map_err(|fault| fault.to_string())?;
    engine.run();
    Ok(engine)
}

fn compare(engine: &Vm<'_>, case: &Value) -> Result<(), String> {
    let expected = csharp(case);
    let state = if engine.state() == State::Halt { "HALT" } else { "FAULT" };
    let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
    same(&format!("state ({fault})"), &Some(state), &expected["state"].as_str())?;
    let gas = engine.host.gas_used().to_string();
    if !expected["gas"].is_null() {
        same("gas", &Some(gas.as_str()), &expected["gas"].as_str())?;
    }
    if engine.state() != State::Halt {
        return Ok(());
    }
    let name = case["name"].as_str().unwrap_or_default();
    let volatile = VOLATILE.iter().any(|service| name.contains(service));
    if expected["stack"].is_array() && !volatile {
        let actual: Vec<_> = engine.results().iter().map(|item| item_json(&engine.heap, item)).collect();
        let mut stack = expected["stack"].clone();
        stack.as_array_mut().into_iter().flatten().for_each(forget_session);
        same("stack", &Value::Array(actual), &stack)?;
    }
    let sent = engine.host.notifications().iter().map(|sent| {
        let state = item_json(&engine.heap, &sent.state);
        json!({"contract": sent.contract.to_string(), "eventname": sent.name, "state": state})
    });
    let none = json!([]);
    let expected = if expected["notifications"].is_array() { &expected["notifications"] } else { &none };
    same("notifications", &Value::Array(sent.collect()), expected)
}

/// An iterator is named by its session, which is random.
fn forget_session(item: &mut Value) {
    if let Some(fields) = item.as_object_mut() {
        fields.remove("interface");
        fields.remove("id");
    }
}

/// The recorded result, changed where the peer is known to differ from the C# node, which decides.
fn csharp(case: &Value) -> Value {
    let mut result = case["result"].clone();
    let text = |base64: &str| json!([{"type": "ByteString", "value": base64}]);
    let first = result["stack"][0]["value"].as_str().unwrap_or_default().to_owned();
    let halts = result["state"] == "HALT";
    let refused_base64 = result["exc"].as_str().is_some_and(|text| text.contains("illegal base64"));
    let exception = result["exc"].as_str().unwrap_or_default().to_owned();
    let name = case["name"].as_str().unwrap_or_default();
    match name {
        // bytes are charged before anybody looks for the contract
        "ContractManagement.update/2" | "ContractManagement.update/3" if exception.contains("empty") => {
            result["gas"] = Value::Null;
        }
        // sizes are checked before the price is charged
        "OracleContract.request/5" if !halts => less(&mut result, 50_000_000),
        // free
        "NeoToken.onNEP17Payment/3" if !halts && !exception.contains("not found") => {
            less(&mut result, 983_040)
        }
        "Contract.Call flags 15 -> GAS.transfer" if exception.contains("Null/ByteString") => {
            less(&mut result, 983_040);
        }
        _ if result["notifications"].as_array().is_some_and(|sent| registers_by_payment(sent)) => {
            less(&mut result, 983_040);
        }
        _ => {}
    }
    let (state, stack) = match name {
        // an entry script is no contract: nothing to destroy
        "ContractManagement.destroy/0" => ("HALT", Value::Null),
        // the height must be that of the next block
        "NeoToken.unclaimedGas/2" if halts => ("FAULT", Value::Null),
        // clusters of Unicode
        name if name.starts_with("strLen ") && halts => match name {
            "strLen 'e\u{301}'" | "strLen '🇺🇸'" | "strLen '\\r\\n'" => {
                ("HALT", json!([{"type": "Integer", "value": "1"}]))
            }
            _ => return result,
        },
        _ if calls_the_end(case).unwrap_or_default() => ("HALT", Value::Null),
        // the calling script of an entry script is null, not zero
        name if halts && name.starts_with("System.Runtime.GetCallingScriptHash/") => {
            let mut stack = result["stack"].clone();
            if let Some(last) = stack.as_array_mut().and_then(|items| items.last_mut()) {
                *last = json!({"type": "Any"});
            }
            ("HALT", stack)
        }
        // no padding in Base64 for addresses, and none is needed to read it
        name if halts && name.contains("base64UrlEncode") => {
            let decoded = base64(&first).unwrap_or_default();
            let unpadded = decoded.strip_suffix(b"==").or(decoded.strip_suffix(b"=")).unwrap_or(&decoded);
            ("HALT", text(&neo_contract::base64::encode(unpadded)))
        }
        name if name.contains("base64UrlDecode") && refused_base64 => {
            let argument = String::from_utf8(base64(&first).unwrap_or_default()).unwrap_or_default();
            let missing = (4 - argument.len() % 4) % 4;
            match base64(&format!("{argument}{}", "=".repeat(missing))) {
                Ok(bytes) if missing > 0 => {
                    let readable = String::from_utf8_lossy(&bytes).into_owned();
                    ("HALT", text(&neo_contract::base64::encode(readable.as_bytes())))
                }
                _ => return result,
            }
        }
        // white space counts when the length is checked
        "base64UrlDecode 'aGVsbG8=\\n'" => ("FAULT", Value::Null),
        // what is not UTF-8 is replaced
        "base64UrlDecode '__8='" if halts => ("HALT", text("77+977+9")),
        "base58Decode ''" => ("HALT", text("")),
        // booleans are 0 or 1
        "deserialize 2002" => ("FAULT", Value::Null),
        // names of members must be byte strings; here one is the integer 1
        "StdLib.jsonSerialize/1" if first == "eyJcdTAwMDEiOjJ9" => ("FAULT", Value::Null),
        _ => return result,
    };
    result["state"] = state.into();
    result["stack"] = stack;
    result
}

/// Lowers the recorded gas by a charge that the C# node does not make.
fn less(result: &mut Value, charge: u64) {
    let gas = result["gas"].as_str().and_then(|gas| gas.parse::<u64>().ok());
    if let Some(gas) = gas.and_then(|gas| gas.checked_sub(charge)) {
        result["gas"] = gas.to_string().into();
    }
}

fn registers_by_payment(sent: &[Value]) -> bool {
    let neo = native::hash_of(native::ContractId::NEO).to_string();
    let registered =
        |sent: &Value| sent["eventname"] == "CandidateStateChanged" && sent["contract"] == neo.as_str();
    sent.first().is_some_and(|first| first["eventname"] == "Transfer") && sent.iter().any(registered)
}

/// True when the peer refused a call whose target is exactly the end of the script. The C# node lets the call return
/// at once (`ExecutionContext.InstructionPointer` may be the length of the script), and C# decides.
fn calls_the_end(case: &Value) -> Option<bool> {
    let text = case["result"]["exc"].as_str()?.strip_prefix("at instruction ")?;
    let (position, text) = text.split_once(" (")?;
    let (name, text) = text.split_once("): ")?;
    if text != "instruction offset is out of range" {
        return None;
    }
    let script = base64(case["script"].as_str()?).ok()?;
    let position: usize = position.parse().ok()?;
    let offset = match (name, script.get(position.checked_add(1)?..)?) {
        ("CALL", [offset, ..]) => usize::from(*offset),
        ("CALL_L" | "CALLL", operand) => u32::from_le_bytes(*operand.first_chunk()?).try_into().ok()?,
        _ => return None,
    };
    Some(position.checked_add(offset)? == script.len())
}

fn item_json(heap: &Heap, item: &StackItem) -> Value {
    let encode = neo_contract::base64::encode;
    let list = |id| heap.list(id).iter().map(|item| item_json(heap, item)).collect::<Vec<_>>();
    match item {
        StackItem::Null => json!({"type": "Any"}),
        StackItem::Boolean(value) => json!({"type": "Boolean", "value": value}),
        StackItem::Integer(value) => json!({"type": "Integer", "value": value.to_string()}),
        StackItem::ByteString(bytes) => json!({"type": "ByteString", "value": encode(bytes)}),
        StackItem::Buffer(id) => json!({"type": "Buffer", "value": encode(heap.buffer(*id))}),
        StackItem::Array(id) => json!({"type": "Array", "value": list(*id)}),
        StackItem::Struct(id) => json!({"type": "Struct", "value": list(*id)}),
        StackItem::Map(id) => {
            let entries = heap.map(*id).into_iter().flatten();
            let entries = entries
                .map(|(key, value)| json!({"key": item_json(heap, &key.to_item()), "value": item_json(heap, value)}));
            json!({"type": "Map", "value": entries.collect::<Vec<_>>()})
        }
        StackItem::Pointer(pointer) => json!({"type": "Pointer", "value": pointer.position}),
        StackItem::Interop(_) => json!({"type": "InteropInterface"}),
    }
}
