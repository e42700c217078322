//! A process that copies a chain is killed, or runs out of room, again and again: what it said it had is there afterwards,
//! and in the end everything is as if nothing had happened. `KILLS` sets how often (default 6).

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use fluxd_chainstate::{ChainState, Options};
use fluxd_consensus::check::CheckedBlock;
use fluxd_miner::testing::{Lab, params};
use fluxd_primitives::{Block, Codec};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use crate::common::{digests, grow, options};

/// Blocks of the chain.
const HEIGHT: u32 = 260;
/// Names the folder to the process that is killed.
const DIR: &str = "FLUXD_FAULT_DIR";
/// Blocks that it connects at once.
const GROUP: usize = 3;

/// The child: copies the blocks of `DIR/source` into the chain state in `DIR/node`, and says every height that it reached.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let options = Options { group_blocks: GROUP, ..options() };
    let mut chain = match ChainState::open(&dir.join("node"), Arc::new(params()), options) {
        Ok(chain) => chain,
        Err(error) => return println!("failed {error:?}"),
    };
    println!("height {}", chain.index().height());
    for height in chain.index().height() + 1..=HEIGHT {
        let bytes = fs::read(dir.join(format!("source/{height}"))).expect("a block");
        let block = Block::from_bytes(&bytes).expect("a block");
        let now = i64::from(block.header.time) + 30;
        let checked = Arc::new(CheckedBlock::new(Arc::new(block)).expect("sound"));
        let connected = chain.accept_block(&checked, true, now).map_err(|error| format!("{error:?}"));
        let activated = connected.and_then(|_| chain.activate(now).map_err(|error| format!("{error:?}")));
        match activated {
            Ok(_) => println!("height {}", chain.index().height()),
            Err(error) => return println!("failed {error}"),
        }
    }
    chain.flush().expect("flushed");
    println!("done");
}

/// The grown chain as one file per block, and its digests.
fn source(dir: &Path) -> Vec<(String, String)> {
    let grown = TempDir::new().expect("a folder");
    let mut lab = Lab::in_memory(grown.path(), options());
    grow(&mut lab, HEIGHT);
    fs::create_dir(dir.join("source")).expect("made");
    for height in 1..=HEIGHT {
        let id = lab.chain.index().at_height(height).expect("active");
        let bytes = lab.chain.body(id).expect("stored").block().to_bytes();
        fs::write(dir.join(format!("source/{height}")), bytes).expect("written");
    }
    digests(&lab.chain)
}

/// What the library that stands for the disk does: after every sync it copies the file beside `POWER_FROM`.
const SHIM: &str = include_str!("synced.c");

/// Compiles the library; `None` where there is no compiler.
fn shim(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("synced.c"), dir.join("synced.so"));
    fs::write(&source, SHIM).ok()?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    compiler.status().ok()?.success().then_some(library)
}

/// All files below a folder, by their paths in it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(path) = path.strip_prefix(root) {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

/// Leaves of every file what a disk may hold that lost its power: at least what was synced, and of what came later
/// nothing, everything, a beginning, or some sectors.
fn lose_power(node: &Path, synced: &Path, rng: &mut StdRng) {
    for path in files(node) {
        let now = fs::read(node.join(&path)).expect("readable");
        let Ok(kept) = fs::read(synced.join(&path)) else {
            // Never synced: its folder may know it, but not what is in it.
            let length = rng.random_range(0..=now.len());
            fs::write(node.join(&path), now.get(..length).unwrap_or_default()).expect("written");
            continue;
        };
        let left = match rng.random_range(0..4) {
            0 => kept,
            1 => now,
            2 => {
                let end = kept.len().min(now.len());
                let length = rng.random_range(end..=now.len().max(end));
                let later = now.get(end..length).unwrap_or_default();
                [kept.get(..end).unwrap_or_default(), later].concat()
            }
            _ => {
                let mut left = now.clone();
                for (number, sector) in left.chunks_mut(512).enumerate() {
                    let start = number * 512;
                    let old = kept.get(start..(start + sector.len()).min(kept.len())).unwrap_or_default();
                    if rng.random_bool(0.5) {
                        sector.fill(0);
                        sector.iter_mut().zip(old).for_each(|(byte, old)| *byte = *old);
                    }
                }
                left
            }
        };
        fs::write(node.join(&path), left).expect("written");
    }
}

