//! A network of one validator: it accepts its transfers, answers over HTTP, survives being killed, and refuses to start with
//! what it does not understand. `KILLS` sets how often it is killed.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use shared_vendor::testing::node::{self, TempDir, TestNode, eventually, wait};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_avalanche-node");

pub(crate) fn make(dir: &Path) {
    let net = dir.join("net").display().to_string();
    let made = node::run(BINARY, dir, &["local-net", "create", &net, "--nodes", "1"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// An address that the daemon logged.
pub(crate) fn logged(node: &TestNode, name: &str) -> String {
    let log = node.log();
    let wanted = format!(" {name}=");
    let at = log.find(&wanted).unwrap_or_else(|| panic!("no address in the log:\n{log}"));
    log[at + wanted.len()..].split_whitespace().next().unwrap().trim_matches('"').to_owned()
}

pub(crate) fn start(dir: &Path) -> (TestNode, String) {
    let file = |name: &str| dir.join("net").join(name).display().to_string();
    let (genesis, certificate, key, signer) =
        (file("genesis.json"), file("1/staker.crt"), file("1/staker.key"), file("1/signer.key"));
    let args = [
        "--network-id=99999",
        "--genesis-file",
        &genesis,
        "--staking-tls-cert-file",
        &certificate,
        "--staking-tls-key-file",
        &key,
        "--staking-signer-key-file",
        &signer,
        "--snow-sample-size=1",
        "--snow-quorum-size=1",
        "--local-transfers=1s",
        "--proposervm-min-block-delay=0s",
    ];
    let mut started = TestNode::start(BINARY, &dir.join("data"), &args);
    started.ready();
    let address = logged(&started, "rpc");
    (started, address)
}

fn call(address: &str, path: &str, method: &str, params: &Value) -> Option<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut reply = ureq::post(format!("http://{address}{path}")).send_json(request).ok()?;
    let mut answer: Value = reply.body_mut().read_json().ok()?;
    Some(answer["result"].take())
}

pub(crate) fn height(address: &str) -> Option<u64> {
    call(address, "/ext/bc/P", "platform.getHeight", &json!({}))?["height"].as_str()?.parse().ok()
}

pub(crate) fn block(address: &str, height: u64) -> Value {
    let params = json!({ "height": height, "encoding": "hexnc" });
    call(address, "/ext/bc/P", "platform.getBlockByHeight", &params).unwrap()["block"].take()
}

pub(crate) fn wait_for_height(address: &str, least: u64) -> u64 {
    eventually(|| height(address).filter(|height| *height >= least))
        .unwrap_or_else(|| panic!("height {least} was not reached, it is {:?}", height(address)))
}

#[test]
fn a_network_of_one_accepts_its_transfers_and_tells_of_itself() {
    let dir = TempDir::new();
    make(dir.path());
    let (mut running, address) = start(dir.path());
    wait_for_height(&address, 2);
    let info = |method: &str, params: Value| call(&address, "/ext/info", method, &params).unwrap();
    assert_eq!(info("info.getNetworkID", json!({}))["networkID"], "99999");
    assert_eq!(info("info.isBootstrapped", json!({ "chain": "X" }))["isBootstrapped"], true);
    let id = std::fs::read_to_string(dir.path().join("net/1/id")).unwrap();
    assert_eq!(info("info.getNodeID", json!([{}]))["nodeID"], id);
    let validators = call(&address, "/ext/P", "platform.getCurrentValidators", &json!({})).unwrap();
    assert_eq!(validators["validators"][0]["nodeID"], id);
    wait("good health", || {
        let mut health = ureq::get(format!("http://{address}/ext/health")).call().ok()?;
        (health.body_mut().read_json::<Value>().ok()?["healthy"] == true).then_some(())
    });
    assert_eq!(running.signal("TERM").exit_code(), 0);
}

#[test]
fn a_node_that_is_killed_goes_on_where_it_was_and_never_forks() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let dir = TempDir::new();
    make(dir.path());
    let mut blocks: Vec<Value> = Vec::new();
    for kill in 0..kills {
        let (mut running, address) = start(dir.path());
        let known = u64::try_from(blocks.len()).unwrap();
        let reached = wait_for_height(&address, known.max(1));
        for (height, expected) in (0..).zip(&blocks) {
            assert_eq!(block(&address, height), *expected, "kill {kill}: another block at height {height}");
        }
        blocks.extend((known..=reached).map(|height| block(&address, height)));
        std::thread::sleep(Duration::from_millis(kill * 37 % 400));
        running.kill();
    }
}

#[test]
fn what_is_not_understood_ends_the_start_before_anything_is_opened() {
    let dir = TempDir::new();
    let data = dir.path().join("data").display().to_string();
    for (args, text) in [
        (vec!["run", "--network-id=77"], "genesis-file"),
        (vec!["run", "--network-id=fuji", "--fd-limit=many"], "fd-limit"),
        (vec!["run", "--network-id=nowhere"], "network"),
        (vec!["run", "--network-id=77", "--bootstrap-ips=127.0.0.1:1"], "bootstrap"),
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["--data-dir", &data]).collect();
        let ended = node::run(BINARY, dir.path(), &args);
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(78), "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
    }
    assert!(!dir.path().join("data").exists());
}
