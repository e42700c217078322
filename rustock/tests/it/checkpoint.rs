//! A start at a checkpoint: the tip within seconds, what lies below afterwards, and a clear refusal of a wrong one.

use serde_json::json;
use shared_vendor::testing::node::{TempDir, TestNode};

use crate::nodes::{TIP, height, import, logged, rpc, start, verb, wait};

const CHECKPOINT: u64 = 1_000;

/// Two nodes with the recorded chain, the way to both, and the hash of the checkpoint.
fn servers() -> (Vec<(TestNode, TempDir)>, String, String) {
    let mut servers = Vec::new();
    let (mut ways, mut hash) = (Vec::new(), String::new());
    for _ in 0..2 {
        let dir = TempDir::new();
        import(dir.path());
        let mut node = start(dir.path(), &["--no-p2p-discovery"]);
        ways.push(logged(&mut node, "p2p"));
        let block = rpc(
            &logged(&mut node, "rpc"),
            "eth_getBlockByNumber",
            &json!([format!("{CHECKPOINT:#x}"), false]),
        );
        hash = block.unwrap()["hash"].as_str().unwrap().trim_start_matches("0x").to_owned();
        servers.push((node, dir));
    }
    (servers, ways.join(","), hash)
}

#[test]
fn a_node_starts_at_a_checkpoint_and_fills_in_what_lies_below() {
    let (mut servers, ways, hash) = servers();
    let dir = TempDir::new();
    let trusted = format!("{CHECKPOINT}:{hash}:{}", CHECKPOINT + 1);
    let args = ["--no-p2p-discovery", "--p2p-peers", &ways, "--sync-checkpoint", &trusted];
    let mut client = start(dir.path(), &args);
    let address = logged(&mut client, "rpc");
    wait("the tip", || height(&address).filter(|height| *height == TIP));
    client.wait_for("the chain begins at its checkpoint");
    client.wait_for("all headers below the checkpoint are here");
    let low = json!(["0x5", false]);
    let theirs = logged(&mut servers[0].0, "rpc");
    assert_eq!(rpc(&address, "eth_getBlockByNumber", &low), rpc(&theirs, "eth_getBlockByNumber", &low));
    // The same checkpoint is fine for the chain that is stored now, another one is not.
    assert_eq!(client.signal("TERM").exit_code(), 0);
    assert_eq!(start(dir.path(), &args).ready().signal("TERM").exit_code(), 0);
    let (code, stdout, stderr) = verb(dir.path(), &["db", "verify", "--deep"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("ok: 1300 headers on the chain"), "{stdout}");
    let other = format!("{}:{hash}:1000", CHECKPOINT - 1);
    let mut refused = start(dir.path(), &["--no-p2p-discovery", "--sync-checkpoint", &other]);
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.log().contains("error[E0604]"), "{}", refused.log());
}

#[test]
fn a_wrong_checkpoint_is_refused_with_the_reason() {
    let (_servers, ways, hash) = servers();
    let wrong_hash = hash.replace(['0', '1', '2'], "3");
    for (trusted, reason) in [
        (format!("{CHECKPOINT}:{wrong_hash}:1001"), "other nodes have"),
        (format!("{}:{hash}:1001", CHECKPOINT - 1), "other nodes have"),
        (format!("{CHECKPOINT}:{hash}:500"), "its cumulative difficulty is less"),
    ] {
        let dir = TempDir::new();
        let mut client =
            start(dir.path(), &["--no-p2p-discovery", "--p2p-peers", &ways, "--sync-checkpoint", &trusted]);
        assert_eq!(client.exit_code(), 78, "{}", client.log());
        assert!(client.log().contains("error[E0604]") && client.log().contains(reason), "{}", client.log());
    }
    let dir = TempDir::new();
    let mut unreadable = start(dir.path(), &["--sync-checkpoint", "1000"]);
    assert_eq!(unreadable.exit_code(), 78);
}
