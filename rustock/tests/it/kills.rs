//! Killed with -9 in the middle of a sync from three peers and in the middle of a reorganisation, again and again; a
//! disk that takes no more. KILLS says how often it is killed (default 6).

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use shared_vendor::testing::node::{TempDir, TestNode, command};

use crate::{
    mint::Mint,
    nodes::{BINARY, height, logged, narrow_line, rpc, start, stored, verb, wait},
};

/// Height of the branch that is synced first.
const OLD: usize = 3_000;
/// Where the other branch leaves it.
const FORK: usize = 2_400;
/// Height of the other branch.
const NEW: usize = 3_200;

fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Two branches in the databases of servers: three have the old one, three both.
struct World {
    _folders: Vec<TempDir>,
    _servers: Vec<TestNode>,
    /// A database that ends at the old branch.
    before: TempDir,
    /// The way to the servers, broad and narrow.
    old: [Vec<String>; 2],
    new: [Vec<String>; 2],
}

impl World {
    fn new() -> Self {
        let files = TempDir::new();
        let mut trunk = Mint::new();
        let shared = trunk.make(FORK);
        let (mut old, mut new) = (trunk.branch(1), trunk.branch(2));
        let write = |name: &str, parts: &[&[Vec<u8>]]| {
            let path = files.path().join(name);
            fs::write(&path, parts.concat().concat()).unwrap();
            path.display().to_string()
        };
        let old_file = write("old.rlp", &[&shared, &old.make(OLD - FORK)]);
        let new_file = write("new.rlp", &[&new.make(NEW - FORK)]);
        let (before, after) = (TempDir::new(), TempDir::new());
        for (dir, files) in [(&before, &[&old_file][..]), (&after, &[&old_file, &new_file])] {
            for file in files {
                let (code, _, stderr) = verb(dir.path(), &["headers", "import", file]);
                assert_eq!(code, 0, "{stderr}");
            }
        }
        let (mut folders, mut servers) = (vec![files], Vec::new());
        let mut serve = |from: &TempDir| {
            let mut ways = [Vec::new(), Vec::new()];
            for _ in 0..3 {
                let folder = TempDir::new();
                copy(from.path(), folder.path());
                let mut server = start(folder.path(), &["--no-p2p-discovery"]);
                let p2p = logged(&mut server, "p2p");
                let (id, address) = p2p.rsplit_once('@').unwrap();
                ways[1].push(format!("{id}@{}", narrow_line(address.parse().unwrap(), usize::MAX)));
                ways[0].push(p2p);
                folders.push(folder);
                servers.push(server);
            }
            ways
        };
        let (old, new) = (serve(&before), serve(&after));
        folders.push(after);
        Self { _folders: folders, _servers: servers, before, old, new }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (entry, to) = (entry.path(), to.join(entry.file_name()));
        if entry.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry, &to);
        } else if entry.file_name().is_none_or(|name| name != "reserve" && name != "ops.sock") {
            fs::copy(&entry, &to).unwrap();
        }
    }
}

/// Starts a client, kills it at some time, looks at what it left. Returns the height.
fn kill_once(dir: &Path, round: usize, ways: &[Vec<String>; 2], reached: u64) -> u64 {
    // By turns over the narrow lines, where headers trickle in, and over the broad ones, where all comes at once.
    let way = ways[usize::from(!round.is_multiple_of(3))].join(",");
    let mut client = start(dir, &["--p2p-peers", &way, "--no-p2p-discovery"]);
    let address = logged(&mut client, "rpc");
    let mut seen = reached;
    // An even spread over the time that it takes, in no order.
    let polls = (round * 37 + 20) % 100;
    for _ in 0..polls {
        seen = seen.max(height(&address).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(8));
    }
    client.kill();
    let (code, stdout, stderr) = verb(dir, &["db", "verify"]);
    assert_eq!(code, 0, "round {round}: {stdout}{stderr}");
    let (number, _) = stored(dir);
    assert!(number >= seen, "round {round}: {number} headers are left of {seen}");
    number
}

