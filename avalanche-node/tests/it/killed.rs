//! Nodes that are killed at any moment, while they bootstrap and while they vote: each resumes, has the others' blocks, and
//! its store is whole. `KILLS` sets how often they are killed, of each kind.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use avalanche_db::{Database, Rocks};
use avalanche_node::genesis::NetworkGenesis;
use avalanche_vm::chain::ChainVm as _;
use platformvm::vm::PlatformVm;
use shared_vendor::testing::node::{self, TempDir, TestNode};

use crate::{daemon, source};

/// Blocks that are there before anybody is started.
const BLOCKS: u64 = 1_000;
const VALIDATORS: usize = 5;

fn kills(usual: u64) -> u64 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A moment that differs from kill to kill, below `most` milliseconds.
fn moment(kill: u64, most: u64) -> Duration {
    Duration::from_millis(kill.wrapping_mul(7919) % most)
}

fn say(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn start(dir: &Path, name: &str, more: &[String]) -> TestNode {
    let genesis = format!("--genesis-file={}", dir.join("net/genesis.json").display());
    let args = ["--network-id=99999", &genesis, "--proposervm-min-block-delay=0s"];
    let args: Vec<&str> = args.into_iter().chain(more.iter().map(String::as_str)).collect();
    TestNode::start(daemon::BINARY, &dir.join(name), &args)
}

/// The keys of a validator, by its number from 1.
fn keys(dir: &Path, number: usize) -> Vec<String> {
    let file = |name: &str| dir.join(format!("net/{number}/{name}")).display().to_string();
    vec![
        format!("--staking-tls-cert-file={}", file("staker.crt")),
        format!("--staking-tls-key-file={}", file("staker.key")),
        format!("--staking-signer-key-file={}", file("signer.key")),
    ]
}

fn address(node: &TestNode) -> String {
    node.address("rpc").to_string()
}

/// The blocks at these heights are those of the other node.
fn assert_same_blocks(what: &str, heights: impl IntoIterator<Item = u64>, ours: &str, theirs: &str) {
    for height in heights {
        let (own, expected) = (daemon::block(ours, height), daemon::block(theirs, height));
        assert!(own.is_string() && own == expected, "{what}: another block at height {height}");
    }
}

fn spread(height: u64, kill: u64) -> BTreeSet<u64> {
    [height, height.saturating_sub(1), height / 2, height / 3, kill % height.max(1)].into()
}

/// The store of a dead node: all entries can be read, the machine opens on them, and its blocks are linked down to the
/// first.
fn assert_whole_store(dir: &Path, name: &str) {
    let store: Arc<dyn Database> = Arc::new(Rocks::open(&dir.join(name).join("custom/db")).unwrap());
    for entry in store.iterate(&[], &[]) {
        entry.unwrap();
    }
    let json = std::fs::read(dir.join("net/genesis.json")).unwrap();
    let genesis = NetworkGenesis::from_json(&json).unwrap();
    let config = platformvm::config::Config::of_network(genesis.network_id, genesis.avax_asset_id);
    let platform = PlatformVm::open(store, config, &genesis.platform.bytes()).unwrap();
    let mut block = platform.last_accepted().unwrap();
    while block.height > 0 {
        let parent = platform.block(block.parent).unwrap();
        assert_eq!(parent.height + 1, block.height);
        assert_eq!(platform.block_id_at_height(parent.height).unwrap(), Some(parent.id));
        block = parent;
    }
}

#[test]
fn a_follower_that_is_killed_while_it_bootstraps_and_follows_resumes_and_never_forks() {
    let wanted = kills(2);
    let dir = TempDir::new();
    daemon::make(dir.path());
    let mut validator = keys(dir.path(), 1);
    validator.extend(["--snow-sample-size=1", "--snow-quorum-size=1"].map(str::to_owned));
    // A first start makes the folder.
    let mut first = start(dir.path(), "validator", &validator);
    assert_eq!(first.ready().signal("TERM").exit_code(), 0);
    source::write(&dir.path().join("validator/custom/db"), &dir.path().join("net"), BLOCKS);
    validator.push("--local-transfers=500ms".to_owned());
    let mut validator = start(dir.path(), "validator", &validator);
    validator.ready();
    let theirs = address(&validator);
    let id = std::fs::read_to_string(dir.path().join("net/1/id")).unwrap();
    let follower = [
        format!("--bootstrap-ids={}", id.trim()),
        format!("--bootstrap-ips={}", validator.address("p2p")),
        "--snow-sample-size=1".to_owned(),
        "--snow-quorum-size=1".to_owned(),
    ];
    let (mut bootstrapping, mut following, mut height, mut kill) = (0, 0, 0, 0);
    while bootstrapping < wanted || following < wanted {
        kill += 1;
        assert!(
            kill < 20 * (wanted + 1),
            "killed {bootstrapping} times while bootstrapping, {following} later"
        );
        let mut node = start(dir.path(), "follower", &follower);
        let follows = bootstrapping > following;
        if follows {
            node.wait_for("consensus begins");
            let now = daemon::wait_for_height(&address(&node), height);
            assert_same_blocks(&format!("kill {kill}"), spread(now, kill), &address(&node), &theirs);
            height = now;
            std::thread::sleep(moment(kill, 1000));
        } else {
            node.wait_for("peer connected");
            std::thread::sleep(moment(kill, 250));
        }
        node.kill();
        let is_through = node.log().contains("consensus begins");
        following += u64::from(is_through);
        bootstrapping += u64::from(!is_through);
        if kill % 10 == 1 {
            assert_whole_store(dir.path(), "follower");
        }
        // All begins anew where there is nothing left to bootstrap.
        if is_through && (!follows || kill % 4 == 0) {
            std::fs::remove_dir_all(dir.path().join("follower")).unwrap();
            height = 0;
        }
    }
    let mut node = start(dir.path(), "follower", &follower);
    node.wait_for("consensus begins");
    let last = daemon::wait_for_height(&address(&node), height.max(BLOCKS) + 1);
    assert_same_blocks("in the end", 0..=last, &address(&node), &theirs);
    node.kill();
    assert_whole_store(dir.path(), "follower");
    say(&format!(
        "killed {bootstrapping} times while bootstrapping, {following} times in consensus, {last} blocks"
    ));
}

#[test]
fn validators_that_are_killed_one_after_the_other_vote_on_and_never_fork() {
    let wanted = kills(2);
    let dir = TempDir::new();
    let net = dir.path().join("net").display().to_string();
    let count = VALIDATORS.to_string();
    let made = node::run(daemon::BINARY, dir.path(), &["local-net", "create", &net, "--nodes", &count]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // On a loopback address of this process alone: between a kill and the next start nobody else takes a port there.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 128 | high, middle, low);
    let free: Vec<_> = (0..VALIDATORS).map(|_| TcpListener::bind((own, 0)).unwrap()).collect();
    let ports: Vec<_> = free.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
    drop(free);
    let ids: Vec<_> = (1..=VALIDATORS)
        .map(|number| std::fs::read_to_string(dir.path().join(format!("net/{number}/id"))).unwrap())
        .collect();
    let validator = |index: usize| {
        let others = |of: &[String]| {
            let others = of.iter().enumerate().filter(|(other, _)| *other != index);
            others.map(|(_, text)| text.trim()).collect::<Vec<_>>().join(",")
        };
        let mut args = keys(dir.path(), index + 1);
        args.extend(["--p2p-addr".to_owned(), ports[index].clone()]);
        args.push(format!("--bootstrap-ids={}", others(&ids)));
        args.push(format!("--bootstrap-ips={}", others(&ports)));
        args.push("--local-transfers=500ms".to_owned());
        start(dir.path(), &format!("validator-{index}"), &args)
    };
    let mut nodes: Vec<_> = (0..VALIDATORS).map(validator).collect();
    for node in &mut nodes {
        node.ready();
    }
    let mut height = 0;
    for kill in 0..wanted {
        let index = usize::try_from(kill).unwrap() % VALIDATORS;
        let witness = address(&nodes[(index + 1) % VALIDATORS]);
        std::thread::sleep(moment(kill + 1, 1000));
        nodes[index].kill();
        if kill % 10 == 0 {
            assert_whole_store(dir.path(), &format!("validator-{index}"));
        }
        // The other four go on without it.
        height = daemon::wait_for_height(&witness, height + 1);
        nodes[index] = validator(index);
        nodes[index].ready();
        let own = address(&nodes[index]);
        let reached = daemon::wait_for_height(&own, height);
        daemon::wait_for_height(&witness, reached);
        assert_same_blocks(&format!("kill {kill}"), spread(reached, kill), &own, &witness);
        height = reached;
    }
    for (index, node) in nodes.iter().enumerate() {
        let own = address(node);
        let witness = address(&nodes[(index + 1) % VALIDATORS]);
        daemon::wait_for_height(&own, height + 1);
        daemon::wait_for_height(&witness, height + 1);
        assert_same_blocks("in the end", 0..=height + 1, &own, &witness);
    }
    say(&format!("validators were killed {wanted} times, {height} blocks"));
}
