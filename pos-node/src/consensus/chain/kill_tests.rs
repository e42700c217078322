//! The process is killed in the middle of importing, at random times and at every step of a commit; what is found
//! afterwards is a block of the undisturbed chain, not older than what was acknowledged. `KILLS` sets how often.

use super::tests::{Net, config, start, verifier};
use super::*;
use crate::{
    state::{app::Overlay, transition::slot::Application},
    storage::{FoldedState, History, SqliteDatabase, sqlite::Step},
    types::{block::SignedBlock, transaction::Tx},
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

const FOLDER: &str = "POS_NODE_KILL_FOLDER";
const STOP_AT: &str = "POS_NODE_KILL_AT";
const SLOTS: u64 = 44;

/// The undisturbed chain: each slot's block with its transactions.
fn record() -> Vec<(SignedBlock, Vec<Tx>)> {
    let mut net = Net::new();
    (1..=SLOTS)
        .map(|slot| {
            let tx = net.transfer(1, 1 + slot);
            net.slot(slot, vec![tx]);
            let stored = net.chain.db.block(&net.chain.head()).expect("memory").expect("its head");
            (stored.block.clone(), stored.txs.clone())
        })
        .collect()
}

fn open(folder: &Path) -> Chain<SqliteDatabase> {
    let path = folder.join("chain.db");
    let db = SqliteDatabase::open(&path, &config().hash(), History::Slots(1000)).expect("a database");
    if db.folded().expect("works").is_some() {
        Chain::open(config(), db, verifier()).expect("a chain")
    } else {
        Chain::create(config(), start(), db, verifier()).expect("a new chain")
    }
}

fn import(chain: &mut Chain<SqliteDatabase>, block: &SignedBlock, txs: &[Tx]) {
    let slot_ms = config().params.slot_ms;
    let start = 1_000_000 + block.header.header.slot * slot_ms;
    chain.on_tick(start).expect("works");
    chain.import(block, txs).expect("valid");
    chain.on_tick(start + slot_ms / 2).expect("works"); // folds what is final
}

/// Not a test by itself: the process that is killed. Imports the chain and says how far it is.
#[test]
fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let recorded = record();
    let mut chain = open(Path::new(&folder));
    let mut out = std::io::stdout();
    if let Ok(stop) = std::env::var(STOP_AT) {
        let (name, count) = stop.split_once(':').expect("step and number");
        let (name, mut left) = (name.to_owned(), count.parse::<u32>().expect("a number"));
        chain.db.at_step(move |step| {
            if format!("{step:?}") == name {
                left = left.saturating_sub(1);
                if left == 0 {
                    let mut out = std::io::stdout();
                    writeln!(out, "\nstopped").and_then(|()| out.flush()).ok();
                    std::thread::sleep(Duration::from_secs(60)); // until killed
                }
            }
        });
    }
    let from = chain.head_slot();
    writeln!(out, "\nopen {from}").and_then(|()| out.flush()).expect("a pipe");
    for (block, txs) in &recorded {
        if block.header.header.slot > from {
            import(&mut chain, block, txs);
            writeln!(out, "\nat {}", block.header.header.slot).and_then(|()| out.flush()).expect("a pipe");
        }
    }
    writeln!(out, "\nend").and_then(|()| out.flush()).expect("a pipe");
}

struct Victim {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    acknowledged: u64,
}

impl Victim {
    fn spawn(folder: &Path, stop_at: Option<&str>) -> Self {
        let name = "consensus::chain::kill_tests::the_process_that_is_killed";
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
        if let Some(stop_at) = stop_at {
            command.env(STOP_AT, stop_at);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines, acknowledged: 0 }
    }

    /// Reads until a line with one of these beginnings; notes what was acknowledged.
    fn wait_for(&mut self, beginnings: &[&str]) -> String {
        for line in self.lines.by_ref() {
            let line = line.expect("text");
            if let Some(slot) = line.strip_prefix("at ") {
                self.acknowledged = slot.parse().expect("a slot");
            }
            if beginnings.iter().any(|beginning| line.starts_with(beginning)) {
                return line;
            }
        }
        String::new()
    }

    fn kill(mut self) -> u64 {
        self.child.kill().expect("alive or dead");
        self.wait_for(&["nothing says this"]);
        self.child.wait().expect("killed");
        self.acknowledged
    }
}

/// Opens what the victim left and compares with the undisturbed chain.
fn check(folder: &Path, acknowledged: u64, recorded: &[(SignedBlock, Vec<Tx>)]) -> u64 {
    let mut chain = open(folder);
    chain.on_tick(1_000_000 + SLOTS * config().params.slot_ms).expect("works");
    let slot = chain.head_slot();
    assert!(slot >= acknowledged, "acknowledged {acknowledged}, found {slot}");
    if let Some((block, txs)) = slot.checked_sub(1).and_then(|at| recorded.get(usize::try_from(at).ok()?)) {
        assert_eq!(chain.head(), block.root());
        let stored = chain.db.block(&chain.head()).expect("works").expect("the head");
        assert_eq!((&stored.block, &stored.txs), (block, txs));
        assert!(chain.db.tx_place(&txs[0].id(), 0).expect("works").is_some());
        let view = chain.app(&chain.head()).expect("head");
        let state = chain.state(&chain.head()).expect("head");
        let root = state.combined_root(&config().params, &Overlay::new(&view).root());
        assert_eq!(root, block.header.header.state_root);
    }
    chain.verify_database().expect("the tree is that of the entries");
    chain.db.check_file().expect("sound");
    slot
}

#[test]
fn killed_at_every_step_of_a_commit_it_opens_at_the_old_or_the_new_block() {
    let recorded = record();
    let steps = [
        Step::Begin,
        Step::Block,
        Step::Canonical,
        Step::Values,
        Step::Nodes,
        Step::State,
        Step::Commit,
        Step::Committed,
    ];
    for (at, step) in steps.into_iter().enumerate() {
        let folds = matches!(step, Step::Values | Step::Nodes | Step::State);
        for count in [1, if folds { 2 } else { 3 + at }] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut victim = Victim::spawn(folder.path(), Some(&format!("{step:?}:{count}")));
            assert_eq!(victim.wait_for(&["stopped", "end"]), "stopped", "{step:?} {count}");
            let acknowledged = victim.kill();
            check(folder.path(), acknowledged, &recorded);
        }
    }
}

#[test]
fn killed_at_random_times_it_loses_nothing_acknowledged() {
    let kills = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4u64);
    let recorded = record();
    let mut folder = tempfile::tempdir().expect("a folder");
    let mut seed = 1u64;
    for _ in 0..kills {
        let mut victim = Victim::spawn(folder.path(), None);
        victim.wait_for(&["open"]);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((seed >> 33) % 150_000));
        let acknowledged = victim.kill();
        if check(folder.path(), acknowledged, &recorded) == SLOTS {
            folder = tempfile::tempdir().expect("a folder");
        }
    }
}
