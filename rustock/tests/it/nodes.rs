//! What the daemon tests share: starting nodes, asking them, waiting for a condition.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
pub(crate) use shared_vendor::testing::node::wait;
use shared_vendor::testing::node::{self, TestNode};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_rustock");
/// The recorded chain.
pub(crate) const RECORDED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/regtest/headers-0-1299.rlp");
/// Its tip.
pub(crate) const TIP: u64 = 1299;

/// Runs one verb on the regtest data of `dir` and returns exit code, stdout and stderr.
pub(crate) fn verb(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let data = dir.display().to_string();
    let all = [&["--network", "regtest", "--data-dir", &data], args].concat();
    let output = node::run(BINARY, dir, &all);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Imports the recorded chain.
pub(crate) fn import(dir: &Path) {
    let (code, _, stderr) = verb(dir, &["headers", "import", RECORDED]);
    assert_eq!(code, 0, "{stderr}");
}

/// Starts a regtest node on free ports of loopback.
pub(crate) fn start(dir: &Path, args: &[&str]) -> TestNode {
    TestNode::start(BINARY, dir, &[&["--network", "regtest"], args].concat())
}

/// The value after `name=` in the log of a node that has announced its addresses.
pub(crate) fn logged(node: &mut TestNode, name: &str) -> String {
    node.ready();
    let log = node.log();
    let start = log.rfind(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in the log:\n{log}"));
    let value = &log[start + name.len() + 2..];
    value.split_whitespace().next().unwrap_or_default().trim_matches('"').to_owned()
}

/// Calls a method over HTTP.
pub(crate) fn rpc(address: &str, method: &str, params: &Value) -> Option<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut reply = ureq::post(format!("http://{address}/")).send_json(request).ok()?;
    let mut answer: Value = reply.body_mut().read_json().ok()?;
    Some(answer["result"].take())
}

/// The height of a node's best block.
pub(crate) fn height(address: &str) -> Option<u64> {
    let number = rpc(address, "eth_blockNumber", &json!([]))?;
    u64::from_str_radix(number.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// Height and hash of the tip in the database of a stopped node.
pub(crate) fn stored(dir: &Path) -> (u64, String) {
    let (_, stats, stderr) = verb(dir, &["db", "stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap_or_else(|err| panic!("{err}: {stats}{stderr}"));
    let number = stats["tip"]["number"].as_u64().unwrap_or_else(|| panic!("no height in {stats}"));
    (number, stats["tip"]["hash"].to_string())
}

/// A listener on loopback that passes every connection on to `server`, back to the client at about 180 kB a second and
/// not much more than `most` bytes: what comes then is lost.
pub(crate) fn narrow_line(server: SocketAddr, most: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(server) else { continue };
            let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { continue };
            std::thread::spawn(move || pass(from_client, to_server, Duration::ZERO, usize::MAX));
            std::thread::spawn(move || pass(server, client, Duration::from_millis(10), most));
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, pause: Duration, most: usize) {
    let (mut piece, mut passed) = ([0; 1800], 0);
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if passed >= most {
            continue;
        }
        std::thread::sleep(pause);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
        passed += length;
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
