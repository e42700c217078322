//! The built daemon: a network of four processes that finalizes, a killed one that comes back, a validator that runs
//! twice.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use shared_vendor::testing::node::{self, PATIENCE, TempDir, TestNode, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_pos-node");

/// One call over HTTP.
pub(crate) fn rpc(address: SocketAddr, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let start = answer.find('{').unwrap_or_else(|| panic!("no JSON in {answer}"));
    let end = answer.rfind('}').unwrap();
    serde_json::from_str(&answer[start..=end]).unwrap_or_else(|err| panic!("{err}: {answer}"))
}

pub(crate) fn genesis(home: &Path, validators: u64) -> PathBuf {
    let path = home.join("genesis.json");
    let validators = validators.to_string();
    let out = path.to_str().unwrap();
    let args = [
        "genesis",
        "devnet",
        "--validators",
        &validators,
        "--slot-ms",
        "1000",
        "--start-in",
        "8",
        "--out",
        out,
    ];
    let done = node::run(BINARY, home, &args);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    path
}

pub(crate) fn start(home: &Path, name: &str, genesis: &Path, keys: &str, peers: &[SocketAddr]) -> TestNode {
    start_with(home, name, genesis, keys, peers, &[])
}

fn start_with(
    home: &Path,
    name: &str,
    genesis: &Path,
    keys: &str,
    peers: &[SocketAddr],
    more: &[&str],
) -> TestNode {
    let folder = home.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut args: Vec<String> =
        ["--network", "devnet", "--log-level", "info,chain=debug,net=debug", "--chain-genesis"]
            .map(String::from)
            .to_vec();
    args.push(genesis.to_str().unwrap().to_owned());
    args.extend([
        "--validator-interop".to_owned(),
        keys.to_owned(),
        "--validator-doppelganger=false".to_owned(),
    ]);
    for peer in peers {
        args.extend(["--p2p-peers".to_owned(), format!("/ip4/127.0.0.1/tcp/{}", peer.port())]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let mut node = TestNode::start(BINARY, &folder, &args);
    node.ready();
    node
}

fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number: {value}"))
}

/// Asks until the answer is as wanted, at most twice as long as other waits: an epoch alone takes eight seconds.
fn wait<T>(what: &str, node: &TestNode, mut look: impl FnMut(SocketAddr) -> Option<T>) -> T {
    let mut look = || look(node.address("rpc"));
    eventually(&mut look)
        .or_else(|| eventually(&mut look))
        .unwrap_or_else(|| panic!("waited in vain for {what}; log:\n{}", node.log()))
}

fn finalized(address: SocketAddr) -> (u64, String) {
    let answer = rpc(address, "chain_finality", &json!([]));
    let of = &answer["result"]["finalized"];
    (number(&of["epoch"]), of["root"].as_str().unwrap().to_owned())
}

#[test]
fn four_processes_finalize_one_killed_comes_back_and_a_fifth_begins_at_a_checkpoint() {
    let home = TempDir::new();
    let genesis = genesis(home.path(), 8);
    let a = start(home.path(), "a", &genesis, "0..2", &[]);
    let seed = [a.address("p2p")];
    let b = start(home.path(), "b", &genesis, "2..4", &seed);
    let c = start(home.path(), "c", &genesis, "4..6", &seed);
    let mut d = start(home.path(), "d", &genesis, "6..8", &[seed[0], b.address("p2p")]);
    let slot = |address| number(&rpc(address, "chain_head", &json!([]))["result"]["slot"]);
    wait("slot 4", &d, |address| (slot(address) >= 4).then_some(()));
    let tx = crate::proof::submit(&a);
    d.kill();
    let killed_at = wait("slots without d", &a, |address| Some(slot(address)).filter(|slot| *slot >= 14));
    let d = start(home.path(), "d", &genesis, "6..8", &[seed[0], b.address("p2p")]);
    wait("d to catch up", &d, |address| (slot(address) >= killed_at).then_some(()));
    let nodes = [&a, &b, &c, &d];
    let two =
        nodes.map(|node| wait("two epochs", node, |address| Some(finalized(address)).filter(|of| of.0 >= 2)));
    for (epoch, root) in &two {
        for (other, other_root) in &two {
            assert!(epoch != other || root == other_root, "two blocks are final at epoch {epoch}");
        }
    }
    crate::proof::hold(home.path(), &a, &genesis, &tx);
    // a fifth that begins at the final checkpoint: it has no older blocks, and follows the same chain
    let (epoch, root) = finalized(a.address("rpc"));
    let trusted = format!("{root}:{epoch}");
    let more = ["--sync-checkpoint", trusted.as_str()];
    let e = start_with(home.path(), "e", &genesis, "0..0", &[seed[0], b.address("p2p")], &more);
    wait("the fifth to finalize", &e, |address| (finalized(address).0 > epoch).then_some(()));
    let old = rpc(e.address("rpc"), "chain_getBlock", &json!(["8"]));
    assert_eq!(old["error"]["code"], json!(-32001), "{old}");
    let later = (epoch * 8 + 1..epoch * 8 + 8).find_map(|slot| {
        let ask = |node: &TestNode| rpc(node.address("rpc"), "chain_getHeader", &json!([slot.to_string()]));
        let (ours, theirs) = (ask(&e), ask(&a));
        ours.get("result").is_some().then(|| ours["result"] == theirs["result"])
    });
    assert_eq!(later, Some(true), "the fifth has another block");
    // the same block everywhere, and what was asked for is what is answered
    let block = rpc(a.address("rpc"), "chain_getBlock", &json!(["8"]))["result"]["header"]["root"].clone();
    for node in nodes {
        let same = rpc(node.address("rpc"), "chain_getBlock", &json!(["8"]));
        assert_eq!(same["result"]["header"]["root"], block, "{same}");
    }
    let list = rpc(a.address("rpc"), "validator_list", &json!([]));
    assert_eq!(list["result"].as_array().map(Vec::len), Some(8), "{list}");
}

/// Takes a minute more; `DAEMON_TESTS=all` runs it.
#[test]
fn a_validator_that_runs_twice_is_slashed() {
    if std::env::var("DAEMON_TESTS").is_err() {
        return;
    }
    let home = TempDir::new();
    let genesis = genesis(home.path(), 8);
    let a = start(home.path(), "a", &genesis, "0..4", &[]);
    let seed = [a.address("p2p")];
    let b = start(home.path(), "b", &genesis, "4..8", &seed);
    // the same key with a record of its own, and another text in its blocks: two blocks for one slot
    let c = start_with(home.path(), "c", &genesis, "7..8", &seed, &["--validator-graffiti", "twin"]);
    let slashed = |address| {
        let list = rpc(address, "validator_list", &json!([]));
        let all = list["result"].as_array().unwrap().clone();
        let slashed = all.iter().filter(|of| of["slashed"] == json!(true)).map(|of| number(&of["index"]));
        Some(slashed.collect::<Vec<_>>()).filter(|slashed| !slashed.is_empty())
    };
    assert_eq!(wait("a slashing", &a, slashed), [7]);
    // the first penalty is gone for good, whatever it has earned; what correlation takes later is judged by vectors
    let offender = rpc(a.address("rpc"), "validator_get", &json!(["7"]))["result"].clone();
    assert!(offender["exitEpoch"].is_string(), "{offender}");
    let supply = rpc(a.address("rpc"), "chain_supply", &json!([]))["result"].clone();
    assert!(number(&supply["burned"]) >= 32_000_000_000 / 4096, "{supply}");
    // the other node, whose validator it is, sees the same and goes on without it
    assert_eq!(wait("the slashing at the other", &b, slashed), [7]);
    drop(c);
}

/// One command starts a network that finalizes, and stops it when it has.
#[test]
fn one_command_starts_a_network_that_finalizes() {
    if std::env::var("DAEMON_TESTS").is_err() {
        return;
    }
    let home = TempDir::new();
    let folder = home.path().join("network");
    let port = 20_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    let start = |until: &str| {
        let port = port.to_string();
        let folder = folder.to_str().unwrap();
        let args = ["devnet", "--validators", "8", "--slot-ms", "1000", "--folder", folder, "--port", &port];
        node::run(BINARY, home.path(), &[&args[..], &["--until-epoch", until]].concat())
    };
    let first = start("1");
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.status.success(), "{text}{}", String::from_utf8_lossy(&first.stderr));
    assert!(text.contains("is final on all nodes"), "{text}");
    let second = start("3");
    let text = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(text.starts_with("going on with the network of 8 validators"), "{text}");
    assert!(second.status.success(), "{text}{}", String::from_utf8_lossy(&second.stderr));
}
