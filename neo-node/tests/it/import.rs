//! Files of blocks: import to the recorded state root, kills in the middle, export of the same bytes, files that are
//! damaged or belong to another chain. The chain is the recorded one; without the vectors nothing is tested.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use shared_vendor::testing::node::{self, TempDir};

use crate::nodes::BINARY;

/// The recorded chain; `None` where there are no vectors.
fn recorded() -> Option<PathBuf> {
    let root = match env::var_os("VECTORS_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
    };
    let folder = root.join("neo-node/recorded");
    if !folder.is_dir() {
        println!("skipped: no vectors");
        return None;
    }
    Some(folder)
}

fn arguments<'a>(recorded: &'a str, verb: &'a [&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--network", "privnet", "--config", recorded];
    arguments.extend(verb);
    arguments
}

fn run(home: &Path, recorded: &Path, verb: &[&str]) -> Output {
    let config = recorded.join("configs/neogo-solo.yml");
    node::run(BINARY, home, &arguments(config.to_str().unwrap(), verb))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The state root after a height, as recorded.
fn root_at(recorded: &Path, height: usize) -> String {
    let roots: Value =
        serde_json::from_slice(&fs::read(recorded.join("solo/stateroots.json")).unwrap()).unwrap();
    roots[height]["roothash"].as_str().unwrap().to_owned()
}

#[test]
fn killed_imports_go_on_to_the_same_state_root_and_export_the_same_file() {
    let Some(recorded) = recorded() else { return };
    let kills: u64 = env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3);
    let chain = recorded.join("solo/chain.0.acc");
    let chain = chain.to_str().unwrap();
    let config = recorded.join("configs/neogo-solo.yml");
    let mut home = TempDir::new();
    let (mut landed, mut delay) = (0, 120);
    for round in 0..kills {
        let verb = ["import", "--write-buffer", "0", chain];
        let mut command = node::command(BINARY, home.path());
        command.args(arguments(config.to_str().unwrap(), &verb)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut import = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(delay));
        if import.try_wait().unwrap().is_some() {
            // it was faster: begin anew, and kill earlier
            home = TempDir::new();
            delay = delay * 2 / 3;
            continue;
        }
        import.kill().unwrap();
        import.wait().unwrap();
        landed += 1;
        delay = 40 + (delay + round * 37) % 150;
    }
    println!("{landed} of {kills} kills fell into an import");
    let done = run(home.path(), &recorded, &["import", chain]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains(&root_at(&recorded, 189)), "{}", text(&done.stdout));
    let copy = home.path().join("copy.acc");
    let exported = run(home.path(), &recorded, &["export", copy.to_str().unwrap()]);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    assert_eq!(fs::read(copy).unwrap(), fs::read(chain).unwrap());
}

#[test]
fn an_import_stops_where_it_is_told_and_a_second_one_goes_on() {
    let Some(recorded) = recorded() else { return };
    let home = TempDir::new();
    let chain = recorded.join("solo/chain.0.acc");
    for (to, height) in [("60", 60), ("60", 60), ("170", 170)] {
        let done = run(home.path(), &recorded, &["import", "--to", to, chain.to_str().unwrap()]);
        assert!(text(&done.stdout).contains(&root_at(&recorded, height)), "{}", text(&done.stdout));
    }
}

#[test]
fn damaged_files_and_other_chains_are_refused_with_a_stated_code() {
    let Some(recorded) = recorded() else { return };
    let home = TempDir::new();
    let chain = fs::read(recorded.join("solo/chain.0.acc")).unwrap();
    let bad = home.path().join("chain.0.acc");
    let refused = |home: &TempDir, bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let done = run(home.path(), &recorded, &["import", bad.to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(65), "{}", text(&done.stderr));
        assert!(text(&done.stderr).contains("E0303"), "{}", text(&done.stderr));
    };
    // cut off in a block; a signature of another byte
    refused(&home, &chain[..20_000]);
    let mut changed = chain.clone();
    let last = changed.len() - 1;
    changed[last / 2] ^= 1;
    refused(&home, &changed);
    let mut foreign = chain.clone();
    foreign[8 + 4 + 4 + 64] ^= 1;
    for home in [&home, &TempDir::new()] {
        refused(home, &foreign);
    }
    // the good file goes on from what was kept
    fs::write(&bad, &chain).unwrap();
    let done = run(home.path(), &recorded, &["import", bad.to_str().unwrap()]);
    assert!(text(&done.stdout).contains(&root_at(&recorded, 189)), "{}", text(&done.stderr));
}
