//! A network of four processes under load: two-second slots, thousands of transfers a second. `LOAD_SECONDS` says for how
//! long; without it nothing runs. `LOAD_RATE` is 3000 a second unless set. With `LOAD_STALL`, half of the network stops
//! in the middle for so many seconds.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use shared_vendor::testing::node::{self, TempDir, TestNode};

use crate::devnet::{rpc, start};

const BINARY: &str = env!("CARGO_BIN_EXE_pos-node");
const ACCOUNTS: &str = "2000";
const WARM_UP: u64 = 20;

/// A number of seconds from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("seconds"))
}

fn network(home: &TempDir) -> Vec<TestNode> {
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
    vec![a, b, c, d]
}

/// The command that loads these nodes, which ends with the load; what it said, and whether it was content.
fn load(home: &TempDir, nodes: &[TestNode], seconds: u64) -> impl FnOnce() -> (bool, String) + use<> {
    let rate = std::env::var("LOAD_RATE").unwrap_or_else(|_| "3000".to_owned());
    let fixed = ["bench", "load", "--accounts", ACCOUNTS, "--rate", &rate];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    args.extend(["--warm-up".to_owned(), WARM_UP.to_string(), "--seconds".to_owned(), seconds.to_string()]);
    for node in nodes {
        args.extend(["--url".to_owned(), format!("http://{}", node.address("rpc"))]);
    }
    let home = home.path().to_owned();
    move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = node::run(BINARY, &home, &args);
        let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (done.status.success(), said.concat())
    }
}

#[test]
fn four_processes_sustain_the_load_without_a_missed_slot() {
    let (Some(seconds), None) = (setting("LOAD_SECONDS"), setting("LOAD_STALL")) else { return };
    let home = TempDir::new();
    let nodes = network(&home);
    let (good, said) = load(&home, &nodes, seconds)();
    println!("{said}");
    assert!(good, "{said}\nlog of a:\n{}", nodes.first().expect("four").log());
}

/// What a stall leaves behind, late blocks and full pools, is worked off while the load goes on.
#[test]
fn a_network_of_which_half_stood_still_has_a_block_in_every_slot_again_under_load() {
    let (Some(seconds), Some(stall)) = (setting("LOAD_SECONDS"), setting("LOAD_STALL")) else { return };
    let home = TempDir::new();
    let mut nodes = network(&home);
    let running = thread::spawn(load(&home, &nodes, seconds));
    thread::sleep(Duration::from_secs(WARM_UP + seconds / 4));
    for (signal, wait) in [("STOP", stall), ("CONT", 0)] {
        nodes.iter_mut().skip(1).take(2).for_each(|node| {
            node.signal(signal);
        });
        thread::sleep(Duration::from_secs(wait));
    }
    let (_, said) = running.join().expect("the load");
    println!("{said}");
    let first = nodes.first().expect("four");
    let ask = |method: &str, params: Value| rpc(first.address("rpc"), method, &params);
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let head = number(&ask("chain_head", json!([]))["result"]["slot"]);
    let sizes: Vec<Option<usize>> = (head.saturating_sub(20)..=head)
        .map(|slot| {
            ask("chain_getBlock", json!([slot.to_string()]))["result"]["txIds"].as_array().map(Vec::len)
        })
        .collect();
    println!("the last blocks up to slot {head}: {sizes:?}");
    let finality = ask("chain_finality", json!([]));
    let epoch = number(&finality["result"]["finalized"]["epoch"]);
    let logs = || nodes.iter().map(TestNode::log).collect::<Vec<_>>().join("\n\n");
    assert!(sizes.iter().all(Option::is_some), "slots without a block\n{}", logs());
    assert!(epoch + 4 >= head / 8, "epoch {epoch} is final in slot {head}\n{}", logs());
}
