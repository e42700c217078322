//! Nodes on regtest: start, ask, wait.

use std::path::Path;

use serde_json::{Value, json};
use shared_vendor::testing::node::TestNode;
pub(crate) use shared_vendor::testing::node::wait;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_fluxd");

/// A node with user `u` and password `p`.
pub(crate) fn start(dir: &Path, args: &[&str]) -> TestNode {
    let base = ["--network", "regtest", "--rpc-user", "u", "--rpc-password", "p"];
    TestNode::start(BINARY, dir, &[&base, args].concat())
}

/// The value of `name=` in the log, once it is there: an address.
pub(crate) fn logged(node: &mut TestNode, name: &str) -> String {
    node.ready();
    let log = node.log();
    let prefix = format!(" {name}=");
    let at = log.find(&prefix).unwrap_or_else(|| panic!("no {name} in {log}"));
    log[at + prefix.len()..].split([' ', '\n']).next().unwrap_or_default().trim_matches('"').to_owned()
}

/// Calls a method; `Err` is the error member.
pub(crate) fn call(address: &str, method: &str, params: &Value) -> Result<Value, Value> {
    let body = json!({ "id": 1, "method": method, "params": params });
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut reply = agent
        .post(format!("http://{address}/"))
        .header("Authorization", "Basic dTpw")
        .send_json(&body)
        .unwrap();
    let reply: Value = reply.body_mut().read_json().unwrap();
    if reply["error"].is_null() { Ok(reply["result"].clone()) } else { Err(reply["error"].clone()) }
}

pub(crate) fn ok(address: &str, method: &str, params: &Value) -> Value {
    call(address, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
}
