//! What an operator meets: bad settings, foreign data, hostile bytes, a script run by hand.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;
use shared_vendor::testing::node::TempDir;

use crate::nodes::{reach, validator, verb};

#[test]
fn a_private_network_without_constants_and_a_bad_wallet_are_configuration_errors() {
    let dir = TempDir::new();
    let (code, _, stderr) = verb(dir.path(), &["run", "--network", "privnet"]);
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("protocol.magic is not set"), "{stderr}");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/devnet.toml");
    let data = dir.path().display().to_string();
    let own = ["run", "--config", config, "--data-dir", &data, "--consensus-wallet"];
    let wallet = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/validator.json");
    let (code, _, stderr) =
        verb(dir.path(), &[&own[..], &[wallet, "--consensus-password", "wrong"]].concat());
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("cannot be unlocked"), "{stderr}");
    let (code, ..) = verb(dir.path(), &[&own[..], &["/nowhere.json", "--consensus-password", "x"]].concat());
    assert_eq!(code, 66);
}

#[test]
fn data_of_another_network_is_refused() {
    let dir = TempDir::new();
    let mut node = validator(dir.path(), &[]);
    reach(node.address("rpc"), 1);
    assert_eq!(node.signal("TERM").exit_code(), 0);
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/devnet.toml");
    let data = dir.path().display().to_string();
    let args = ["run", "--config", config, "--data-dir", &data, "--protocol-magic", "1"];
    let (code, _, stderr) = verb(dir.path(), &args);
    assert_eq!(code, 76, "{stderr}");
}

#[test]
fn hostile_bytes_close_a_connection_and_nothing_else() {
    let dir = TempDir::new();
    let node = validator(dir.path(), &[]);
    let bomb = [&[1, 0x2c, 20][..], &u32::MAX.to_le_bytes(), &[0; 16]].concat();
    let huge = vec![0, 0x2c, 0xfe, 0xff, 0xff, 0xff, 0xff];
    let garbage = vec![0x47; 4096];
    for bytes in [bomb, huge, garbage] {
        let mut stream = TcpStream::connect(node.address("p2p")).unwrap();
        let _ = stream.write_all(&bytes);
        let mut rest = Vec::new();
        // Our version comes, then the end.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 200, "{} bytes", rest.len());
    }
    reach(node.address("rpc"), 2);
}

#[test]
fn a_script_runs_by_hand_with_a_trace() {
    let dir = TempDir::new();
    let (code, stdout, _) = verb(dir.path(), &["vm", "run", "11129e", "--trace"]);
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code, 0);
    let steps: Vec<_> = lines.iter().filter_map(|line| line["instruction"].as_str()).collect();
    assert_eq!(steps[..3], ["PUSH1", "PUSH2", "ADD"]);
    let last = lines.last().unwrap();
    assert_eq!((last["state"].as_str(), last["stack"][0]["value"].as_str()), (Some("HALT"), Some("3")));
    assert_eq!(verb(dir.path(), &["vm", "run", "zz!"]).0, 2);
}
