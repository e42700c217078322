//! Two nodes on regtest: one makes blocks, the other follows; a fork; a stop and a start.

use serde_json::json;
use shared_vendor::testing::node::{TempDir, run};

use crate::nodes::{BINARY, call, logged, ok, start, wait};

const NONE: serde_json::Value = serde_json::Value::Array(Vec::new());

#[test]
fn a_node_syncs_follows_a_reorganisation_and_keeps_its_chain() {
    let (a, b) = (TempDir::new(), TempDir::new());
    let mut first = start(a.path(), &["--index-tx", "--index-insight"]);
    let (p2p, rpc) = (logged(&mut first, "p2p"), logged(&mut first, "rpc"));
    ok(&rpc, "generate", &json!([120]));
    let mut second = start(b.path(), &["--p2p-connect", &p2p, "--index-tx", "--index-insight"]);
    let other = logged(&mut second, "rpc");
    let tip = |address: &str| ok(address, "getbestblockhash", &NONE);
    wait("the tip", || (tip(&rpc) == tip(&other)).then_some(()));
    assert_eq!(ok(&other, "getblockcount", &NONE), json!(120));
    assert_eq!(ok(&rpc, "gettxoutsetinfo", &NONE), ok(&other, "gettxoutsetinfo", &NONE));

    // The first node gives up ten blocks and makes twelve others.
    let old = ok(&rpc, "getblockhash", &json!([111]));
    let time = ok(&rpc, "getblock", &json!(["120"]))["time"].as_i64().unwrap();
    ok(&rpc, "invalidateblock", &json!([old]));
    assert_eq!(ok(&rpc, "getblockcount", &NONE), json!(110));
    ok(&rpc, "setmocktime", &json!([time + 500]));
    ok(&rpc, "generate", &json!([12]));
    wait("the other branch", || (tip(&rpc) == tip(&other)).then_some(()));
    assert_eq!(ok(&other, "getblockcount", &NONE), json!(122));
    assert_eq!(ok(&rpc, "gettxoutsetinfo", &NONE), ok(&other, "gettxoutsetinfo", &NONE));
    let tips = ok(&other, "getchaintips", &NONE);
    assert_eq!(tips[1]["status"], json!("valid-fork"), "{tips}");

    let kept = tip(&other);
    assert_eq!(second.signal("TERM").exit_code(), 0);
    let data = b.path().display().to_string();
    let base = ["--network", "regtest", "--data-dir", &data];
    let verified = run(BINARY, b.path(), &[&base[..], &["verifychain", "--depth", "0"]].concat());
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let mut again = start(b.path(), &["--index-tx", "--index-insight"]);
    let other = logged(&mut again, "rpc");
    assert_eq!(tip(&other), kept);
    assert_eq!(again.signal("TERM").exit_code(), 0);
    assert_eq!(first.signal("TERM").exit_code(), 0);
}

#[test]
fn errors_have_the_codes_and_texts_of_the_reference() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &[]);
    let rpc = logged(&mut node, "rpc");
    for (method, params, code, text) in [
        ("getblockhash", json!([5]), -8, "Block height out of range"),
        ("getblock", json!(["9999"]), -8, "Block height out of range"),
        ("getblock", json!(["x"]), -8, "Invalid block height parameter"),
        ("getblockheader", json!(["00"]), -5, "Block not found"),
        ("getrawtransaction", json!(["zz"]), -8, "parameter 1 must be hexadecimal string (not 'zz')"),
        ("nosuchmethod", json!([]), -32601, "Method not found"),
        ("setban", json!(["127.0.0.1/42", "add"]), -23, "Error: Invalid IP/Subnet"),
        ("decoderawtransaction", json!(["00"]), -22, "TX decode failed"),
    ] {
        let error = call(&rpc, method, &params).unwrap_err();
        assert_eq!((error["code"].as_i64(), error["message"].as_str()), (Some(code), Some(text)), "{method}");
    }
    assert_eq!(node.signal("TERM").exit_code(), 0);
}
