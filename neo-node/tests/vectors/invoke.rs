//! `recorded/invokescript/`: scripts run by the peer at heights of every hardfork. Until the interop services are
//! built, scripts that call one are left out, except calls of CryptoLib, whose methods need nothing but arguments.
//! What remains compares state, gas and results.

use neo_base::account::interop_id;
use neo_contract::{
    Hardfork, Hardforks,
    native::{NATIVES, crypto_lib},
};
use neo_vm::{Engine, Era, Fault, Heap, Host, OpCode, Script, StackItem, State, Unloaded};
use serde_json::{Value, json};
use shared_vendor::testing::vectors::{Cases, Claim, File};

use super::core_vectors::{base64, same};

/// Execution fee factor of the recorded chain.
const FEE_FACTOR: u64 = 30;

/// Gas that the peer allowed, in datoshi.
const GAS_LIMIT: u64 = 50_0000_0000;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if file.path.ends_with(".jsonl") {
        return Some(Claim::Run(scripts));
    }
    let json = if file.path.ends_with(".json") { file.json() } else { return None };
    let first = json.get(0)?;
    (first.get("script").is_some() && first.get("why").is_some()).then_some(Claim::Run(divergent))
}

/// One case a line. The name of the file says which hardfork was active.
fn scripts(file: &File<'_>, cases: &mut Cases) {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let epoch = name.split('_').next().unwrap_or_default();
    let fork = Hardfork::ALL.into_iter().find(|fork| format!("{fork:?}").to_lowercase() == epoch);
    for line in file.text().lines() {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = format!("{} {}", case["n"], case["name"].as_str().unwrap_or_default());
        match run(&case, fork) {
            Ok(None) => cases.skip("calls an interop service"),
            Ok(Some(engine)) => cases.case(name, || compare(&engine, &case)),
            Err(err) => cases.fail(name, &err, &"a script"),
        }
    }
}

/// Scripts for which the peer is known to be wrong: those that the C# node faults must fault.
fn divergent(file: &File<'_>, cases: &mut Cases) {
    for case in file.json().as_array().into_iter().flatten() {
        let why = case["why"].as_str().unwrap_or_default();
        match run(case, Some(Hardfork::Gorgon)) {
            Ok(Some(engine)) if why.contains("C# FAULTs") => {
                let name = case["name"].as_str().unwrap_or_default();
                cases.equal(name, &engine.state(), &State::Fault);
            }
            _ => cases.skip("calls an interop service, or the reason gives no value"),
        }
    }
}

/// The engine after the script; `None` if it asked for an interop service.
fn run(case: &Value, fork: Option<Hardfork>) -> Result<Option<Engine<Meter>>, String> {
    let script = base64(case["script"].as_str().ok_or("no script")?)?;
    let era = match fork {
        Some(Hardfork::Gorgon) => Era::Gorgon,
        Some(fork) if fork >= Hardfork::Echidna => Era::Echidna,
        _ => Era::Genesis,
    };
    let heights =
        Hardfork::ALL.map(|later| (later, if fork.is_some_and(|fork| later <= fork) { 0 } else { 1 }));
    let forks = Hardforks::new(&heights).map_err(|err| err.to_string())?;
    let mut engine = Engine::new(Meter { gas: 0, asked: false, forks }, era);
    engine.load(Script::new(script), None, 0, ()).map_err(|fault| fault.to_string())?;
    engine.run();
    Ok((!engine.host.asked).then_some(engine))
}

fn compare(engine: &Engine<Meter>, case: &Value) -> Result<(), String> {
    let expected = &case["result"];
    let state = if engine.state() == State::Halt { "HALT" } else { "FAULT" };
    let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
    let to_end = calls_the_end(case).unwrap_or_default();
    let expected_state = if to_end { Some("HALT") } else { expected["state"].as_str() };
    same(&format!("state ({fault})"), &Some(state), &expected_state)?;
    same("gas", &Some(engine.host.gas.to_string().as_str()), &expected["gas"].as_str())?;
    if engine.state() == State::Halt && expected["stack"].is_array() && !to_end {
        let actual: Vec<_> = engine.results().iter().map(|item| item_json(&engine.heap, item)).collect();
        same("stack", &Value::Array(actual), &expected["stack"])?;
    }
    Ok(())
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

/// Charges for instructions and notes whether anything else was asked for.
#[derive(Debug)]
struct Meter {
    gas: u64,
    asked: bool,
    forks: Hardforks,
}

impl Meter {
    fn charge(&mut self, price: u32) -> neo_vm::Result<()> {
        self.gas += u64::from(price) * FEE_FACTOR;
        if self.gas > GAS_LIMIT { Err(Fault::Host("out of gas".into())) } else { Ok(()) }
    }
}

/// Calls a method of CryptoLib as `System.Contract.Call` does; `None` when something else is called.
fn call_crypto_lib(engine: &mut Engine<Meter>) -> neo_vm::Result<Option<()>> {
    engine.host.charge(1 << 15)?;
    let (hash, method) = (engine.pop_bytes()?, engine.pop_bytes()?);
    let (_flags, arguments) = (engine.pop()?, engine.pop()?);
    let crypto_lib = NATIVES.iter().find(|native| native.name == "CryptoLib").expect("it is in the table");
    let StackItem::Array(id) = arguments else { return Ok(None) };
    let arguments = engine.heap.list(id).to_vec();
    let methods = crypto_lib.methods_at(&engine.host.forks, 0);
    let found = methods
        .into_iter()
        .find(|found| found.name.as_bytes() == method && found.parameters.len() == arguments.len());
    let Some(found) = found.filter(|_| hash == crypto_lib.hash().0) else { return Ok(None) };
    // the instruction that pushes the version in the native script, and the method itself
    engine.host.charge(OpCode::PUSH0.price())?;
    engine.host.charge(found.cpu_fee)?;
    let result = crypto_lib::invoke(&engine.heap, found, &arguments);
    engine.push(result.map_err(|err| Fault::Host(err.into()))?);
    Ok(Some(()))
}

impl Host for Meter {
    type State = ();

    fn before(&mut self, (): &(), op: OpCode) -> neo_vm::Result<()> {
        self.charge(op.price())
    }

    fn syscall(engine: &mut Engine<Self>, id: u32) -> neo_vm::Result<()> {
        if id == interop_id("System.Contract.Call") && call_crypto_lib(engine)?.is_some() {
            return Ok(());
        }
        engine.host.asked = true;
        Err(Fault::UnknownSyscall(id))
    }

    fn call_token(engine: &mut Engine<Self>, token: u16) -> neo_vm::Result<()> {
        engine.host.asked = true;
        Err(Fault::UnknownToken(token))
    }

    fn unloaded(_: &mut Engine<Self>, _: Unloaded<()>) -> neo_vm::Result<()> {
        Ok(())
    }

    fn trace(&self, _: &mut dyn FnMut(&StackItem)) {}
}
