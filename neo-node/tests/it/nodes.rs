//! What the daemon tests share: starting nodes of the network of one validator, asking them, waiting for a condition.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use serde_json::{Value, json};
pub(crate) use shared_vendor::testing::node::wait;
use shared_vendor::testing::node::{self, PATIENCE, TestNode};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_neo-node");

/// Constants of the network, with a short block time.
const NETWORK: [&str; 6] = [
    "--config",
    concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/devnet.toml"),
    "--protocol-block-time",
    "100ms",
    "--p2p-min",
    "1",
];

/// The key of its validator.
const VALIDATOR: [&str; 4] = [
    "--consensus-wallet",
    concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/validator.json"),
    "--consensus-password",
    "devnet",
];

/// Runs one verb and returns exit code, stdout and stderr.
pub(crate) fn verb(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = node::run(BINARY, dir, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Starts a node that follows.
pub(crate) fn follower(dir: &Path, args: &[&str]) -> TestNode {
    let mut node = TestNode::start(BINARY, dir, &[&NETWORK, args].concat());
    node.ready();
    node
}

/// Starts the node that makes the blocks.
pub(crate) fn validator(dir: &Path, args: &[&str]) -> TestNode {
    follower(dir, &[&VALIDATOR, args].concat())
}

/// Calls a method over HTTP; `None` while the node does not answer.
pub(crate) fn call(address: SocketAddr, method: &str, params: &Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    serde_json::from_str(&post(address, &body, body.len())?.1).ok()
}

/// Posts a body and says how long it is; status line and body of the answer.
pub(crate) fn post(address: SocketAddr, body: &str, length: usize) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
    );
    stream.write_all(head.as_bytes()).ok()?;
    // what is refused by its length may be closed before all is written
    let _ = stream.write_all(body.as_bytes());
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.lines().next()?.to_owned(), body.to_owned()))
}

/// The result of a call.
pub(crate) fn result(address: SocketAddr, method: &str, params: &Value) -> Value {
    call(address, method, params).map_or(Value::Null, |mut answer| answer["result"].take())
}

/// Height of a node.
pub(crate) fn height(address: SocketAddr) -> u64 {
    wait("a count of blocks", || result(address, "getblockcount", &json!([])).as_u64()) - 1
}

/// Waits until a node has reached a height.
pub(crate) fn reach(address: SocketAddr, target: u64) {
    wait("a height", || (height(address) >= target).then_some(()));
}
