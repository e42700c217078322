//! What an operator meets: bad settings, foreign data, hostile bytes, a script run by hand.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shared_vendor::testing::node::TempDir;

use crate::nodes::{post, reach, validator, verb};

#[test]
fn a_private_network_without_constants_and_a_bad_wallet_are_configuration_errors() {
    let dir = TempDir::new();
    let (code, _, stderr) = verb(dir.path(), &["run", "--network", "privnet"]);
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("protocol.magic is not set"), "{stderr}");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/devnet/devnet.toml");
    let data = dir.path().display().to_string();
    let own =
        ["run", "--ops-addr", "127.0.0.1:0", "--config", config, "--data-dir", &data, "--consensus-wallet"];
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
fn requests_and_results_that_are_too_deep_or_too_long_are_answered() {
    let dir = TempDir::new();
    let node = validator(dir.path(), &[]);
    let rpc = node.address("rpc");
    // arrays in arrays, as many as the stack may hold
    let nested = [&[0xc2][..], &[0x11, 0xc0].repeat(2000)].concat();
    // the second packs with an array for a number, which is a fault
    let scripts = [(nested.clone(), "HALT"), ([&nested[..], &[0xc0].repeat(100)].concat(), "FAULT")];
    for (script, state) in scripts {
        let params = json!([STANDARD.encode(&script)]);
        let call =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "invokescript", "params": params }).to_string();
        // nested deeper than the parser of this test goes
        let (status, answer) = post(rpc, &call, call.len()).unwrap();
        assert!(answer.contains(&format!(r#""state":"{state}""#)), "{status} {answer}");
    }
    for (body, code) in
        [("[".repeat(500_000), -32700), (r#"{"a":"#.repeat(200_000), -32700), ("[]".into(), -32600)]
    {
        let (_, answer) = post(rpc, &body, body.len()).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    // the answer may be lost when the connection is closed under what is still written
    let long = " ".repeat(6 << 20);
    if let Some((status, _)) = post(rpc, &long, long.len()) {
        assert!(status.contains(" 413 "), "{status}");
    }
    reach(rpc, 2);
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

#[test]
fn accounts_of_words_come_into_a_wallet_and_their_keys_are_encrypted() {
    let dir = TempDir::new();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name).display().to_string();
        std::fs::write(&path, text).unwrap();
        path
    };
    let words = file("words", &format!("{}about\n", "abandon ".repeat(11)));
    let password = file("password", "secret\n");
    let wallet = dir.path().join("wallet.json").display().to_string();
    let import = |more: &[&str]| {
        let own = ["wallet", "import", &wallet, "--words-file", &words, "--password-file", &password];
        verb(dir.path(), &[&own[..], more].concat())
    };
    let (code, first, stderr) = import(&["--count", "2"]);
    assert_eq!((code, first.lines().count()), (0, 2), "{stderr}");
    // the same keys again change nothing; the third is new
    let (code, all, _) = import(&["--count", "3"]);
    assert!(code == 0 && all.starts_with(&first) && all.lines().count() == 3, "{all}");
    let (code, listed, _) = verb(dir.path(), &["wallet", "list", &wallet]);
    assert_eq!((code, &listed), (0, &all));
    let text = std::fs::read_to_string(&wallet).unwrap();
    assert!(text.contains(r#""key": "6P"#) && !text.contains("abandon"), "{text}");
    assert_eq!(import(&["--path", "m/44h"]).0, 2);
    let made = dir.path().join("made.json").display().to_string();
    let create = ["wallet", "create", &made, "--password-file", &password, "--words", "12"];
    let (code, stdout, _) = verb(dir.path(), &create);
    assert!(code == 0 && stdout.lines().next().is_some_and(|line| line.split(' ').count() == 12), "{stdout}");
    // what is there is never replaced
    assert_ne!(verb(dir.path(), &create).0, 0);
    let wrong = file("wrong", &"abandon ".repeat(12));
    let bad = ["wallet", "import", &wallet, "--words-file", &wrong, "--password-file", &password];
    assert_eq!(verb(dir.path(), &bad).0, 78);
}
