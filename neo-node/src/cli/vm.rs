//! `vm`: runs a script alone, with a trace of its steps. Interop services need a chain and are not there.

use clap::Subcommand;
use neo_contract::base64;
use neo_rpc::render;
use neo_vm::{Debugger, Engine, Era, NoHost, Script, StackItem, State};
use serde_json::{Value, json};
use shared_vendor::{
    app::{Daemon, Loaded},
    cli,
    exit::{self, Report},
    hex,
};

/// Steps after which a script is stopped, unless told otherwise.
const MAX_STEPS: u64 = 1_000_000;

/// Bytes of items that are shown in one step.
const SHOWN: usize = 65_535;

/// What to do with a script.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script to its end and print state and results as JSON
    Run {
        /// The script in hexadecimal or Base64
        script: String,
        /// Print each instruction with the stack before it, one JSON document a line
        #[arg(long)]
        trace: bool,
        /// Most instructions to run
        #[arg(long, default_value_t = MAX_STEPS)]
        steps: u64,
    },
}

/// Carries the verb out.
///
/// # Errors
/// The script is neither hexadecimal nor Base64.
pub(super) fn run<D: Daemon>(command: &Command, _: &Loaded<D>) -> Result<(), Report> {
    let Command::Run { script, trace, steps } = command;
    let bytes = hex::decode(script)
        .ok()
        .or_else(|| base64::decode(script))
        .ok_or_else(|| Report::new(exit::BAD_USAGE, "the script is neither hexadecimal nor Base64"))?;
    let mut engine = Engine::new(NoHost, Era::Gorgon);
    let loaded = Script::new(bytes);
    if engine.load(loaded, None, 0, ()).is_err() {
        return Err(Report::new(exit::BAD_USAGE, "the script cannot be loaded"));
    }
    let debugger = Debugger::default();
    let mut count: u64 = 0;
    while !matches!(engine.state(), State::Halt | State::Fault) && count < *steps {
        if *trace {
            cli::print(&format!("{}\n", step(&engine)))?;
        }
        debugger.step_into(&mut engine);
        count = count.saturating_add(1);
    }
    let state = match engine.state() {
        State::Halt => "HALT",
        State::Fault => "FAULT",
        State::Running | State::Break => "BREAK",
    };
    let result = json!({
        "state": state,
        "steps": count,
        "stack": items(&engine, engine.results()),
        "exception": engine.fault().map(ToString::to_string),
    });
    cli::print(&format!("{result}\n"))
}

/// Where the engine stands: the next instruction and the stack, its top last.
fn step(engine: &Engine<NoHost>) -> Value {
    let last = engine.contexts().len().saturating_sub(1);
    let Some((context, frame)) = engine.contexts().last().zip(engine.frame_of(last)) else {
        return Value::Null;
    };
    let position = context.position();
    let instruction = frame.script.instruction(position).ok().flatten();
    let operand = instruction.map(|instruction| hex::encode(instruction.operand(frame.script.bytes())));
    json!({
        "position": position,
        "instruction": instruction.map_or("RET", |instruction| instruction.op.name()),
        "operand": operand.filter(|operand| !operand.is_empty()),
        "depth": engine.contexts().len(),
        "stack": items(engine, frame.stack),
    })
}

fn items(engine: &Engine<NoHost>, items: &[StackItem]) -> Value {
    let mut budget = SHOWN;
    let mut show = |item| {
        let shown =
            render::item(&engine.heap, item, &mut budget, &mut |_| json!({ "type": "InteropInterface" }));
        shown.unwrap_or_else(|err| Value::String(err.text().to_owned()))
    };
    items.iter().map(&mut show).collect()
}
