//! `recorded/invokescript/`: scripts run by the peer at heights of every hardfork, here by the engine of contracts.
//! State, gas, results and notifications are compared. Left out are scripts that call a native method that is not
//! built, or a contract of the recorded chain, whose storage at these heights only its blocks can tell.

use std::{collections::BTreeMap, sync::Arc};

use neo_base::{
    Int,
    account::from_address,
    ledger::{Scopes, Signer, Transaction, TransactionBody},
};
use neo_contract::{
    CallFlags, Hardfork, Hardforks, ProtocolSettings, binary,
    engine::{
        Application, ApplicationEngine, BlockInfo, Container, EngineError, Environment, Trigger,
        load_script, storage_key,
    },
    native::NATIVES,
};
use neo_vm::{Bytes, Fault, Heap, Script, StackItem, State};
use serde_json::{Value, json};
use shared_vendor::testing::vectors::{Cases, Claim, File};

use super::core_vectors::{base64, same};

type Vm = ApplicationEngine<BTreeMap<Vec<u8>, Bytes>>;

/// Execution fee factor and storage price of the recorded chain; no judged script depends on the price.
const FEE_FACTOR: u64 = 30;
const STORAGE_PRICE: u64 = 100_000;

/// Gas that the peer allowed, in datoshi.
const GAS_LIMIT: u64 = 50_0000_0000;

const NETWORK: u32 = 56_753;
const ADDRESS_VERSION: u8 = 53;
const ALICE: &str = "NRc57umvogQ5mUxndZGrzZoKUn3vzZkDbL";

/// Services whose results depend on the block that the peer makes up.
const VOLATILE: &[&str] = &["GetRandom", "GetTime", "GetScriptContainer"];

/// Heights of the recorded chain.
const FORKS: [(Hardfork, u32); 7] = [
    (Hardfork::Aspidochelone, 25),
    (Hardfork::Basilisk, 50),
    (Hardfork::Cockatrice, 75),
    (Hardfork::Domovoi, 100),
    (Hardfork::Echidna, 125),
    (Hardfork::Faun, 150),
    (Hardfork::Gorgon, 175),
];

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
    for line in file.text().lines() {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = format!("{} {}", case["n"], case["name"].as_str().unwrap_or_default());
        match run(&case, height) {
            Ok(engine) => match unjudged(&engine, &case) {
                Some(reason) => cases.skip(reason),
                None => cases.case(name, || compare(&engine, &case)),
            },
            Err(err) => cases.fail(name, &err, &"a script"),
        }
    }
}

/// Scripts for which the peer is known to be wrong: those that the C# node faults must fault.
fn divergent(file: &File<'_>, cases: &mut Cases) {
    for case in file.json().as_array().into_iter().flatten() {
        let why = case["why"].as_str().unwrap_or_default();
        match run(case, 186) {
            Ok(engine) if why.contains("C# FAULTs") && unjudged(&engine, case).is_none() => {
                let name = case["name"].as_str().unwrap_or_default();
                cases.equal(name, &engine.state(), &State::Fault);
            }
            _ => cases.skip("calls what is not built, or the reason gives no value"),
        }
    }
}

/// Runs the script as the peer does: in the block above the height of the file, signed by Alice.
fn run(case: &Value, height: u32) -> Result<Vm, String> {
    let script = base64(case["script"].as_str().ok_or("no script")?)?;
    let forks = Hardforks::new(&FORKS).map_err(|err| err.to_string())?;
    let signer = from_address(ALICE, ADDRESS_VERSION).map_err(|err| err.to_string())?;
    let body = TransactionBody {
        nonce: 0,
        system_fee: 0,
        network_fee: 0,
        valid_until_block: 0,
        signers: vec![Signer::new(signer, Scopes::GLOBAL)],
        attributes: Vec::new(),
        script: script.clone(),
    };
    let environment = Environment {
        settings: Arc::new(ProtocolSettings { forks, ..ProtocolSettings::private(NETWORK) }),
        trigger: Trigger::Application,
        container: Some(Container::Transaction(Arc::new(Transaction::new(body, Vec::new())))),
        block: Some(BlockInfo { index: height + 1, timestamp: 0, nonce: 0 }),
        persisting: None,
        gas_limit: GAS_LIMIT,
    };
    let mut engine =
        Application::engine(environment, store(&forks, height)).map_err(|err| err.to_string())?;
    load_script(&mut engine, Script::new(script), CallFlags::ALL).map_err(|fault| fault.to_string())?;
    engine.run();
    Ok(engine)
}

