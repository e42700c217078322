//! `vm-json/`: the official suite of the virtual machine. Each test loads a script, steps a debugger and compares
//! state, contexts, stacks, slots and the reference counter, as the suite's own runner does.

use neo_vm::{
    Debugger, Engine, Era, Fault, FrameView, Host, Interop, InteropObject, OpCode, Script, StackItem, State,
    Unloaded,
};
use serde_json::{Map, Value, json};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use super::core_vectors::same;

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    file.json().get("tests")?.is_array().then_some(Claim::Run(run))
}

fn run(file: &File<'_>, cases: &mut Cases) {
    for test in file.json()["tests"].as_array().into_iter().flatten() {
        cases.case(test["name"].as_str().unwrap_or_default(), || run_test(test));
    }
}

fn run_test(test: &Value) -> Result<(), String> {
    let mut engine = Engine::new(Services, Era::Gorgon);
    let script = script(&test["script"])?;
    if !script.is_empty() {
        engine.load(Script::new(script), None, 0, ()).map_err(|fault| fault.to_string())?;
    }
    let debugger = Debugger::default();
    for (index, step) in test["steps"].as_array().into_iter().flatten().enumerate() {
        for action in step["actions"].as_array().into_iter().flatten() {
            match action.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("execute") => debugger.run(&mut engine),
                Some("stepinto") => debugger.step_into(&mut engine),
                Some("stepover") => debugger.step_over(&mut engine),
                Some("stepout") => debugger.step_out(&mut engine),
                other => return Err(format!("unknown action {other:?}")),
            };
        }
        compare(&engine, &step["result"]).map_err(|err| format!("step {index}: {err}"))?;
    }
    Ok(())
}

fn compare(engine: &Engine<Services>, expected: &Value) -> Result<(), String> {
    let state = match engine.state() {
        State::Running => "NONE",
        State::Break => "BREAK",
        State::Halt => "HALT",
        State::Fault => "FAULT",
    };
    let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
    same(
        &format!("state ({fault})"),
        &Some(state.to_owned()),
        &expected["state"].as_str().map(str::to_uppercase),
    )?;
    if engine.state() == State::Fault {
        return Ok(());
    }
    let contexts = expected["invocationStack"].as_array().cloned().unwrap_or_default();
    same("number of contexts", &engine.contexts().len(), &contexts.len())?;
    for (expected, (index, context)) in contexts.iter().zip(engine.contexts().iter().enumerate().rev()) {
        let FrameView { script, stack, statics } = engine.frame_of(index).ok_or("context without a frame")?;
        let position = context.position();
        let next =
            script.bytes().get(position).and_then(|byte| OpCode::from_byte(*byte)).unwrap_or(OpCode::RET);
        same("position", &Some(position as u64), &expected["instructionPointer"].as_u64())?;
        same("next", &Some(next.name()), &expected["nextInstruction"].as_str())?;
        if expected["evaluationStack"].is_array() {
            items(engine, "evaluation stack", stack.iter().rev(), &expected["evaluationStack"])?;
        }
        items(engine, "arguments", context.arguments().unwrap_or_default().iter(), &expected["arguments"])?;
        items(engine, "locals", context.locals().unwrap_or_default().iter(), &expected["localVariables"])?;
        items(engine, "statics", statics.unwrap_or_default().iter(), &expected["staticFields"])?;
    }
    if expected["resultStack"].is_array() {
        items(engine, "result stack", engine.results().iter().rev(), &expected["resultStack"])?;
    }
    match expected["refs"].as_i64() {
        Some(refs) => same("references", &engine.heap.count(), &refs),
        None => Ok(()),
    }
}

fn items<'a>(
    engine: &Engine<Services>,
    what: &str,
    actual: impl Iterator<Item = &'a StackItem>,
    expected: &Value,
) -> Result<(), String> {
    let actual: Vec<_> = actual.map(|item| actual_json(engine, item)).collect();
    let expected =
        expected.as_array().into_iter().flatten().map(expected_json).collect::<Result<Vec<_>, _>>()?;
    same(what, &actual, &expected)
}

