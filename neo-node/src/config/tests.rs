use std::path::Path;

use shared_vendor::config::{Entry, Source};

use super::*;

fn texts(entries: &[Entry], key: &str) -> Vec<String> {
    entries.iter().find(|entry| entry.key == key).map(|entry| entry.texts.clone()).unwrap_or_default()
}

const COMMITTEE: &str = "0295aaef9ce3bc2ffc3491792e90cb80a21d355501079e680989cbded622b0f6d2";

#[test]
fn the_yaml_of_neo_go_becomes_our_settings() {
    let text = format!(
        "ProtocolConfiguration:\n  Magic: 56753\n  InitialGASSupply: 52000000\n  TimePerBlock: 500ms\n  StandbyCommittee:\n    - {COMMITTEE}\n  ValidatorsCount: 1\n  SeedList:\n    - 127.0.0.1:20333\n  P2PSigExtensions: true\n  Hardforks:\n    Aspidochelone: 25\n    Basilisk: 50\nApplicationConfiguration:\n  P2P:\n    Addresses:\n      - \":20333\"\n    MinPeers: 0\n  Consensus:\n    Enabled: true\n    UnlockWallet:\n      Path: ./solo.json\n      Password: pass\n  StateRoot:\n    Enabled: true\n    UnlockWallet:\n      Path: ./state.json\n      Password: word\n  RPC:\n    Addresses:\n      - \"127.0.0.1:30333\"\n    MaxGasInvoke: 50\n"
    );
    let read = native::NeoGo.read(Path::new("/etc/x/p.yml"), &text).unwrap();
    let of = |key| texts(&read.entries, key);
    assert_eq!(of("network"), ["privnet"]);
    assert_eq!(of("protocol.magic"), ["56753"]);
    assert_eq!(of("protocol.initial-gas-distribution"), ["5200000000000000"]);
    assert_eq!(of("protocol.block-time"), ["500ms"]);
    assert_eq!(of("protocol.hardforks"), ["Aspidochelone=25", "Basilisk=50"]);
    assert_eq!(of("p2p.addr"), ["[::]:20333"]);
    assert_eq!(of("rpc.addr"), ["127.0.0.1:30333"]);
    assert_eq!(of("rpc.max-gas-invoke"), ["5000000000"]);
    assert_eq!(of("consensus.wallet"), ["/etc/x/./solo.json"]);
    assert_eq!(of("state.wallet"), ["/etc/x/./state.json"]);
    assert_eq!(of("state.password"), ["word"]);
    assert!(read.warnings.iter().any(|line| line.contains("P2PSigExtensions is an extension")));
    assert_eq!(native::NeoGo.read(Path::new("x.yml"), "a: [").unwrap_err().exit(), exit::Exit::Config);
}

#[test]
fn the_json_of_the_csharp_node_becomes_our_settings() {
    let text = format!(
        r#"{{"ApplicationConfiguration":{{"Logger":{{"Path":"Logs"}},"P2P":{{"Port":10333,"MinDesiredConnections":10}},
        "UnlockWallet":{{"Path":"w.json","Password":"x","IsActive":false}}}},
        "ProtocolConfiguration":{{"Network":5195086,"MillisecondsPerBlock":3000,"ValidatorsCount":1,
        "StandbyCommittee":["{COMMITTEE}"],"SeedList":["a:1","b:2"],"Hardforks":{{"HF_Aspidochelone":0,"HF_Basilisk":7}}}}}}"#
    );
    let read = native::CSharp.read(Path::new("config.json"), &text).unwrap();
    let of = |key| texts(&read.entries, key);
    assert_eq!(of("network"), ["privnet"]);
    assert_eq!(of("protocol.block-time"), ["3000ms"]);
    assert_eq!(of("p2p.seeds"), ["a:1", "b:2"]);
    assert_eq!(of("p2p.addr"), ["[::]:10333"]);
    assert_eq!(of("protocol.hardforks"), ["HF_Aspidochelone=0", "HF_Basilisk=7"]);
    assert!(of("consensus.wallet").is_empty(), "the wallet is not active");
    assert!(read.warnings.iter().any(|line| line.contains("Logger.Path has no effect")));
}

#[test]
fn a_fork_is_a_name_and_a_height() {
    let parse = |text: &str| Fork::parse(&[text.to_owned()]);
    assert_eq!(parse("HF_Faun=12"), Ok(Fork(Hardfork::Faun, 12)));
    assert_eq!(parse("Gorgon = 175"), Ok(Fork(Hardfork::Gorgon, 175)));
    assert!(parse("Nofork=1").is_err() && parse("Faun").is_err());
}