/// What native contracts have stored at this height, as far as it is needed: themselves, fees, the last block.
fn store(forks: &Hardforks, height: u32) -> BTreeMap<Vec<u8>, Bytes> {
    let mut store = BTreeMap::new();
    for native in NATIVES.iter().filter(|native| native.is_active(forks, height)) {
        let contract = native.state_at(forks, height);
        let bytes = contract.to_storage().expect("a contract has a stored form");
        store.insert(storage_key(-1, &[&[8][..], &contract.hash.0].concat()), bytes.into());
    }
    let factor = if forks.is_active(Hardfork::Faun, height) { FEE_FACTOR * 10_000 } else { FEE_FACTOR };
    for (key, value) in [(18, factor), (19, STORAGE_PRICE)] {
        store.insert(storage_key(-7, &[key]), Int::from(value).to_bytes().into());
    }
    let mut heap = Heap::default();
    let current = heap.new_struct(vec![StackItem::bytes([0; 32]), StackItem::int(height)]);
    let current = binary::serialize(&heap, &current).expect("two fields");
    store.insert(storage_key(-4, &[12]), current.into());
    store
}

/// Why a case cannot be judged: it needs what is not built, or a contract of the recorded chain.
fn unjudged(engine: &Vm, case: &Value) -> Option<&'static str> {
    let Some(Fault::Host(error)) = engine.fault() else { return None };
    match error.downcast_ref()? {
        EngineError::NoContract(_) => {
            let message = case["result"]["exc"].as_str().unwrap_or_default();
            (!message.contains("not found")).then_some("calls a contract of the recorded chain")
        }
        _ => None,
    }
}

fn compare(engine: &Vm, case: &Value) -> Result<(), String> {
    let expected = csharp(case);
    let state = if engine.state() == State::Halt { "HALT" } else { "FAULT" };
    let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
    same(&format!("state ({fault})"), &Some(state), &expected["state"].as_str())?;
    let gas = engine.host.gas_used().to_string();
    same("gas", &Some(gas.as_str()), &expected["gas"].as_str())?;
    if engine.state() != State::Halt {
        return Ok(());
    }
    let name = case["name"].as_str().unwrap_or_default();
    let volatile = VOLATILE.iter().any(|service| name.contains(service));
    if expected["stack"].is_array() && !volatile {
        let actual: Vec<_> = engine.results().iter().map(|item| item_json(&engine.heap, item)).collect();
        same("stack", &Value::Array(actual), &expected["stack"])?;
    }
    let sent = engine.host.notifications().iter().map(|sent| {
        let state = item_json(&engine.heap, &sent.state);
        json!({"contract": sent.contract.to_string(), "eventname": sent.name, "state": state})
    });
    let none = json!([]);
    let expected = if expected["notifications"].is_array() { &expected["notifications"] } else { &none };
    same("notifications", &Value::Array(sent.collect()), expected)
}

/// The recorded result, changed where the peer is known to differ from the C# node, which decides.
fn csharp(case: &Value) -> Value {
    let mut result = case["result"].clone();
    let text = |base64: &str| json!([{"type": "ByteString", "value": base64}]);
    let first = result["stack"][0]["value"].as_str().unwrap_or_default().to_owned();
    let halts = result["state"] == "HALT";
    let refused_base64 = result["exc"].as_str().is_some_and(|text| text.contains("illegal base64"));
    let (state, stack) = match case["name"].as_str().unwrap_or_default() {
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
