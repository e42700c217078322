//! What instructions cost: loops of one kind each, timed for people, and counted for comparisons between versions.
//!
//! - `cargo bench -p neo-vm --bench opcodes`: time for each executed instruction of the machine.
//! - `cargo bench -p neo-vm --bench opcodes -- --counts`: processor instructions for each, which do not depend on the load of the
//!   computer; needs `valgrind`. Compared with `benches/baseline.txt`; 5 % more is a failure. `--counts --write` writes that file.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::panic)]

use std::{env, fs, path::Path, process::Command, time::Duration};

use criterion::{Criterion, Throughput};
use neo_vm::{Engine, Era, NoHost, Script, State};

/// Name, body of the loop in hexadecimal, functions behind it. A body leaves the stack as it was.
const LOOPS: [(&str, &str, &str); 11] = [
    ("empty", "", ""),
    ("stack", "4a454a454a454a454a454a454a454a45", ""),
    ("arithmetic", "119e9d119e9d119e9d119e9d", ""),
    ("comparison", "4a15b5454a15b5454a15b5454a15b545", ""),
    ("large_integers", "0400112233445566778899aabbccddee0f044455667788990011223344556677880fa045", ""),
    ("bytes", "0c04616263640c04656667688b45", ""),
    ("array", "c24a11cf10ce45", ""),
    ("struct", "c24a11121313bfcf45", ""),
    ("map", "c84a1112d011ce45", ""),
    ("call", "3408", "40"),
    ("exception", "3b0500113a453d02", ""),
];

/// Rounds of a timed loop.
const ROUNDS: i32 = 1_000;

/// More than the baseline by this factor is a failure.
const TOLERANCE: f64 = 1.05;

/// `PUSHINT32 rounds; body; DEC; DUP; JMPIF body; DROP; RET`
fn script(body: &str, functions: &str, rounds: i32) -> Vec<u8> {
    let body = shared_vendor::hex::decode(body).expect("hexadecimal");
    let back = i8::try_from(body.len() + 2).expect("a short body");
    let mut script = vec![0x02];
    script.extend(rounds.to_le_bytes());
    script.extend(body);
    script.extend([0x9d, 0x4a, 0x24, back.wrapping_neg().to_le_bytes()[0], 0x45, 0x40]);
    script.extend(shared_vendor::hex::decode(functions).expect("hexadecimal"));
    script
}

fn load(script: &[u8]) -> Engine<NoHost> {
    let mut engine = Engine::new(NoHost, Era::Gorgon);
    engine.load(Script::new(script.to_vec()), None, 0, ()).expect("it loads");
    engine
}

/// Instructions of the machine that a script takes.
fn length(script: &[u8]) -> u64 {
    let (mut engine, mut count) = (load(script), 0);
    while !matches!(engine.state(), State::Halt | State::Fault) {
        engine.step();
        count += 1;
    }
    assert_eq!(engine.state(), State::Halt, "{:?}", engine.fault());
    count
}

fn time() {
    let mut criterion = Criterion::default().warm_up_time(Duration::from_millis(300)).configure_from_args();
    let mut group = criterion.benchmark_group("opcodes");
    group.measurement_time(Duration::from_secs(1)).sample_size(20);
    for (name, body, functions) in LOOPS {
        let script = script(body, functions, ROUNDS);
        group.throughput(Throughput::Elements(length(&script)));
        group.bench_function(name, |bencher| bencher.iter(|| load(&script).run()));
    }
    group.finish();
    criterion.final_summary();
}

/// Processor instructions of this program when it runs one loop.
fn collected(name: &str, rounds: i32) -> Option<u64> {
    let program = env::current_exe().ok()?;
    let command = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let done = Command::new("valgrind")
        .args(command)
        .arg(program)
        .args(["--run", name, &rounds.to_string()])
        .output();
    let text = String::from_utf8_lossy(&done.ok()?.stderr).into_owned();
    text.split("Collected : ").nth(1)?.lines().next()?.trim().parse().ok()
}

fn counts(write: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline.txt");
    let baseline = fs::read_to_string(&path).unwrap_or_default();
    let before = |name: &str| -> Option<f64> {
        baseline.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let (mut lines, mut worse) = (String::new(), Vec::new());
    for (name, body, functions) in LOOPS {
        let Some((few, many)) = collected(name, ROUNDS).zip(collected(name, 3 * ROUNDS)) else {
            println!("opcodes: valgrind is needed for counts");
            return;
        };
        // the start of the program counts in both
        let executed =
            length(&script(body, functions, 3 * ROUNDS)) - length(&script(body, functions, ROUNDS));
        let each = f64::from(u32::try_from(many - few).expect("few enough"))
            / f64::from(u32::try_from(executed).expect("few"));
        let change = before(name).map(|before| each / before);
        println!(
            "{name:<16} {each:>8.1} processor instructions each{}",
            change.map_or(String::new(), |by| format!(", {by:.3} of the baseline"))
        );
        lines.push_str(&format!("{name} {each:.1}\n"));
        if change.is_some_and(|by| by > TOLERANCE) {
            worse.push(name);
        }
    }
    if write {
        fs::write(path, lines).expect("the baseline can be written");
    } else if !worse.is_empty() {
        panic!("slower than the baseline: {worse:?}");
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(at) = arguments.iter().position(|argument| argument == "--run") {
        let (name, rounds) = (&arguments[at + 1], arguments[at + 2].parse().expect("a number"));
        let (_, body, functions) = LOOPS.into_iter().find(|(known, ..)| known == name).expect("a loop");
        assert_eq!(load(&script(body, functions, rounds)).run(), State::Halt);
    } else if has("--counts") {
        counts(has("--write"));
    } else {
        time();
    }
}
