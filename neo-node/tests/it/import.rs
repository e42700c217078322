//! Files of blocks: import to the recorded state root, kills in the middle, export of the same bytes, files that are
//! damaged or belong to another chain. The chain is the recorded one; without the vectors nothing is tested.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use neo_store::{Bytes, Database, Table, schema};
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

/// Flags that switch the index of tokens on.
const TOKENS: [&str; 2] = ["--tokens-trackers", "NEP-11,NEP-17"];

/// Every row of the index of tokens, and how far it goes.
fn token_rows(home: &Path) -> Vec<(Vec<u8>, Bytes)> {
    let database = Database::open(&find_db(home).expect("a database")).unwrap();
    let view = database.view().unwrap();
    let next = view.get(Table::Meta, schema::TOKENS).unwrap().expect("an index");
    let mut rows = vec![(schema::TOKENS.to_vec(), next)];
    while let Some(row) =
        view.seek(Table::Tokens, &[], rows.get(1).and(rows.last()).map(|row| &row.0[..]), false).unwrap()
    {
        rows.push(row);
    }
    rows
}

fn find_db(folder: &Path) -> Option<PathBuf> {
    let folders: Vec<_> =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    let own = folders.iter().find(|path| path.file_name().is_some_and(|name| name == "db")).cloned();
    own.or_else(|| folders.iter().find_map(|folder| find_db(folder)))
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
    let last_root = root_at(&recorded, 189);
    let mut home = TempDir::new();
    let (mut landed, mut finished, mut delay) = (0, 0, 120);
    while landed < kills {
        let verb = ["import", "--write-buffer", "0", TOKENS[0], TOKENS[1], chain];
        let mut command = node::command(BINARY, home.path());
        command.args(arguments(config.to_str().unwrap(), &verb)).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut import = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(delay));
        if import.try_wait().unwrap().is_some() {
            // it was faster: what it has must be right; then begin anew, and kill earlier
            let done = import.wait_with_output().unwrap();
            assert!(done.status.success() && text(&done.stdout).contains(&last_root), "{done:?}");
            home = TempDir::new();
            finished += 1;
            delay = delay * 2 / 3;
            continue;
        }
        import.kill().unwrap();
        import.wait().unwrap();
        landed += 1;
        delay = 40 + (delay + landed * 37) % 150;
    }
    println!(
        "{landed} kills fell into an import, {finished} imports have ended between them with the recorded root"
    );
    let done = run(home.path(), &recorded, &["import", TOKENS[0], TOKENS[1], chain]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains(&last_root), "{}", text(&done.stdout));
    let undisturbed = TempDir::new();
    run(undisturbed.path(), &recorded, &["import", TOKENS[0], TOKENS[1], chain]);
    assert!(
        token_rows(home.path()) == token_rows(undisturbed.path()),
        "the kills have changed the index of tokens"
    );
    let copy = home.path().join("copy.acc");
    let exported = run(home.path(), &recorded, &["export", copy.to_str().unwrap()]);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    assert_eq!(fs::read(copy).unwrap(), fs::read(chain).unwrap());
}

#[test]
fn tokens_that_are_indexed_later_are_those_of_an_index_from_the_beginning() {
    let Some(recorded) = recorded() else { return };
    let chain = recorded.join("solo/chain.0.acc");
    let chain = chain.to_str().unwrap();
    let (early, late) = (TempDir::new(), TempDir::new());
    let import = |home: &TempDir, verb: &[&str]| {
        let done = run(home.path(), &recorded, verb);
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    import(&early, &["import", TOKENS[0], TOKENS[1], chain]);
    // Without, then without transfers, then with everything, each for a part of the chain.
    import(&late, &["import", "--to", "90", chain]);
    import(&late, &["import", "--to", "120", TOKENS[0], TOKENS[1], "--tokens-history=false", chain]);
    import(&late, &["import", "--to", "150", chain]);
    import(&late, &["import", TOKENS[0], TOKENS[1], chain]);
    let (early, late) = (token_rows(early.path()), token_rows(late.path()));
    assert!(early.len() > 100 && early == late, "{} rows, {} rows", early.len(), late.len());
    let bare = TempDir::new();
    import(&bare, &["import", "--no-logs", "--to", "9", chain]);
    let refused = run(bare.path(), &recorded, &["import", TOKENS[0], TOKENS[1], chain]);
    assert_eq!(refused.status.code(), Some(78), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("application logs"), "{}", text(&refused.stderr));
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

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn a_damaged_database_is_refused_with_a_stated_code_or_goes_on_from_what_is_whole() {
    let Some(recorded) = recorded() else { return };
    let home = TempDir::new();
    let chain = recorded.join("solo/chain.0.acc");
    let chain = chain.to_str().unwrap();
    let (good, data) = (home.path().join("good"), home.path().join("data"));
    let import = |folder: &Path, to: &str| {
        run(home.path(), &recorded, &["import", "--data-dir", folder.to_str().unwrap(), "--to", to, chain])
    };
    // opening moves what was written from the log into tables, so the second import leaves both
    for to in ["100", "130"] {
        assert!(import(&good, to).status.success());
    }
    /// Which file, the code of the error, what is done to the file.
    type Damage = (&'static str, &'static str, fn(&Path));
    let damages: [Damage; 5] = [
        ("CURRENT", "E0301", |path| fs::write(path, "nothing").unwrap()),
        (".sst", "E0301", |path| fs::remove_file(path).unwrap()),
        (".sst", "E0301", |path| fs::write(path, [7; 1000]).unwrap()),
        (".sst", "E0301", flip_bytes),
        (".log", "", flip_bytes),
    ];
    for (number, (which, code, damage)) in damages.into_iter().enumerate() {
        let _ = fs::remove_dir_all(&data);
        copy_folder(&good, &data);
        let mut files = 0;
        for entry in fs::read_dir(data.join("privnet/db")).unwrap().flatten() {
            if entry.path().to_str().unwrap().ends_with(which) {
                damage(&entry.path());
                files += 1;
            }
        }
        assert!(files > 0, "{which}");
        let done = import(&data, "189");
        let stderr = text(&done.stderr);
        if code.is_empty() {
            assert!(text(&done.stdout).contains(&root_at(&recorded, 189)), "{number}: {stderr}");
        } else {
            assert_eq!((done.status.code(), stderr.contains(code)), (Some(65), true), "{number}: {stderr}");
        }
    }
}

/// Changes a byte here and there.
fn flip_bytes(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    bytes.iter_mut().skip(length / 3).step_by(101).for_each(|byte| *byte ^= 0x55);
    fs::write(path, bytes).unwrap();
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