fn actual_json(engine: &Engine<Services>, item: &StackItem) -> Value {
    let list = |id| engine.heap.list(id).iter().map(|item| actual_json(engine, item)).collect::<Vec<_>>();
    match item {
        StackItem::Null => json!({"type": "null"}),
        StackItem::Boolean(value) => json!({"type": "boolean", "value": value}),
        StackItem::Integer(value) => json!({"type": "integer", "value": value.to_string()}),
        StackItem::ByteString(bytes) => json!({"type": "bytestring", "value": hex::encode(bytes)}),
        StackItem::Buffer(id) => json!({"type": "buffer", "value": hex::encode(engine.heap.buffer(*id))}),
        StackItem::Array(id) => json!({"type": "array", "value": list(*id)}),
        StackItem::Struct(id) => json!({"type": "struct", "value": list(*id)}),
        StackItem::Map(id) => {
            let entry = |(key, value): (&neo_vm::MapKey, &StackItem)| {
                let key = engine.heap.bytes_of(&key.to_item()).unwrap_or_default();
                (format!("0x{}", hex::encode(key)), actual_json(engine, value))
            };
            let entries: Map<_, _> = engine.heap.map(*id).into_iter().flatten().map(entry).collect();
            json!({"type": "map", "value": entries})
        }
        StackItem::Pointer(pointer) => json!({"type": "pointer", "value": pointer.position}),
        StackItem::Interop(_) => json!({"type": "interop", "value": "Object"}),
    }
}

fn expected_json(item: &Value) -> Result<Value, String> {
    let kind = item["type"].as_str().ok_or("no type")?.to_ascii_lowercase();
    let value = &item["value"];
    let bytes = |text: &Value| hex::decode(text.as_str().unwrap_or_default()).map_err(|err| err.to_string());
    Ok(match kind.as_str() {
        "null" => json!({"type": kind}),
        "string" => json!({"type": "bytestring", "value": hex::encode(value.as_str().unwrap_or_default())}),
        "bytestring" | "buffer" => json!({"type": kind, "value": hex::encode(bytes(value)?)}),
        "integer" => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            json!({"type": kind, "value": text})
        }
        "array" | "struct" => {
            let items =
                value.as_array().into_iter().flatten().map(expected_json).collect::<Result<Vec<_>, _>>()?;
            json!({"type": kind, "value": items})
        }
        "map" => {
            let entries = value.as_object().into_iter().flatten();
            let entries = entries
                .map(|(key, value)| Ok((key.to_lowercase(), expected_json(value)?)))
                .collect::<Result<Map<_, _>, String>>()?;
            json!({"type": kind, "value": entries})
        }
        _ => json!({"type": kind, "value": value}),
    })
}

/// Names of instructions and pieces of hexadecimal.
fn script(value: &Value) -> Result<Vec<u8>, String> {
    let pieces: Vec<&str> = match value {
        Value::Array(pieces) => pieces.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let mut bytes = Vec::new();
    for piece in pieces {
        match OpCode::from_name(piece) {
            Some(op) => bytes.push(op.to_byte()),
            None => bytes.extend(hex::decode(piece).map_err(|err| format!("{piece}: {err}"))?),
        }
    }
    Ok(bytes)
}

/// The two interop services of the suite: an opaque object, and an exception.
struct Services;

#[derive(Debug)]
struct Opaque;

impl InteropObject for Opaque {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Host for Services {
    type State = ();

    fn before(&mut self, (): &(), _: OpCode) -> neo_vm::Result<()> {
        Ok(())
    }

    fn syscall(engine: &mut Engine<Self>, id: u32) -> neo_vm::Result<()> {
        match id {
            0x7777_7777 => {
                engine.push_interop(Interop(std::sync::Arc::new(Opaque)));
                Ok(())
            }
            0xadde_adde => engine.throw_text("error"),
            other => Err(Fault::UnknownSyscall(other)),
        }
    }

    fn call_token(_: &mut Engine<Self>, token: u16) -> neo_vm::Result<()> {
        Err(Fault::UnknownToken(token))
    }

    fn unloaded(_: &mut Engine<Self>, _: Unloaded<()>) -> neo_vm::Result<()> {
        Ok(())
    }

    fn trace(&self, _: &mut dyn FnMut(&StackItem)) {}
}
