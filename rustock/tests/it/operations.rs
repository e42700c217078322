//! The operations server: every metric that the dashboard and the alerts use exists.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared_vendor::testing::{
    metrics,
    node::{TempDir, run},
};

use crate::nodes::{BINARY, import, logged, rpc, start, wait};

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    let (address, rpc_address) = (logged(&mut node, "ops"), logged(&mut node, "rpc"));
    assert_eq!(rpc(&rpc_address, "net_version", &serde_json::json!([])), Some("33".into()));
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    metrics::assert_exported(address, "rustock_", &used);
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

fn get(address: &str, path: &str) -> String {
    ureq::get(format!("http://{address}{path}")).call().unwrap().body_mut().read_to_string().unwrap()
}

/// Calls a method with the secret of the run.
fn with_cookie(dir: &TempDir, address: &str, method: &str, params: &Value) -> Value {
    let cookie = std::fs::read(dir.path().join("regtest/.cookie")).unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let basic = format!("Basic {}", base64(&cookie));
    let call = ureq::post(format!("http://{address}/")).header("authorization", basic).send_json(request);
    call.unwrap().body_mut().read_json().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        let digit = |place: usize| {
            if place <= chunk.len() { char::from(DIGITS[bits >> (18 - 6 * place) & 63]) } else { '=' }
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn the_example_configuration_is_what_the_program_prints() {
    let dir = TempDir::new();
    let printed = run(BINARY, dir.path(), &["config", "default"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    let text = text.replace(&dir.path().display().to_string(), "~");
    assert_eq!(text, include_str!("../../ops/config.example.toml"));
}

#[test]
fn reset_begins_with_an_empty_database_when_it_is_confirmed() {
    let dir = TempDir::new();
    let mark = dir.path().join("regtest/db/mark");
    assert_eq!(start(dir.path(), &["--no-p2p-discovery"]).ready().signal("TERM").exit_code(), 0);
    std::fs::write(&mark, "x").unwrap();
    let mut unconfirmed = start(dir.path(), &["--reset"]);
    assert_eq!(unconfirmed.exit_code(), 2);
    assert!(unconfirmed.log().contains("add --yes") && mark.exists(), "{}", unconfirmed.log());
    let mut node = start(dir.path(), &["--no-p2p-discovery", "--reset", "--yes"]);
    node.ready().wait_for("the database was removed, as asked");
    assert!(!mark.exists());
    assert_eq!(node.signal("TERM").exit_code(), 0);
    assert!(!dir.path().join("regtest/tmp/db").exists());
}

#[test]
fn a_hundred_calls_are_a_batch_and_strange_hosts_and_pages_are_refused() {
    let dir = TempDir::new();
    let mut node =
        start(dir.path(), &["--no-p2p-discovery", "--rpc-allowed-origins", "http://wallet.example"]);
    let url = format!("http://{}/", logged(&mut node, "rpc"));
    let calls = |count: u64| {
        let call = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_chainId", "params": [] });
        (0..count).map(call).collect::<Value>()
    };
    let batch = |count| -> Value {
        ureq::post(&url).send_json(calls(count)).unwrap().body_mut().read_json().unwrap()
    };
    assert_eq!(batch(100).as_array().unwrap().len(), 100);
    assert_eq!(batch(101)["error"]["code"], -32600);
    let status = |header: &str, value: &str| match ureq::post(&url).header(header, value).send_json(calls(1))
    {
        Ok(reply) => reply.status().as_u16(),
        Err(ureq::Error::StatusCode(status)) => status,
        Err(err) => panic!("{err}"),
    };
    let of = [
        ("host", "evil.example"),
        ("host", "LOCALHOST:1"),
        ("origin", "http://evil.example"),
        ("origin", "http://wallet.example"),
    ];
    assert_eq!(of.map(|(header, value)| status(header, value)), [403, 200, 403, 200]);
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn peers_are_banned_with_the_cookie_only() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    let address = logged(&mut node, "rpc");
    assert_eq!(rpc(&address, "sco_banAddress", &json!(["10.0.0.0/8"])), Some(Value::Null));
    let banned = |expected: Value| {
        let answer = with_cookie(&dir, &address, "sco_bannedAddresses", &json!([]));
        assert_eq!(answer["result"], expected, "{answer}");
    };
    banned(json!([]));
    for block in ["10.0.0.0/8", "192.0.2.1"] {
        assert!(with_cookie(&dir, &address, "sco_banAddress", &json!([block]))["error"].is_null());
    }
    banned(json!(["10.0.0.0/8", "192.0.2.1"]));
    let _ = with_cookie(&dir, &address, "sco_unbanAddress", &json!(["10.0.0.0/8"]));
    banned(json!(["192.0.2.1"]));
    let wrong = with_cookie(&dir, &address, "sco_banAddress", &json!(["nowhere"]));
    assert_eq!(wrong["error"]["message"], "invalid banned address nowhere");
    assert_eq!(with_cookie(&dir, &address, "sco_reputationSummary", &json!([]))["result"]["count"], 0);
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn a_tag_of_a_hidden_branch_is_an_alarm_on_page_and_metric() {
    let dir = TempDir::new();
    import(dir.path());
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    let (ops, address) = (logged(&mut node, "ops"), logged(&mut node, "rpc"));
    let block = rpc(&address, "eth_getBlockByNumber", &json!(["0x500", false])).unwrap();
    let tag = block["hashForMergedMining"].as_str().unwrap().to_owned();
    let check = |tag: &str| {
        let answer = with_cookie(&dir, &address, "rustock_checkMergedMiningTag", &json!([tag]));
        answer["result"].clone()
    };
    assert_eq!(check(&tag), json!({ "number": "0x500", "verdict": "known" }));
    let unknown = format!("0x{}{}", "11".repeat(20), &tag[42..]);
    assert_eq!(check(&unknown), json!({ "number": "0x500", "verdict": "agrees" }));
    // Block 1280 was mined on 1216 as the newest commitment; another byte there is a branch of 65 blocks or more.
    let other = u8::from_str_radix(&tag[42..44], 16).unwrap() ^ 1;
    let hidden = format!("0x{}{other:02x}{}", "22".repeat(20), &tag[44..]);
    let verdict = check(&hidden);
    assert_eq!((&verdict["verdict"], &verdict["alarming"]), (&json!("departs"), &json!(true)), "{verdict}");
    assert_eq!(verdict["length"], "0x41");
    for (page, alarm) in [
        ("/metrics", "rustock_hidden_fork_blocks 65"),
        ("/", "A branch of at least 65 blocks is being mined that no peer shows"),
    ] {
        wait(alarm, || get(&ops, page).contains(alarm).then_some(()));
    }
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn the_parity_table_lists_every_method_that_is_served() {
    let readme = include_str!("../../README.md");
    let table = readme.split("| RPC method |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let listed: BTreeSet<&str> =
        table.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
    let methods = rustock::rpc::methods();
    let served: BTreeSet<&str> = methods.names().collect();
    assert_eq!(
        listed.difference(&served).copied().filter(|name| *name != "two_nodes").collect::<Vec<_>>(),
        [""; 0]
    );
    assert_eq!(served.difference(&listed).collect::<Vec<_>>(), [&""; 0]);
}