#[test]
fn power_that_fails_takes_nothing_that_was_synced() {
    let dir = TempDir::new().expect("a folder");
    let Some(library) = shim(dir.path()) else {
        println!("skipped: no C compiler");
        return;
    };
    let expected = source(dir.path());
    let seeds: u64 = env::var("POWER_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let synced = dir.path().join("synced");
        for folder in [&dir.path().join("node"), &synced] {
            let _ = fs::remove_dir_all(folder); // it may not be there
            fs::create_dir(folder).expect("made");
        }
        let heights = rng.random_range(2..usize::try_from(HEIGHT).expect("few"));
        let power = [
            ("LD_PRELOAD", library.clone()),
            ("POWER_FROM", dir.path().join("node")),
            ("POWER_TO", synced.clone()),
        ];
        let (reached, _, failure) = run_with(dir.path(), heights, None, &power);
        assert_eq!(failure, None, "seed {seed}");
        lose_power(&dir.path().join("node"), &synced, &mut rng);
        let (first, _, failure) = run_with(dir.path(), 1, None, &[]);
        assert_eq!(failure, None, "seed {seed}, after {reached}");
        // The blocks are recent to the child's clock, so that it syncs every commit: what it said is on the disk.
        assert!(first >= reached, "seed {seed}: {first} after {reached}");
    }
    let (_, done, failure) = run_with(dir.path(), usize::MAX, None, &[]);
    assert_eq!((done, failure), (true, None));
    verified(dir.path(), &expected);
}

/// Runs the child until it has said a number of heights, then kills it. Returns the last height, and whether it was done
/// or failed.
fn run(dir: &Path, before_kill: usize, limit: Option<u64>) -> (u32, bool, Option<String>) {
    run_with(dir, before_kill, limit, &[])
}

fn run_with(
    dir: &Path,
    before_kill: usize,
    limit: Option<u64>,
    variables: &[(&str, PathBuf)],
) -> (u32, bool, Option<String>) {
    let exe = env::current_exe().expect("this test");
    let mut command = match limit {
        // The shell's limit on the length of files stands for a full disk.
        Some(blocks) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")).arg(exe);
            shell
        }
        None => Command::new(exe),
    };
    command.args(["--exact", "faults::child", "--nocapture", "--test-threads=1"]);
    let mut child = command
        .env(DIR, dir)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut height = 0;
    let (mut done, mut failure) = (false, None);
    let mut said = 0;
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        if let Some((_, number)) = line.split_once("height ") {
            height = number.trim().parse().expect("a number");
            said += 1;
        } else if line.contains("done") {
            done = true;
        } else if let Some((_, error)) = line.split_once("failed ") {
            failure = Some(error.to_owned());
        }
        if said >= before_kill && !done {
            // A moment, so that the end falls anywhere in the work for the next block.
            std::thread::sleep(Duration::from_micros(u64::try_from(said * 731 % 4000).unwrap_or_default()));
            child.kill().expect("killed");
        }
    }
    child.wait().expect("ended");
    (height, done, failure)
}

fn verified(dir: &Path, expected: &[(String, String)]) {
    let mut chain =
        ChainState::open(&dir.join("node"), Arc::new(params()), options()).expect("opens after all that");
    assert_eq!(chain.index().height(), HEIGHT);
    assert_eq!(chain.lagging(), []);
    assert_eq!(digests(&chain), expected);
    let found = chain.verify_chain(4, 0).expect("a store");
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn a_process_that_is_killed_again_and_again_loses_nothing_that_it_acknowledged() {
    let dir = TempDir::new().expect("a folder");
    let expected = source(dir.path());
    let kills: usize = env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let per_run = (usize::try_from(HEIGHT).expect("few") / (kills + 1)).max(2);
    let mut acknowledged = 0;
    let (mut killed, mut whole) = (0, false);
    while !whole {
        let before_kill = if killed < kills { per_run + killed % 3 } else { usize::MAX };
        let (height, done, failure) = run(dir.path(), before_kill, None);
        assert_eq!(failure, None);
        assert!(height >= acknowledged, "{height} after {acknowledged}");
        acknowledged = height;
        (killed, whole) = (killed + 1, done);
        // A long series goes round more than once.
        if whole && killed < kills {
            verified(dir.path(), &expected);
            fs::remove_dir_all(dir.path().join("node")).expect("removed");
            (acknowledged, whole) = (0, false);
        }
    }
    verified(dir.path(), &expected);
}

#[test]
fn a_process_without_room_stops_and_goes_on_when_there_is_room_again() {
    let dir = TempDir::new().expect("a folder");
    let expected = source(dir.path());
    let mut failures = 0;
    let mut acknowledged = 0;
    // Units of 512 bytes.
    for limit in [20_u64, 60, 120, 200, 280] {
        let (height, done, failure) = run(dir.path(), usize::MAX, Some(limit));
        failures += u32::from(failure.is_some());
        assert!(!done || failure.is_none());
        if height > 0 {
            assert!(height >= acknowledged, "{height} after {acknowledged}");
            acknowledged = height;
        }
    }
    assert!(failures > 0, "the limits were never reached");
    let (height, done, failure) = run(dir.path(), usize::MAX, None);
    assert_eq!((height, done, failure), (HEIGHT, true, None));
    verified(dir.path(), &expected);
}
