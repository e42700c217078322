use proptest::prelude::*;

use super::*;

/// Instructions that one test may run.
const BUDGET: usize = 20_000;

fn engine(script: &[u8], era: Era) -> Engine<NoHost> {
    let mut engine = Engine::new(NoHost, era);
    engine.load(Script::new(script), None, 0, ()).expect("an empty engine has room");
    engine
}

fn run_bounded(engine: &mut Engine<NoHost>, mut each: impl FnMut(&mut Engine<NoHost>)) {
    for _ in 0..BUDGET {
        if matches!(engine.state(), State::Halt | State::Fault) {
            return;
        }
        engine.step();
        each(engine);
    }
}

/// Everything that can be seen of an engine, without the places of items in memory.
fn picture(engine: &Engine<NoHost>) -> (State, i64, Vec<String>) {
    let items = engine.results.iter().chain(engine.frames.iter().flat_map(|frame| &frame.stack));
    let text = |item: &StackItem| match item.compound() {
        Some(id) => {
            format!("{:?} of {} {}", item.item_type(), engine.heap.len(id), engine.heap.is_referenced(id))
        }
        None => engine.describe(item),
    };
    (engine.state(), engine.heap.count(), items.map(text).collect())
}

/// Scripts of instructions that are likely to run: small pushes, stack, compound and control instructions.
fn likely_script() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0x0fu8..=0x16).prop_map(|op| vec![op]),
        2 => (0x43u8..=0x55).prop_map(|op| vec![op]),
        4 => (0xbeu8..=0xd4).prop_map(|op| vec![op]),
        1 => (0x88u8..=0x8e).prop_map(|op| vec![op]),
        1 => (0x90u8..=0xbb).prop_map(|op| vec![op]),
        1 => Just(vec![0x57, 2, 0]),
        1 => (0x68u8..=0x69).prop_map(|op| vec![op]),
        1 => (0x70u8..=0x71).prop_map(|op| vec![op]),
        1 => (0u8..12, 0u8..12).prop_map(|(catch, finally)| vec![0x3b, catch, finally]),
        1 => Just(vec![0x3a]),
        1 => (0u8..8).prop_map(|offset| vec![0x3d, offset]),
        1 => Just(vec![0x3f]),
        1 => (0u8..8).prop_map(|offset| vec![0x34, offset]),
        1 => Just(vec![0x40]),
    ];
    proptest::collection::vec(piece, 1..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_script_makes_the_machine_panic(script in proptest::collection::vec(any::<u8>(), 0..80)) {
        for era in [Era::Genesis, Era::Gorgon] {
            run_bounded(&mut engine(&script, era), |_| {});
        }
    }

    #[test]
    fn freeing_memory_after_every_instruction_changes_nothing(script in likely_script()) {
        let mut plain = engine(&script, Era::Gorgon);
        run_bounded(&mut plain, |_| {});
        let mut frugal = engine(&script, Era::Gorgon);
        run_bounded(&mut frugal, Engine::collect);
        prop_assert_eq!(picture(&plain), picture(&frugal));
    }
}

#[test]
fn a_loop_that_makes_cycles_does_not_fill_memory() {
    // NEWARRAY0 DUP DUP APPEND DROP JMP -5: each array holds itself; the counter is not freed of it and ends the loop
    let mut cycles = engine(&[0xc2, 0x4a, 0x4a, 0xcf, 0x45, 0x22, 0xfb], Era::Gorgon);
    run_bounded(&mut cycles, |_| {});
    assert!(matches!(cycles.fault(), Some(Fault::StackOverflow(_))));
    // PUSHINT16 2000 NEWBUFFER DROP JMP -5: nothing is counted, so only memory could end the loop
    let mut buffers = engine(&[0x01, 0xd0, 0x07, 0x88, 0x45, 0x22, 0xfb], Era::Gorgon);
    let mut most = 0;
    for _ in 0..10 {
        run_bounded(&mut buffers, |engine| most = most.max(engine.heap.entries()));
    }
    assert_eq!(buffers.state(), State::Break);
    assert!(most < 2000, "{most} buffers in memory");
}

#[test]
fn an_exception_unwinds_calls_to_the_handler_and_then_runs_finally() {
    // TRY +9 +13; CALL +5 (to the THROW); ENDTRY; ... catch: DROP, PUSH1, ENDTRY; finally: PUSH2, ENDFINALLY
    let script = [
        0x3b, 8, 12, // 0: TRY, catch at 8, finally at 12
        0x34, 13, // 3: CALL to 16
        0x3d, 10,   // 5: ENDTRY to 15
        0x21, // 7: NOP
        0x45, 0x11, // 8: DROP, PUSH1
        0x3d, 5, // 10: ENDTRY to 15
        0x12, 0x3f, // 12: PUSH2, ENDFINALLY
        0x21, // 14: NOP
        0x40, // 15: RET
        0x15, 0x3a, // 16: PUSH5, THROW
    ];
    let mut engine = engine(&script, Era::Gorgon);
    assert_eq!(engine.run(), State::Halt, "{:?}", engine.fault());
    let results: Vec<_> =
        engine.results().iter().map(|item| item.to_int().ok().and_then(|int| int.to_i64())).collect();
    assert_eq!(results, [Some(1), Some(2)]);
}
