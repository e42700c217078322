//! A network of four processes under load: two-second slots, thousands of transfers a second, no slot without a block.
//! `LOAD_SECONDS` says for how long; without it nothing runs. `LOAD_RATE` is 3000 a second unless set.

use shared_vendor::testing::node::{self, TempDir};

use crate::devnet::start;

const BINARY: &str = env!("CARGO_BIN_EXE_pos-node");
const ACCOUNTS: &str = "2000";

#[test]
fn four_processes_sustain_the_load_without_a_missed_slot() {
    let Ok(seconds) = std::env::var("LOAD_SECONDS") else { return };
    let rate = std::env::var("LOAD_RATE").unwrap_or_else(|_| "3000".to_owned());
    let home = TempDir::new();
    let genesis = home.path().join("genesis.json");
    let out = genesis.to_str().expect("text");
    let plan = ["genesis", "devnet", "--validators", "8", "--slot-ms", "2000", "--start-in", "10"];
    let made = node::run(BINARY, home.path(), &[&plan[..], &["--accounts", ACCOUNTS, "--out", out]].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let a = start(home.path(), "a", &genesis, "0..2", &[]);
    let mut seeds = vec![a.address("p2p")];
    let b = start(home.path(), "b", &genesis, "2..4", &seeds);
    seeds.push(b.address("p2p"));
    let c = start(home.path(), "c", &genesis, "4..6", &seeds);
    let d = start(home.path(), "d", &genesis, "6..8", &seeds);
    let nodes = [&a, &b, &c, &d];
    let urls: Vec<String> = nodes.iter().map(|node| format!("http://{}", node.address("rpc"))).collect();
    let mut args = vec!["bench", "load", "--warm-up", "20", "--accounts", ACCOUNTS, "--rate", &rate];
    args.extend(["--seconds", &seconds]);
    for url in &urls {
        args.extend(["--url", url]);
    }
    let done = node::run(BINARY, home.path(), &args);
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{complaint}\nlog of a:\n{}", a.log());
}