#[test]
fn kills_in_the_middle_of_a_parallel_sync_and_of_a_reorganisation_lose_nothing() {
    let (world, kills) = (World::new(), kills());
    let (old_tip, new_tip) = (OLD as u64, NEW as u64);
    let (mut in_sync, mut synced) = (0, 0);
    let mut folder = TempDir::new();
    let mut reached = 0;
    for round in 0..kills / 2 {
        reached = kill_once(folder.path(), round, &world.old, reached);
        if reached == old_tip {
            (synced, reached, folder) = (synced + 1, 0, TempDir::new());
        } else {
            in_sync += usize::from(reached > 0);
        }
    }

    let (mut before, mut after) = (0, 0);
    let mut folder = TempDir::new();
    copy(world.before.path(), folder.path());
    let old = stored(folder.path());
    for round in 0..kills - kills / 2 {
        // Both branches are whole chains; which one is left shows how far the move had come.
        let number = kill_once(folder.path(), round, &world.new, 0);
        assert!(number >= old_tip, "round {round}: {number}");
        if stored(folder.path()) == old {
            before += 1;
        } else {
            after += 1;
        }
        if number == new_tip {
            folder = TempDir::new();
            copy(world.before.path(), folder.path());
        }
    }
    println!(
        "{kills} kills: {in_sync} in the middle of a sync, {synced} after its end; {before} before a reorganisation, {after} after"
    );

    let mut client = start(folder.path(), &["--p2p-peers", &world.new[0].join(","), "--no-p2p-discovery"]);
    let rpc_address = logged(&mut client, "rpc");
    wait("the new branch", || height(&rpc_address).filter(|height| *height == new_tip));
    assert_eq!(client.signal("TERM").exit_code(), 0);
    let (code, _, stderr) = verb(folder.path(), &["db", "verify", "--deep"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_disk_that_takes_no_more_ends_the_node_with_74_and_a_start_with_space_goes_on() {
    let (server_dir, client_dir) = (TempDir::new(), TempDir::new());
    let file = server_dir.path().join("chain.rlp");
    fs::write(&file, Mint::new().make(OLD).concat()).unwrap();
    let (code, _, stderr) = verb(server_dir.path(), &["headers", "import", &file.display().to_string()]);
    assert_eq!(code, 0, "{stderr}");
    let mut server = start(server_dir.path(), &["--no-p2p-discovery"]);
    let p2p = logged(&mut server, "p2p");
    // The first start makes the files, so that only the database grows under the limit.
    assert_eq!(start(client_dir.path(), &["--no-p2p-discovery"]).ready().signal("TERM").exit_code(), 0);

    // No file may grow above 600 kB: the write fails as on a full disk, in the middle of the sync.
    let mut shell = command("sh", client_dir.path());
    shell.args([
        "-c",
        "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\"",
        BINARY,
        "run",
        "--network",
        "regtest",
    ]);
    shell.args(["--log-format", "text", "--no-p2p-discovery", "--p2p-peers", &p2p, "--data-dir"]);
    shell.arg(client_dir.path());
    for flag in ["--ops-addr", "--rpc-addr", "--p2p-addr"] {
        shell.args([flag, "127.0.0.1:0"]);
    }
    let mut client = TestNode::spawn(&mut shell);
    assert_eq!(client.exit_code(), 74, "{}", client.log());
    assert!(client.log().contains("error[E0302]"), "{}", client.log());
    let (code, _, stderr) = verb(client_dir.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{stderr}");
    let (left, _) = stored(client_dir.path());
    assert!(left < OLD as u64, "{left}");

    let mut client = start(client_dir.path(), &["--p2p-peers", &p2p, "--no-p2p-discovery"]);
    let (ours, theirs) = (logged(&mut client, "rpc"), logged(&mut server, "rpc"));
    wait("the tip", || height(&ours).filter(|height| *height == OLD as u64));
    let latest = json!(["latest", false]);
    let answers: [Option<Value>; 2] = [&ours, &theirs].map(|rpc_| rpc(rpc_, "eth_getBlockByNumber", &latest));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(client.signal("TERM").exit_code(), 0);
    assert_eq!(server.signal("TERM").exit_code(), 0);
}
