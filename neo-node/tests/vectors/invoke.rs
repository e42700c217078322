//! `recorded/invokescript/`: scripts run by the peer at heights of every hardfork. Until the interop services are
//! built, scripts that call one are left out; what remains compares state, gas and results of the virtual machine.

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
    let era = match name.split('_').next() {
        Some("gorgon") => Era::Gorgon,
        Some("echidna" | "faun") => Era::Echidna,
        _ => Era::Genesis,
    };
    for line in file.text().lines() {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = format!("{} {}", case["n"], case["name"].as_str().unwrap_or_default());
        match run(&case, era) {
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
        match run(case, Era::Gorgon) {
            Ok(Some(engine)) if why.contains("C# FAULTs") => {
                let name = case["name"].as_str().unwrap_or_default();
                cases.equal(name, &engine.state(), &State::Fault);
            }
            _ => cases.skip("calls an interop service, or the reason gives no value"),
        }
    }
}

/// The engine after the script; `None` if it asked for an interop service.
fn run(case: &Value, era: Era) -> Result<Option<Engine<Meter>>, String> {
    let script = base64(case["script"].as_str().ok_or("no script")?)?;
    let mut engine = Engine::new(Meter::default(), era);
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
#[derive(Debug, Default)]
struct Meter {
    gas: u64,
    asked: bool,
}

impl Host for Meter {
    type State = ();

    fn before(&mut self, (): &(), op: OpCode) -> neo_vm::Result<()> {
        self.gas += u64::from(op.price()) * FEE_FACTOR;
        if self.gas > GAS_LIMIT { Err(Fault::Host("out of gas".into())) } else { Ok(()) }
    }

    fn syscall(engine: &mut Engine<Self>, id: u32) -> neo_vm::Result<()> {
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
